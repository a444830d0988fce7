/** What runs inside a local worker: one model behind comlink. */

import { expose } from 'comlink'
import { platform } from '#platform'
import { OnnxModel, type OnnxOptions } from '../onnx/model'
import { answerRows, plain, type Reply, sayHello } from './rows'

export type Loaded = Pick<OnnxModel, 'signature' | 'warnings' | 'batches'>

export interface ModelHost {
  load(model: Uint8Array, options: OnnxOptions): Promise<Reply<Loaded>>
}

let model: OnnxModel | undefined

const host: ModelHost = {
  async load(bytes, options) {
    try {
      model = await OnnxModel.load(bytes, options)
      const { signature, warnings, batches } = model
      return { value: { signature, warnings, batches } }
    } catch (error) {
      return plain(error, 'MODEL')
    }
  },
}

async function infer(rows: Float32Array, count: number): Promise<Float32Array> {
  if (!model) throw new Error('no model was loaded')
  return model.infer(rows, count)
}

const parent = platform.parent()
sayHello(parent)
answerRows(parent, infer)
expose(host, parent)
