// CommonJS: `import` here becomes `require`.
import { createPredictor, type PredictorOptions } from 'approxifer'
import { Scheme } from 'approxifer/codec'
import { createGateway } from 'approxifer/gateway'
import 'approxifer/worker'

export const start = (options: PredictorOptions) => createPredictor(options)
export const serve = (options: PredictorOptions) => createGateway({ models: { m: options } })
export const scheme = new Scheme({ queries: 2 })
