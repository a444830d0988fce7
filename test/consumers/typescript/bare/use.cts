// CommonJS: `import` here becomes `require`.
import { createPredictor, type PredictorOptions } from 'approxifer'
import 'approxifer/worker'

export const start = (options: PredictorOptions) => createPredictor(options)
