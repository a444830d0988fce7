/** Runs one model inside a worker thread, and serves it over comlink. */

import { type Endpoint, expose } from 'comlink'
import type { TensorList } from '../../base/tensor'
import { OnnxModel } from '../onnx/model'
import type { ModelFile } from '../onnx/model-file'
import type { OnnxOptions } from '../onnx/options'
import { answerQueries, plain, type Reply } from './messages'

export type Loaded = Pick<OnnxModel, 'signature' | 'warnings' | 'batches' | 'scales' | 'repeats' | 'sequence' | 'hints'>

export interface ModelHost {
  load(model: ModelFile, options: OnnxOptions): Promise<Reply<Loaded>>
}

let model: OnnxModel | undefined

const host: ModelHost = {
  async load(file, options) {
    try {
      model = await OnnxModel.load(file, options)
      const { signature, warnings, batches, scales, repeats, sequence, hints } = model
      return { value: { signature, warnings, batches, scales, repeats, sequence, hints } }
    } catch (error) {
      return plain(error, 'MODEL')
    }
  },
}

async function run(batch: TensorList): Promise<TensorList> {
  if (!model) throw new Error('no model was loaded')
  return model.run(batch)
}

/** Serves calls from the thread that started this one. */
export function serveModel(parent: Endpoint): void {
  answerQueries(parent, run)
  expose(host, parent)
}
