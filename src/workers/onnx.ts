/** A model on onnxruntime-web: what is accepted, what it takes and gives, and batches of rows through it. */

import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import { platform } from '#platform'
import { ApproxiferError, asError } from '../errors'
import type { Ort } from '../platform/platform'
import { rowLength, type Signature, size, type TensorSpec } from '../tensor'

export interface OnnxOptions {
  /** The outputs to use. Default: all; the others are not even computed. */
  outputs?: readonly string[]
  /** Shapes without the batch dimension, for inputs whose other dimensions are dynamic. */
  inputShapes?: Readonly<Record<string, readonly number[]>>
  /** Where onnxruntime-web finds its .mjs and .wasm files; passed on as `env.wasm.wasmPaths`. */
  wasmPaths?: string | Record<string, string>
}

/** One session. Runs one batch at a time. */
export class OnnxModel {
  readonly signature: Signature
  /** Things worth telling the user about this model. */
  readonly warnings: readonly string[]
  /** Whether several rows can go through in one run. */
  readonly batches: boolean
  readonly #ort: Ort
  readonly #session: InferenceSession

  private constructor(ort: Ort, session: InferenceSession, signature: Signature, batches: boolean, warnings: string[]) {
    this.#ort = ort
    this.#session = session
    this.signature = signature
    this.batches = batches
    this.warnings = warnings
  }

  /**
   * Loads, checks and warms up a model.
   *
   * @param bytes  the .onnx file; may lie in shared memory; not kept
   * @throws ApproxiferError MODEL with a sentence that says what to do
   */
  static async load(bytes: Uint8Array, options: OnnxOptions = {}): Promise<OnnxModel> {
    const ort = await importOrt(options)
    let session: InferenceSession
    try {
      session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] })
    } catch (error) {
      throw asError(error, 'MODEL', 'the model cannot be loaded: ')
    }
    try {
      return await OnnxModel.#check(ort, session, options)
    } catch (error) {
      await session.release().catch(() => {})
      throw asError(error, 'MODEL', 'the model cannot be run: ')
    }
  }

  static async #check(ort: Ort, session: InferenceSession, options: OnnxOptions): Promise<OnnxModel> {
    const strange = Object.keys(options.inputShapes ?? {}).find((name) => !session.inputNames.includes(name))
    if (strange) throw refused('inputShapes', `names among ${session.inputNames}`, strange, 'correct the option')
    const inputs = session.inputMetadata.map((meta) => inputSpec(meta, options.inputShapes ?? {}))
    const chosen = options.outputs ?? session.outputNames
    for (const name of chosen) checkOutput(name, session)
    const draft = { inputs, outputs: chosen.map((name) => ({ name, shape: [] as number[] })) }
    const length = rowLength(inputs)
    const zeros = await run(ort, session, draft, new Float32Array(length), 1)
    // Any fixed values will do, as long as they are not all alike.
    const values = Float32Array.from({ length }, (_, i) => ((i * 7919) % 97) / 97)
    const some = await run(ort, session, draft, values, 1)
    const outputs = draft.outputs.map(({ name }, i) => outputSpec(name, zeros[i], some[i]))
    const batches = session.inputMetadata.every((meta) => meta.isTensor && typeof meta.shape[0] !== 'number')
    const warnings = some.flatMap((tensor, i) => (looksLikeProbabilities(tensor) ? [probabilities(outputs[i])] : []))
    return new OnnxModel(ort, session, { inputs, outputs }, batches, warnings)
  }

  /**
   * Runs `count` rows that lie one after the other; output rows likewise, in a fresh array. The values are
   * not checked.
   */
  async infer(rows: Float32Array, count = 1): Promise<Float32Array> {
    const { outputs } = this.signature
    const width = rowLength(outputs)
    const results = new Float32Array(count * width)
    const step = this.batches ? count : 1
    for (let from = 0; from < count; from += step) {
      const each = rows.length / count
      const part = rows.subarray(from * each, (from + step) * each)
      const tensors = await run(this.#ort, this.#session, this.signature, part, step)
      let at = 0
      tensors.forEach((tensor, i) => {
        const n = size(outputs[i])
        const data = tensor.data as Float32Array
        if (data.length !== step * n) {
          const expected = `output '${outputs[i].name}': expected shape [${outputs[i].shape}] per query`
          throw new ApproxiferError('PROTOCOL', `${expected}, got [${tensor.dims}] for ${step}`)
        }
        for (let b = 0; b < step; b++) results.set(data.subarray(b * n, (b + 1) * n), (from + b) * width + at)
        at += n
        tensor.dispose()
      })
    }
    return results
  }

  async close(): Promise<void> {
    await this.#session.release()
  }
}

async function importOrt({ wasmPaths }: OnnxOptions): Promise<Ort> {
  let ort: Ort
  try {
    ort = await platform.importOrt()
  } catch (error) {
    const todo = 'onnxruntime-web cannot be imported; install it beside approxifer (npm install onnxruntime-web)'
    throw new ApproxiferError('MODEL', `${todo}: ${(error as Error).message}`, { cause: error })
  }
  // One session per worker: the parallelism is ours.
  ort.env.wasm.numThreads = 1
  ort.env.wasm.proxy = false
  ort.env.logLevel = 'error'
  if (wasmPaths !== undefined) ort.env.wasm.wasmPaths = wasmPaths
  return ort
}

function run(ort: Ort, session: InferenceSession, signature: Signature, rows: Float32Array, count: number) {
  const feeds: Record<string, OrtTensor> = {}
  const each = rows.length / count
  let at = 0
  for (const spec of signature.inputs) {
    const n = size(spec)
    const single = signature.inputs.length === 1 || count === 1
    const data = single ? rows.subarray(at, at + n * count) : columns(rows, each, at, n, count)
    feeds[spec.name] = new ort.Tensor('float32', data, [count, ...spec.shape])
    at += n
  }
  const names = signature.outputs.map((spec) => spec.name)
  return session.run(feeds, names).then((results) => names.map((name) => results[name]))
}

/** Values at..at+n of each row, one after the other. */
function columns(rows: Float32Array, each: number, at: number, n: number, count: number): Float32Array {
  const data = new Float32Array(n * count)
  for (let b = 0; b < count; b++) data.set(rows.subarray(b * each + at, b * each + at + n), b * n)
  return data
}

type Metadata = InferenceSession['inputMetadata'][number]

function inputSpec(meta: Metadata, given: Readonly<Record<string, readonly number[]>>): TensorSpec {
  const { name } = meta
  if (!meta.isTensor || meta.type !== 'float32') {
    const type = meta.isTensor ? meta.type : 'no tensor'
    throw refused(
      `input '${name}'`,
      'float32',
      type,
      'queries are mixed as real numbers; export the model with float32 inputs',
    )
  }
  const [batch, ...rest] = meta.shape
  if (!meta.shape.length || (typeof batch === 'number' && batch > 1)) {
    const todo = 'export the model with a dynamic batch dimension'
    throw refused(`input '${name}'`, 'a first dimension that is dynamic or 1', `[${meta.shape}]`, todo)
  }
  const shape = given[name] ?? rest
  const fits = shape.length === rest.length && rest.every((n, i) => typeof n === 'string' || n === shape[i])
  if (!fits || !shape.every((n) => Number.isInteger(n) && (n as number) > 0)) {
    const todo = `pass inputShapes: { ${JSON.stringify(name)}: [...] } without the batch dimension`
    throw refused(`input '${name}'`, `a shape that fits [${rest}]`, `[${shape}]`, todo)
  }
  return { name, shape: shape as readonly number[] }
}

function checkOutput(name: string, session: InferenceSession): void {
  const meta = session.outputMetadata.find((output) => output.name === name)
  if (!meta) throw refused('outputs', `names among ${session.outputNames}`, name, 'correct the option')
  if (!meta.isTensor || meta.type !== 'float32') {
    const type = meta.isTensor ? meta.type : 'no tensor'
    throw refused(`output '${name}'`, 'float32', type, 'name the float32 outputs to use in the option outputs')
  }
}

function outputSpec(name: string, zeros: OrtTensor, some: OrtTensor): TensorSpec {
  if (String(zeros.dims) !== String(some.dims)) {
    const todo = 'its shape depends on the data; such an output cannot be coded, exclude it with the option outputs'
    throw refused(`output '${name}'`, `one shape, [${zeros.dims}]`, `[${some.dims}]`, todo)
  }
  if (zeros.dims[0] !== 1) {
    const todo = 'export the model with the batch as the first dimension of its outputs'
    throw refused(`output '${name}'`, 'a first dimension equal to the batch, 1', `[${zeros.dims}]`, todo)
  }
  return { name, shape: zeros.dims.slice(1) }
}

function refused(field: string, expected: string, got: string, todo: string): ApproxiferError {
  return new ApproxiferError('MODEL', `${field}: expected ${expected}, got ${got}; ${todo}`)
}

function looksLikeProbabilities(tensor: OrtTensor): boolean {
  const data = tensor.data as Float32Array
  let sum = 0
  for (const value of data) {
    if (value < 0 || value > 1) return false
    sum += value
  }
  return data.length > 1 && Math.abs(sum - 1) < 1e-3
}

function probabilities({ name }: TensorSpec): string {
  return `output '${name}' looks like probabilities: interpolated answers decode worse than logits; export the model without its last softmax`
}
