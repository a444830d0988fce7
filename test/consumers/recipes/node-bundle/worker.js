import 'approxifer/worker'
