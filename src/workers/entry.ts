/** What runs inside a local worker: one model behind comlink. */

import { expose, transfer } from 'comlink'
import { platform } from '#platform'
import { asError, type Code } from '../errors'
import type { Signature } from '../tensor'
import { sayHello } from './hello'
import { OnnxModel, type OnnxOptions } from './onnx'

/** comlink drops an error's code, so errors cross as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

export interface Loaded {
  signature: Signature
  warnings: readonly string[]
}

export interface Entry {
  load(model: Uint8Array, options: OnnxOptions): Promise<Reply<Loaded>>
  infer(row: Float32Array): Promise<Reply<Float32Array>>
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

  async infer(row) {
    try {
      if (!model) throw new Error('no model was loaded')
      const value = await model.infer(row)
      return transfer({ value }, [value.buffer])
    } catch (error) {
      return plain(error, 'WORKER')
    }
  },
}

function plain(error: unknown, fallback: Code): { code: Code; message: string } {
  const { code, message } = asError(error, fallback)
  return { code, message }
}

const parent = platform.parent()
sayHello(parent)
expose(entry, parent)
