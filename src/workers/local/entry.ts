/** What runs inside a local worker: one model behind comlink; or, in a thread of their own, memories. */

import { expose } from 'comlink'
import { platform } from '#platform'
import { serveMemories } from '../../memory/server'
import type { TensorList } from '../../tensor'
import { OnnxModel } from '../onnx/model'
import type { ModelFile } from '../onnx/model-file'
import type { OnnxOptions } from '../onnx/options'
import { answerQueries, plain, type Reply, sayHello } from './messages'

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

const parent = platform.parent()
sayHello(parent)
answerQueries(parent, run)
serveMemories(parent)
expose(host, parent)
