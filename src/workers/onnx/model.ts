/** A model in an ONNX runtime: its signature, what was learned about it at load, and batches through it. */

import type { InferenceSession } from 'onnxruntime-web'
import { ROUNDING } from '../../base/criterion'
import { type ElementType, joinedData, partOf } from '../../base/element'
import { asError } from '../../base/errors'
import { read } from '../../base/option'
import type { OutputHints } from '../../base/output-kind'
import { areReadAsVectors, sizesOf, tensorsOf, vectorOf } from '../../base/payload'
import { type AnyTensor, rowLength, type Signature, size, type TensorList } from '../../base/tensor'
import type { Ort } from '../../platform/platform'
import type { SequenceAxes } from '../sequence'
import { lastNodes } from './graph'
import type { ModelFile } from './model-file'
import { type OnnxOptions, onnxOptions } from './options'
import { CPU, compareWithCpu, isReference } from './reference'
import { areAlike, type SampleAnswer, samples } from './samples'
import { sequenceAxes } from './sequence'
import { importOrt, openSession, providersOf } from './session'
import { inputSpecs, outputNames, outputSpecs, takesBatches } from './specs'
import { warningsAbout } from './warnings'

/** Silences the runtime's error log while shapes are tried that may not fit. */
const QUIET = { logSeverityLevel: 4 } as const

/** Batch size that is tried at load if an inference takes less than QUICK_MS; else 2, so that loading stays fast. */
const MANY = 16
const QUICK_MS = 50

/** One inference session. Runs one batch at a time. */
export class OnnxModel {
  /** Whether queries of equal shapes can be run as one batch with the same answers as alone. */
  batches = false
  /** Whether it gives the same answer to the same query twice, which models with random layers do not. True if it could not be tried. */
  repeats = true
  warnings: readonly string[] = []
  /** Root mean square of each output in the answer to a fixed query; 0 if the output is not real-valued, or unknown. */
  scales: readonly number[] = []

  sequence: SequenceAxes | false = false
  /** What its file and config.json say about each output. */
  hints: readonly OutputHints[] = []
  /** A query that it answered at load, with the batch dimension if the model has one; undefined if none worked. */
  sample: TensorList | undefined

  private constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
    readonly signature: Signature,
  ) {}

  /**
   * Loads, checks and warms up a model.
   *
   * @param model  the .onnx file and its weights; may be in shared memory; not retained
   * @throws ApproxiferError MODEL with advice; TypeError or RangeError for a wrong option
   */
  static async load(model: Uint8Array | ModelFile, options: OnnxOptions = {}): Promise<OnnxModel> {
    read(onnxOptions, '', options)
    const ort = await importOrt(options)
    ort.env.wasm.numThreads = 1
    ort.env.wasm.proxy = false
    ort.env.logLevel = 'error'
    if (options.wasmPaths !== undefined) ort.env.wasm.wasmPaths = options.wasmPaths
    const file = model instanceof Uint8Array ? { bytes: model, weights: {} } : model
    const session = await openSession(ort, file, options)
    try {
      return await OnnxModel.#check(ort, session, file, options)
    } catch (error) {
      await session.release().catch(() => {})
      throw asError(error, 'MODEL', 'the model cannot be run: ')
    }
  }

  static async #check(ort: Ort, session: InferenceSession, file: ModelFile, options: OnnxOptions): Promise<OnnxModel> {
    const { inputs, batched } = inputSpecs(session, options.inputShapes)
    const names = outputNames(session, options.outputs)
    const draft = { inputs, outputs: names.map((name) => ({ name, shape: [] })), ...(!batched && { batched }) }
    const tried = await samples(draft, (batch) => run(ort, session, draft, batch, QUIET))
    const model = new OnnxModel(ort, session, { ...draft, ...outputSpecs(session, names, draft, tried) })
    model.hints = hintsOf(file, model.signature)
    if (tried) await model.#learn(tried, takesBatches(session))
    if (tried && model.repeats) await model.#compare(tried, file, options)
    return model
  }

  /** Compares the answers of an accelerator with the CPU's. @throws ApproxiferError MODEL if they differ */
  async #compare(tried: readonly SampleAnswer[], file: ModelFile, options: OnnxOptions): Promise<void> {
    const providers = providersOf(options)
    if (providers.every(isReference)) return
    const cpu = await openSession(this.ort, file, { ...options, providers: [CPU] }).catch((error) => error)
    if (cpu instanceof Error) {
      // the model may be too large for a second session
      const warning = `the answers of ${providers} are not compared with the CPU's: ${cpu.message}`
      this.warnings = [...this.warnings, warning]
      return
    }
    const truth = (query: TensorList) => run(this.ort, cpu, this.signature, query)
    const { rounding = ROUNDING } = options
    await compareWithCpu({ providers, rounding, signature: this.signature }, tried, truth).finally(() => cpu.release())
  }

  /** Learns the model's properties from its answers to two sample queries. */
  async #learn(tried: readonly SampleAnswer[], mayBatch: boolean): Promise<void> {
    const { outputs } = this.signature
    const [, { query, answer }] = tried
    this.sample = query
    this.scales = sizesOf(answer, outputs)
    const since = performance.now()
    this.repeats = areAlike(outputs, answer, await this.run(query))
    const rows = performance.now() - since < QUICK_MS ? MANY : tried.length
    if (areReadAsVectors(this.signature)) this.warnings = warningsAbout(outputs, tried)
    this.batches = mayBatch && this.signature.batched !== false && (await this.#answersTogether(tried, rows))
    const tries = (batch: TensorList) => run(this.ort, this.session, this.signature, batch, QUIET)
    this.sequence = await sequenceAxes(this.session, this.signature, tried[1], tries)
  }

  /** Whether a batch gives the same answers as its queries alone: a dynamic batch dimension does not guarantee that. */
  async #answersTogether(tried: readonly SampleAnswer[], rows: number): Promise<boolean> {
    const all = Array.from({ length: rows }, (_, i) => tried[i % tried.length])
    try {
      return areAlike(
        this.signature.outputs,
        batchOf(all.map(({ answer }) => answer)),
        await this.run(batchOf(all.map(({ query }) => query))),
      )
    } catch {
      return false
    }
  }

  /**
   * Runs one batch.
   *
   * @param batch  a tensor for each input, with the batch dimension if the model has one
   * @returns a tensor for each output, in the shape that the runtime reports
   */
  run(batch: TensorList): Promise<TensorList> {
    return run(this.ort, this.session, this.signature, batch)
  }

  /**
   * Runs `count` vectors that are concatenated in `rows`; the answers are concatenated in a fresh array. Only for models whose queries
   * and answers can be read as vectors.
   */
  async infer(rows: Float32Array, count = 1): Promise<Float32Array> {
    const { inputs, outputs } = this.signature
    const [length, width] = [rows.length / count, rowLength(outputs)]
    const step = this.batches ? count : 1
    const answers = new Float32Array(count * width)
    for (let from = 0; from < count; from += step) {
      const part = Array.from({ length: step }, (_, i) => rows.subarray((from + i) * length, (from + i + 1) * length))
      const batch = batchOf(part.map((row) => tensorsOf(row, inputs).map(asBatch)))
      let at = from * width
      for (const [i, tensor] of (await this.run(batch)).entries()) {
        const n = size(outputs[i])
        for (let b = 0; b < step; b++)
          answers.set(vectorOf([{ ...tensor, data: partOf(tensor.data, b * n, n) }]), b * width + at)
        at += n
      }
    }
    return answers
  }

  async close(): Promise<void> {
    await this.session.release()
  }
}

function hintsOf({ bytes, config }: ModelFile, { outputs, batched = true }: Signature): OutputHints[] {
  const nodes = lastNodes(
    bytes,
    outputs.map(({ name }) => name),
  )
  return outputs.map(({ name }) => {
    const node = Object.hasOwn(nodes, name) ? nodes[name] : undefined
    const { op, axis } = node ?? {}
    const own = axis === undefined || axis < 0 || !batched ? axis : axis - 1
    return { ...(config && { config }), ...(op && { node: { op, axis: own } }) }
  })
}

/** One query's tensor as a batch of one. */
export const asBatch = ({ shape, ...tensor }: AnyTensor): AnyTensor => ({ ...tensor, shape: [1, ...shape] })

/** Concatenates queries of equal shapes along the batch dimension. */
function batchOf(queries: readonly TensorList[]): TensorList {
  if (queries.length === 1) return queries[0]
  return queries[0].map(({ shape: [, ...rest], ...tensor }, i) => {
    const data = joinedData(queries.map((query) => query[i].data))
    return { ...tensor, data, shape: [queries.length, ...rest] }
  })
}

async function run(
  ort: Ort,
  session: InferenceSession,
  { inputs, outputs }: Signature,
  batch: TensorList,
  options: InferenceSession.RunOptions = {},
): Promise<TensorList> {
  const feeds = inputs.map(({ name, type = 'float32' }, i) => {
    const { data, shape } = batch[i]
    return [name, new ort.Tensor(type as 'float32', data as Float32Array, shape)] as const
  })
  const results = await session.run(
    Object.fromEntries(feeds),
    outputs.map(({ name }) => name),
    options,
  )
  return outputs.map(({ name }) => {
    const { data, dims, type } = results[name]
    results[name].dispose()
    return { data: data as AnyTensor['data'], shape: dims, ...(type !== 'float32' && { type: type as ElementType }) }
  })
}
