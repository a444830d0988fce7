// A pipeline of transformers.js whose model runs in workers, with hedges and deadlines. The one line that is new: withWorkers.
// node main.js FOLDER, which has config.json, tokenizer.json, tokenizer_config.json and onnx/model.onnx, as models on the Hub.
import { dirname, resolve } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { createPredictor } from 'approxifer'
import { withWorkers } from './session.js'

const folder = resolve(process.argv[2] ?? 'model')
const [task = 'feature-extraction', ...texts] = process.argv.slice(3)
env.localModelPath = dirname(folder)
env.allowRemoteModels = false

const pipe = await pipeline(task, folder, { dtype: 'fp32' })
await withWorkers(pipe, await createPredictor({ model: `${folder}/onnx/model.onnx`, workers: 2 }))
const options = task === 'feature-extraction' ? { pooling: 'mean', normalize: true } : { top_k: 3 }
const answer = await pipe(texts.length ? texts : ['a web server', 'an editor for text'], options)
console.log(JSON.stringify(answer.tolist?.() ?? answer))
await pipe.dispose()
