/** A model on onnxruntime-web: what is accepted, what it takes and gives, and batches of rows through it. */

import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import { platform } from '#platform'
import { ApproxiferError, asError } from '../../errors'
import { read } from '../../option'
import type { Ort, Runtime } from '../../platform/platform'
import { rowLength, type Signature, size, type TensorSpec } from '../../tensor'
import { onnxOptions } from './options'
import { inputSpecs, outputNames, outputSpec, takesBatches, warningsAbout } from './specs'

export interface OnnxOptions {
  /** The outputs to use. Default: all; the others are not even computed. */
  outputs?: readonly string[]
  /**
   * Shapes without the batch dimension, for inputs whose other dimensions are dynamic, named or not. An input called
   * `__proto__` is written `['__proto__']`.
   */
  inputShapes?: Readonly<Record<string, readonly number[]>>
  /** Where onnxruntime-web finds its .mjs and .wasm files; passed on as `env.wasm.wasmPaths`. */
  wasmPaths?: string | Record<string, string>
  /**
   * Execution providers, most wanted first; passed on as `executionProviders`. Default `['wasm']`, with
   * onnxruntime-node `['cpu']`. In browsers `webgpu` and `webnn` take the worker script `approxifer/worker.webgpu`,
   * through `createWorker`: it has the larger runtime. The runtime drops those that it does not have, with a line on
   * the console; if none is left, or one fails, loading rejects with MODEL.
   */
  providers?: readonly string[]
  /**
   * The package that runs the model, an optional peer. Default `'onnxruntime-web'`. `'onnxruntime-node'`, on Node
   * only, is native code: faster, larger to install. Node looks for it beside approxifer, so it belongs into the same
   * `node_modules` or one further up. Native code cannot be cut off: a worker that is restarted or closed ends its
   * call first, and a process that exits during a call aborts: `close()` before.
   */
  runtime?: Runtime
}

/** The first version whose sessions tell the shapes of their inputs. */
const OLDEST = '1.22'

/** A batch may round in another order: how far its answers may be from those of each row alone, over their norm. */
const ROUNDING = 1e-3

/** One session. Runs one batch at a time. */
export class OnnxModel {
  /** Whether several rows can go through in one run, and are answered as each would be alone. */
  batches = false

  private constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
    readonly signature: Signature,
    readonly warnings: readonly string[],
  ) {}

  /**
   * Loads, checks and warms up a model.
   *
   * @param bytes  the .onnx file; may lie in shared memory; not kept
   * @throws ApproxiferError MODEL with a sentence that says what to do; TypeError or RangeError for a wrong option
   */
  static async load(bytes: Uint8Array, options: OnnxOptions = {}): Promise<OnnxModel> {
    read(onnxOptions, '', options)
    const ort = await importOrt(options)
    ort.env.wasm.numThreads = 1
    ort.env.wasm.proxy = false
    ort.env.logLevel = 'error'
    if (options.wasmPaths !== undefined) ort.env.wasm.wasmPaths = options.wasmPaths
    const session = await openSession(ort, bytes, options)
    try {
      return await OnnxModel.#check(ort, session, options)
    } catch (error) {
      await session.release().catch(() => {})
      throw asError(error, 'MODEL', 'the model cannot be run: ')
    }
  }

  static async #check(ort: Ort, session: InferenceSession, options: OnnxOptions): Promise<OnnxModel> {
    const inputs = inputSpecs(session, options.inputShapes)
    const names = outputNames(session, options.outputs)
    const draft = { inputs, outputs: names.map((name) => ({ name, shape: [] })) }
    const length = rowLength(inputs)
    const zeros = await run(ort, session, draft, new Float32Array(length), 1)
    // Any fixed values will do, as long as they are not all alike.
    const values = Float32Array.from({ length }, (_, i) => ((i * 7919) % 97) / 97)
    const some = await run(ort, session, draft, values, 1)
    const outputs = names.map((name, i) => outputSpec(name, zeros[i], some[i]))
    const warnings = names.flatMap((name, i) => warningsAbout(name, zeros[i], some[i]))
    const signature = { inputs, outputs }
    const model = new OnnxModel(ort, session, signature, warnings)
    model.batches = takesBatches(session)
    const both = new Float32Array(2 * length)
    both.set(values, length)
    model.batches &&= await model.#answersTo(both, [zeros, some])
    return model
  }

  /** Whether rows that go through together get the answers that each got alone: a dimension called dynamic promises less. */
  async #answersTo(rows: Float32Array, alone: readonly OrtTensor[][]): Promise<boolean> {
    try {
      const together = await this.infer(rows, alone.length)
      let [at, norm, distance] = [0, 0, 0]
      for (const { data } of alone.flat()) {
        for (const value of data as Float32Array) {
          norm += value ** 2
          distance += (value - together[at++]) ** 2
        }
      }
      return distance <= ROUNDING ** 2 * norm
    } catch {
      return false
    }
  }

  /** Runs `count` rows that lie one after the other; output rows likewise, in a fresh array. The values are not checked. */
  async infer(rows: Float32Array, count = 1): Promise<Float32Array> {
    const { outputs } = this.signature
    const width = rowLength(outputs)
    const length = rows.length / count
    const step = this.batches ? count : 1
    const results = step === count && outputs.length === 1 ? undefined : new Float32Array(count * width)
    for (let from = 0; from < count; from += step) {
      const part = rows.subarray(from * length, (from + step) * length)
      const tensors = await run(this.ort, this.session, this.signature, part, step)
      const values = tensors.map((tensor, i) => valuesOf(tensor, outputs[i], step))
      if (!results) return values[0] // in its order already
      let at = from * width
      for (const [i, data] of values.entries()) {
        const n = size(outputs[i])
        for (let b = 0; b < step; b++) results.set(data.subarray(b * n, (b + 1) * n), b * width + at)
        at += n
      }
    }
    return results as Float32Array
  }

  async close(): Promise<void> {
    await this.session.release()
  }
}

const runtimeOf = ({ runtime = 'onnxruntime-web' }: OnnxOptions): Runtime => runtime

function providersOf(options: OnnxOptions): string[] {
  return [...(options.providers ?? [runtimeOf(options) === 'onnxruntime-node' ? 'cpu' : 'wasm'])]
}

/** The chosen runtime's package. @throws ApproxiferError MODEL where it is not installed */
export async function importOrt(options: OnnxOptions): Promise<Ort> {
  const runtime = runtimeOf(options)
  try {
    return await platform.importOrt(runtime, providersOf(options))
  } catch (error) {
    if (error instanceof RangeError) throw asError(error, 'MODEL') // it is there, but without this provider
    const todo = `${runtime} cannot be imported; install it beside approxifer (npm install ${runtime})`
    throw new ApproxiferError('MODEL', `${todo}: ${(error as Error).message}`, { cause: error })
  }
}

async function openSession(ort: Ort, bytes: Uint8Array, options: OnnxOptions): Promise<InferenceSession> {
  const runtime = runtimeOf(options)
  const executionProviders = providersOf(options)
  // One session per worker: the parallelism is ours.
  const settings = { executionProviders, intraOpNumThreads: 1, interOpNumThreads: 1 }
  let session: InferenceSession
  try {
    // Native code takes no shared memory.
    session = await ort.InferenceSession.create(
      runtime === 'onnxruntime-node' ? new Uint8Array(bytes) : bytes,
      settings,
    )
  } catch (error) {
    const where = options.providers ? ` with providers ${executionProviders} of ${runtime}` : ''
    throw asError(error, 'MODEL', `the model cannot be loaded${where}: `)
  }
  if (session.inputMetadata) return session
  await session.release().catch(() => {})
  const todo = `npm install ${runtime}@latest`
  throw new ApproxiferError('MODEL', `${runtime}: expected >= ${OLDEST}, got ${ort.env.versions.common}; ${todo}`)
}

/** The chosen outputs of `count` rows, in the order of the signature. */
async function run(
  ort: Ort,
  session: InferenceSession,
  { inputs, outputs }: Signature,
  rows: Float32Array,
  count: number,
) {
  const each = rows.length / count
  let at = 0
  const feeds = inputs.map((spec): [string, OrtTensor] => {
    const n = size(spec)
    const single = inputs.length === 1 || count === 1
    const data = single ? rows.subarray(at, at + n * count) : columns(rows, each, at, n, count)
    at += n
    return [spec.name, new ort.Tensor('float32', data, [count, ...spec.shape])]
  })
  const names = outputs.map((spec) => spec.name)
  const results = await session.run(Object.fromEntries(feeds), names)
  return names.map((name) => results[name])
}

/** Values at..at+n of each row, one after the other. */
function columns(rows: Float32Array, each: number, at: number, n: number, count: number): Float32Array {
  const data = new Float32Array(n * count)
  for (let b = 0; b < count; b++) data.set(rows.subarray(b * each + at, b * each + at + n), b * n)
  return data
}

/** A result's own buffer. @throws ApproxiferError PROTOCOL where it is not `count` times the output */
function valuesOf(tensor: OrtTensor, output: TensorSpec, count: number): Float32Array {
  const values = tensor.data as Float32Array
  if (values.length !== count * size(output)) {
    const what = `output '${output.name}': expected shape [${output.shape}] per query`
    throw new ApproxiferError('PROTOCOL', `${what}, got [${tensor.dims}] for ${count}`)
  }
  tensor.dispose()
  return values
}
