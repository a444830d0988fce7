/**
 * Whittaker's sinc interpolation instead of Berrut's, without normalisation.
 * The authors' script Sinc_interpolation_MNIST.py: queries at 0 .. K - 1, worker i at iK/N - 1 + K/N.
 */

import { linear } from './algebra.js'

const sinc = (x) => (x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1)
const queries = (k) => [...Array(k).keys()]
const place = (i, k, n) => (i * k) / n - 1 + k / n

export default linear({
  workers: (k, s) => k + s,
  needs: (k) => k,
  encode: (k, n) => Array.from({ length: n }, (_, i) => queries(k).map((j) => sinc(place(i, k, n) - j))),
  decode: (survivors, k, n) => queries(k).map((j) => survivors.map((i) => sinc(j - place(i, k, n)))),
})
