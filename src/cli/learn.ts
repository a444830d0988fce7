/** approxifer learn: fills a memory with a model's answers to given inputs, and saves it where `serve --state` loads it. */

import { join } from 'node:path'
import { expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import { doubtsOf } from '../base/output-kind'
import { rowShape } from '../base/tensor'
import { loadCore } from '../core/load'
import type { Rightness } from '../evaluate/experiment'
import { learnFrom, SURE, type Taught } from '../evaluate/learn'
import { whyNothingSaved } from '../evaluate/saving'
import { fileStore } from '../gateway/create'
import type { Features } from '../memory/memory'
import { abilitiesOf } from '../predictor/abilities'
import type { OnnxModel } from '../workers/onnx/model'
import { fingerprintOf, readModel } from '../workers/onnx/model-file'
import { percent } from './figures'
import { asOptions, loadModel, type ModelOptions } from './files'
import { InputFile } from './npy'
import { ProgressBar } from './progress'
import { namedFile } from './serve/config'
import { note, wrap } from './terminal'

interface LearnArguments extends ModelOptions, Rightness {
  inputs: string
  /** The folder of the saved memory. */
  output: string
  features?: Features
  json?: boolean
}

/** @param text  the model, as for `serve`: FILE or NAME=FILE */
export async function learn(text: string, options: LearnArguments): Promise<void> {
  const { name, path } = namedFile(text)
  const store = fileStore(options.output)
  const kept = `a folder without a state of '${name}', which would be lost`
  if (await store.read(name)) throw new RangeError(expected('--output', kept, options.output))
  const file = await readModel(path)
  const model = await loadModel(path, file, options)
  const progress = new ProgressBar(!options.json)
  let inputs: InputFile | undefined
  try {
    checkMemory(model, options)
    inputs = await InputFile.open(options.inputs, rowShape(model.signature.inputs))
    progress.start('inputs', inputs.length)
    const onProgress = (done: number) => progress.update(done)
    const given = { ...options, core: await loadCore(), model, fingerprint: fingerprintOf(file), inputs, onProgress }
    const { state, ...counts } = await learnFrom(given)
    const enough = 'enough inputs that differ for a memory to begin with'
    if (!state) throw new RangeError(expected('--inputs', enough, inputs.length))
    await store.write(name, state)
    progress.stop()
    print(name, path, { inputs: inputs.length, bytes: state.length, ...counts }, options)
  } finally {
    progress.stop()
    await Promise.all([inputs?.close(), model.close()])
  }
}

/** Warns of outputs that may be read wrongly. @throws ApproxiferError MODEL for a model whose answers cannot be remembered */
function checkMemory(model: OnnxModel, { right: said, features, json }: LearnArguments): void {
  const { why, whyNotEqual, memory, right } = abilitiesOf(model, said)
  const obstacle = memory === 'vector' ? whyNothingSaved(model, features, whyNotEqual) : why
  if (obstacle) throw new ApproxiferError('MODEL', `nothing of it can be remembered: ${asOptions(obstacle)}`)
  if (!json) for (const doubt of doubtsOf(right)) note(`approxifer: warning: ${doubt}`)
}

type Counts = Omit<Taught, 'state'> & { inputs: number; bytes: number }

function print(name: string, path: string, counts: Counts, { output, json }: LearnArguments): void {
  const { inputs, remembered, last, sure, right } = counts
  const file = join(output, `${name.replaceAll('.', '%2E')}.state`) // the name that `fileStore` gives it
  if (json) return console.log(JSON.stringify({ name, file, ...counts }, null, 2))
  const wrong = sure ? `, ${percent(1 - right / sure)} of these wrong` : ''
  const sentence = `of the last ${last} the memory was sure (${SURE}) of ${percent(sure / last)}${wrong}`
  const options = `reuse: { maxError: 0.01 }, memory: { state: await readFile('${file}') }`
  console.log(wrap(`${file}: ${remembered} of ${inputs} answers; ${sentence}`))
  console.log(wrap(`  approxifer serve ${name}=${path} --state ${output} --max-error 0.01`, 2))
  console.log(wrap(`  createPredictor({ model, ${options} })`, 2))
}
