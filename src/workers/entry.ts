/** What runs inside a local worker: one model behind comlink. */

import { expose } from 'comlink'
import { platform } from '#platform'
import type { Signature } from '../tensor'
import { sayHello } from './hello'
import { OnnxModel, type OnnxOptions } from './onnx'
import { answerRows, plain, type Reply } from './rows'

export interface Loaded {
  signature: Signature
  warnings: readonly string[]
}

export interface Entry {
  load(model: Uint8Array, options: OnnxOptions): Promise<Reply<Loaded>>
}

let model: OnnxModel | undefined

const entry: Entry = {
  async load(bytes, options) {
    try {
      model = await OnnxModel.load(bytes, options)
      return { value: { signature: model.signature, warnings: model.warnings } }
    } catch (error) {
      return plain(error, 'MODEL')
    }
  },
}

async function infer(row: Float32Array): Promise<Float32Array> {
  if (!model) throw new Error('no model was loaded')
  return model.infer(row)
}

const parent = platform.parent()
sayHello(parent)
answerRows(parent, infer)
expose(entry, parent)
