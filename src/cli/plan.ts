/** approxifer plan: workers and memory of a scheme, compared with replication and ParM; and what a model can be used for. */

import { basename } from 'node:path'
import { ApproxiferError } from '../base/errors'
import { doubtsOf, sayCriterion } from '../base/output-kind'
import type { SchemeOptions } from '../base/scheme'
import { isOpen, type Signature } from '../base/tensor'
import type { Codec, CodecOptions } from '../codec/codec'
import { loadCore } from '../core/load'
import { parmWorkers, replicationWorkers } from '../evaluate/group-scores'
import { type Abilities, abilitiesOf } from '../predictor/abilities'
import { codecFor } from '../predictor/coder'
import { workersNeeded } from '../predictor/create'
import { isVerified } from '../predictor/settings'
import type { OnnxModel } from '../workers/onnx/model'
import { type ModelFile, readModel } from '../workers/onnx/model-file'
import { asOptions, loadModel, type ModelOptions, shapes } from './files'
import { table } from './table'
import { wrap } from './terminal'

/** Resident memory of one worker with a small model: 45 to 80 MB were measured on Node 20. */
const WORKER_MB = 75
/** How many times a worker's memory holds the model's bytes. */
const MODEL_COPIES = 3
/** Runs of the model of which the fastest counts, within `TIMED_MS`: the runtime compiles during the first runs, which are slow. */
const TIMED_RUNS = 15
const TIMED_MS = 1000
const UNTIMED = { inferenceMs: null, inferenceShapes: null }
/** An upper bound of the time of most lookups in a memory (docs/appendix/reuse.md). */
const LOOKUP_MS = 0.5

export interface PlanOptions extends SchemeOptions, Pick<CodecOptions, 'preset'>, ModelOptions {
  model?: string
  json?: boolean
}

/** A model's signature and abilities, or the reason why it cannot be served. */
interface Judged extends Signature {
  ok: boolean
  abilities: Abilities | null
  /** Milliseconds of one inference on one thread of this machine; null where no sample query could be made. */
  inferenceMs: number | null
  /** The shapes of that sample query's inputs. */
  inferenceShapes: readonly (readonly number[])[] | null
  warnings: readonly string[]
  reason: string | null
}

/** Prints the plan, also for a model that cannot be served; then the exit code is 1. */
export async function plan(options: PlanOptions): Promise<void> {
  const { queries, stragglers, byzantine, workers, points, preset, model: path } = options
  const codec = codecFor(await loadCore(), { queries, stragglers, byzantine, workers, points, preset })
  if (path === undefined && (options.inputShapes || options.outputs)) {
    throw new TypeError('--model: expected a file, with --input-shapes or --outputs; got none')
  }
  const file = path === undefined ? undefined : await readModel(path)
  const model = path === undefined || !file ? undefined : await judge(path, file, options)
  const result = { ...costs(codec, file ? bytesIn(file) : 0), ...(model && { model }) }
  if (model && !model.ok) process.exitCode = 1
  if (options.json) {
    const error = model?.reason ? { error: { code: 'MODEL', message: model.reason } } : {}
    return console.log(JSON.stringify({ ...result, ...error }, null, 2))
  }
  console.log(costTable(result, !model?.abilities?.why))
  if (path !== undefined && model) console.log(`\n${verdict(basename(path), model)}`)
}

const bytesIn = ({ bytes, weights }: ModelFile) =>
  Object.values(weights).reduce((sum, { length }) => sum + length, bytes.length)

async function judge(path: string, file: ModelFile, options: ModelOptions): Promise<Judged> {
  try {
    const model = await loadModel(path, file, options)
    const timed = await timeOf(model).finally(() => model.close())
    const { signature } = model
    const abilities = abilitiesOf(model)
    const warnings = [...model.warnings, ...(abilities.memory === 'vector' ? doubtsOf(abilities.right) : [])]
    return { ok: true, ...signature, abilities, ...timed, warnings, reason: null }
  } catch (error) {
    if (!(error instanceof ApproxiferError)) throw error
    return { ok: false, inputs: [], outputs: [], abilities: null, ...UNTIMED, warnings: [], reason: error.message }
  }
}

/** The time of the fastest run: other processes of the machine can only make a run slower. */
async function timeOf(model: OnnxModel): Promise<Pick<Judged, 'inferenceMs' | 'inferenceShapes'>> {
  const { sample, signature } = model
  if (!sample) return UNTIMED
  let [least, all] = [Infinity, 0]
  for (let i = 0; i < TIMED_RUNS && all < TIMED_MS; i++) {
    const since = performance.now()
    await model.run(sample)
    const ms = performance.now() - since
    all += ms
    least = Math.min(least, ms)
  }
  const inferenceShapes = sample.map(({ shape }) => (signature.batched === false ? shape : shape.slice(1)))
  return { inferenceMs: least, inferenceShapes }
}

function verdict(name: string, judged: Judged): string {
  const { inputs, outputs, batched, abilities, warnings, reason } = judged
  if (!abilities) return wrap(`${name} cannot be served: ${reason}`)
  const { why, whyNotEqual, memory } = abilities
  const isRemembered = memory === 'vector'
  const works = [
    'hedges',
    'retries',
    'deadlines',
    ...(batched === false ? [] : ['batches']),
    ...(whyNotEqual ? [] : ['agreement (--byzantine)']),
    'workers anywhere',
  ]
  const able = why
    ? [
        `${name} can be served${isRemembered ? ' and remembered, without a code' : ', without a code and a memory'}: ${asOptions(why)}`,
        `  works: ${works.join(', ')}`,
        `  does not: --stragglers, the paper’s scheme${isRemembered ? '' : `, recovery from a memory${memory ? ', but with numbers of yours for each query (memory.features, in code)' : ''}`}`,
      ]
    : [`${name} can be served, coded and remembered`]
  if (whyNotEqual) able.push(`  does not: agreement (--byzantine) and reuse.exact: ${whyNotEqual}`)
  const rights = abilities.right.map(
    ({ output, right, why }) => `  right: ${output} where ${sayCriterion(right)}, since ${why}`,
  )
  const signature = [`  takes ${shapes(inputs)}`, `  gives ${shapes(outputs)}`, ...(isRemembered ? rights : [])]
  return wrap(
    [...able, ...signature, ...adviceFor(judged), ...warnings.map((text) => `  warning: ${text}`)].join('\n'),
    2,
  )
}

/** Whether the memory pays: that depends on how long an inference takes, and on whether it runs on this machine. */
function adviceFor({ inputs, abilities, inferenceMs: ms, inferenceShapes }: Judged): string[] {
  if (ms === null) return []
  const tried = inputs.flatMap((input, i) => (isOpen(input) ? `${input.name} ${inferenceShapes?.[i].join('x')}` : []))
  const ofLength = tried.length ? `, with ${tried.join(', ')}` : ''
  const pays =
    ms > LOOKUP_MS ? 'may spare more than its lookups take' : 'pays only where inference runs on other machines'
  return [
    `  an inference takes ${Number(ms.toPrecision(2))} ms on one thread here${ofLength}`,
    ...(abilities?.memory === 'vector'
      ? [`  reuse.maxError, answers before asking (.05 to ${LOOKUP_MS} ms a lookup): ${pays}`]
      : []),
  ]
}

/** The cost of the scheme as `createPredictor` would run it, of the paper's code, of replication and of ParM. */
function costs(codec: Codec, modelBytes: number) {
  const { code, scheme } = codec
  const { queries, stragglers, byzantine, points, quorum } = scheme
  const workerMb = WORKER_MB + (MODEL_COPIES * modelBytes) / 2 ** 20
  const cost = (n: number) => ({ workers: n, overhead: n / queries, memoryMb: Math.round(n * workerMb) })
  const parm = parmWorkers(scheme)
  const verified = isVerified(codec)
  return {
    scheme: { queries, stragglers, byzantine, code, points },
    approxifer: { ...cost(workersNeeded(codec)), quorum: verified ? null : quorum },
    paper: verified ? { ...cost(scheme.workers), quorum } : null,
    replication: cost(replicationWorkers(scheme)),
    parm: parm === undefined ? null : cost(parm),
  }
}

/** @param codes  whether the model can be coded */
function costTable({ scheme, approxifer, paper, replication, parm }: ReturnType<typeof costs>, codes: boolean): string {
  const { queries, stragglers, byzantine, code, points } = scheme
  const rows = table(['', 'workers', 'overhead', 'memory, about', 'note'])
  const row = (name: string, { workers, overhead, memoryMb }: typeof replication, note: string) =>
    rows.push([name, workers, `${overhead.toFixed(2)}x`, `${memoryMb} MB`, note])
  const without = (name: string, why: string) => rows.push([name, '-', '-', '-', why])
  const { quorum } = approxifer
  const proof = quorum ? `decodes from ${quorum} results` : `each answer proven by ${byzantine + 1}, or checked`
  if (codes || !stragglers) row('approxifer', approxifer, proof)
  else without('approxifer', 'not with this model; without --stragglers')
  if (paper && codes) row("the paper's code", paper, `decodes from ${paper.quorum} results, approximations`)
  row('replication', replication, 'exact answers')
  if (!parm) without('ParM', 'does not find liars')
  else if (codes) row('ParM', parm, `${stragglers} model(s) to train`)
  else without('ParM', 'not with this model; it adds queries up')
  const nodes = code === 'berrut' ? `, the paper's code, ${points} nodes` : ''
  return `${wrap(`${queries} queries, ${stragglers} straggler(s), ${byzantine} liar(s)${nodes}`)}\n${rows}`
}
