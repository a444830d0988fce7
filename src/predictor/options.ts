/** What callers may ask of a predictor, checked once. */

import {
  checkFunction,
  checkInteger,
  checkLengths,
  checkMs,
  checkNames,
  checkShare,
  checkString,
  checkWord,
  expected,
} from '../check'
import { type Clock, systemClock } from '../clock'
import type { Codec, CodecOptions } from '../codec/codec'
import type { CoreOptions } from '../core/core'
import type { CriterionOptions } from '../criterion'
import type { Guard } from '../errors'
import type { MemoryOptions } from '../memory/memory'
import { guarded, threw, type Warn, warnOnce } from '../notices'
import { atDeadlines, checkPolicy, defaultPolicy, type Rule } from '../query/decision'
import type { Choices } from '../query/ticket'
import type { Signature } from '../tensor'
import type { Verdict } from '../trust/verification'
import type { ModelWorker } from '../workers/worker'

export interface ServingOptions extends Choices, CriterionOptions {
  /**
   * How many queries are coded together, and how many results may be late or wrong. The code is 'systematic' unless chosen
   * otherwise, or with `preset`: exact answers when nobody is late; with byzantine > 0 every answer is proven or checked. Default:
   * none; queries go out one by one, and late ones are hedged.
   */
  scheme?: CodecOptions
  /** The same as the scheme's own option of this name. */
  preset?: 'aaai22'
  /** When to decode. Default 'fastest'. */
  rule?: Rule
  /**
   * Share of the queries that may be sent a second time, to another worker, since they are late (see `patience`); with the
   * systematic code. 0 for workers that must not be asked twice. Default 0.1.
   */
  hedges?: number
  /**
   * With byzantine > 0 and the systematic code: confidence from which a memory that shares an answer's label makes one worker
   * enough. 1: every answer is proven by E + 1 workers. Default 0.95.
   */
  integrity?: number
  /**
   * Share of the queries that several workers are asked for though one would do, to find those that lie; also where none is
   * expected. Default 0.01; 0 with hedges 0.
   */
  audit?: number
  /**
   * How far honest workers' answers to one query may differ, root mean square, over the standard deviation of the model's
   * answers. Default 0.001.
   */
  rounding?: number
  /** Share of first answers that are not late, by the last 500; the others may be recovered or hedged. Default 0.95. */
  patience?: number
  /**
   * With byzantine > 0 and the paper's code: share of the groups without a lie in which an answer is taken for one: it is dropped
   * unless others who are asked for its row give the same. Until so many groups were seen that this can be told, and always with
   * `preset: 'aaai22'`, as many are dropped as may be lies. Default 0.01.
   */
  falseAlarms?: number
  /** How long a query may wait for others to fill its group. Default 5 ms. */
  maxWaitMs?: number
  /**
   * How many partitions are kept apart at a time, each with its part of `memory.bytes`: see `predict`. The one that was asked longest
   * ago is forgotten for a new one. Default 1: nobody may name one.
   */
  partitions?: number
  /** How long a query may take, unless `predict` says otherwise. Default 10,000 ms. */
  deadlineMs?: number
  /** After this long without an answer a worker is restarted. Default 30,000 ms. */
  hangMs?: number
  /**
   * Rows that a worker gets in one run of its model at most, where more wait than there are workers: see docs/batches.md. How many
   * pay is measured. 1: each has a run of its own. Default: as many as the worker takes.
   */
  maxBatch?: number
  /** Queries in the house, beyond which `predict` rejects with OVERLOADED. Default 1,000. */
  maxQueries?: number
  /** Which numerical core. Default: WASM, else JS. */
  core?: CoreOptions
  /**
   * Remembers queries with the model's own answers, in at most `bytes`, and recovers lost answers from them, with any
   * code and even below the quorum. It keeps inputs (or features of them) in memory; `false` turns it off. Not with the paper's code and
   * byzantine > 0, where no single answer is proven. Default: on with the systematic code, unless the policy is 'retry'.
   */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'>
  /**
   * What a predictor of the same model has learned: see its `save`. One of another model, by names, shapes and (of local
   * workers) the model's bytes, of another criterion or other features, or one that is damaged, is a RangeError. With `partitions`, one by partition.
   */
  state?: Uint8Array | Readonly<Record<string, Uint8Array>>
  /** What becomes of a `state` that does not fit or is damaged: an error, or a warning and a fresh start. Default 'refuse'. */
  unfitState?: 'refuse' | 'forget'
  /** Told once per thing worth knowing. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Told of every worker that was shown to lie, is trusted again, or lied and is kept since too few others are left. */
  onVerdict?: (verdict: Verdict) => void
  /** For dealing rows to workers. Default 1. */
  seed?: number
  /** Time, for simulations. Default: the system's. */
  clock?: Clock
}

export interface PredictOptions extends Choices {
  deadlineMs?: number
  /**
   * Whose query it is: queries of different partitions never share a group, nor does what is remembered of one recover another.
   * See the option `partitions`.
   */
  partition?: string
  signal?: AbortSignal
}

/**
 * From which confidence a recovery is given where workers may lie: no worker's word stands behind it. At .9 .19 % of all answers of an
 * honest pool had a wrong label (CIFAR, 20,000 queries), now .03 %.
 */
const UNHEARD = 0.98
/** More rows than any worker takes in one run. */
const MOST_ROWS = 2 ** 16

const choiceNames = ['policy', 'minConfidence', 'deliver', 'atDeadline']
export const predictOptions = ['deadlineMs', 'signal', 'partition', ...choiceNames]
export const servingOptions = [
  ...choiceNames,
  ...[
    'scheme',
    'preset',
    'labelAxis',
    'tolerance',
    'memory',
    'state',
    'unfitState',
    'rule',
    'hedges',
    'patience',
    'maxWaitMs',
    'deadlineMs',
  ],
  ...[
    'hangMs',
    'maxBatch',
    'maxQueries',
    'core',
    'seed',
    'clock',
    'onWarning',
    'onVerdict',
    'integrity',
    'audit',
    'rounding',
    'falseAlarms',
    'partitions',
  ],
]

export type Settings = ReturnType<typeof checkSettings>

/**
 * @param guard  refuses requests that cannot use the predictor
 * @throws TypeError, RangeError naming the option, what was expected and what came
 */
export function checkSettings(options: ServingOptions, codec: Codec, guard?: Guard) {
  const { maxWaitMs = 5, deadlineMs = 10_000, hangMs = 30_000, hedges = 0.1, patience = 0.95, memory, state } = options
  const { scheme, code } = codec
  const rule = checkWord('rule', options.rule ?? 'fastest', ['fastest', 'deadline'] as const)
  checkShare('hedges', hedges, 'a share of the queries')
  checkShare('patience', patience, 'a share of the answers')
  // Without a scheme there is nothing to recover from; elsewhere an exact answer may be asked for again if nobody lies.
  const verified = isVerified(codec)
  const fallback = options.scheme ? defaultPolicy(code, verified ? 0 : scheme.byzantine) : 'retry'
  const choices = checkChoices(options, codec, rule, {
    policy: rule === 'fastest' ? fallback : 'recover',
    minConfidence: verified ? UNHEARD : 0.9,
    deliver: 'located',
    atDeadline: 'fail',
  })
  const warn = warnOnce(checkFunction('onWarning', options.onWarning ?? console.warn))
  checkMemory(options, codec, warn)
  const learns = code === 'systematic' && choices.policy !== 'retry'
  return {
    rule,
    choices,
    hedges,
    patience,
    maxWaitMs: checkMs('maxWaitMs', maxWaitMs),
    deadlineMs: checkMs('deadlineMs', deadlineMs),
    hangMs: checkMs('hangMs', hangMs),
    maxBatch: checkInteger('maxBatch', options.maxBatch ?? MOST_ROWS, 1, MOST_ROWS),
    maxQueries: checkInteger('maxQueries', options.maxQueries ?? 1000, 1),
    seed: checkInteger('seed', options.seed ?? 1, 0),
    partitions: checkInteger('partitions', options.partitions ?? 1, 1, 10_000),
    integrity: checkShare('integrity', options.integrity ?? 0.95),
    audit: checkShare('audit', options.audit ?? (hedges ? 0.01 : 0)), // workers that must not be asked twice are not
    rounding: checkShare('rounding', options.rounding ?? 1e-3),
    falseAlarms: checkShare('falseAlarms', options.falseAlarms ?? 0.01),
    memory: memory ?? (learns || state ? undefined : (false as const)),
    states: state instanceof Uint8Array ? { '': state } : checkStates(state, options.partitions ?? 1),
    unfitState: checkWord('unfitState', options.unfitState ?? 'refuse', ['refuse', 'forget'] as const),
    warn,
    onVerdict: guarded(checkFunction('onVerdict', options.onVerdict ?? (() => {})), threw('onVerdict', warn)),
    clock: options.clock ?? systemClock,
    labelAxis: options.labelAxis,
    tolerance: options.tolerance,
    guard,
  }
}

/** @param most  partitions */
function checkStates(state: ServingOptions['state'] = {}, most: number): Record<string, Uint8Array> {
  for (const bytes of typeof state === 'object' && state !== null ? Object.values(state) : [state]) {
    if (!(bytes instanceof Uint8Array))
      throw new TypeError(expected('state', 'a Uint8Array, or one by partition', bytes))
  }
  const states = { ...(state as Record<string, Uint8Array>) }
  const names = Object.keys(states).map((partition) => checkPartition(partition, most))
  if (names.length > most) throw new RangeError(`state: expected at most ${most} partitions, got ${names.length}`)
  return states
}

/** Whether every answer is proven or checked, rather than decoded from answers that may be lies. */
export function isVerified({ code, scheme }: Codec): boolean {
  return code === 'systematic' && scheme.byzantine > 0
}

/** What is remembered must be proven, and asked for. */
function checkMemory({ memory, state }: ServingOptions, codec: Codec, warn: Warn): void {
  const { scheme, code } = codec
  if (memory !== undefined && memory !== false) {
    if (typeof memory !== 'object' || memory === null) {
      throw new TypeError(expected('memory', 'an object or false', memory))
    }
    checkNames('memory', memory, ['bytes', 'features'])
  }
  if (scheme.byzantine && !isVerified(codec) && (memory || state)) {
    throw new RangeError(`${memory ? 'memory' : 'state'}: expected byzantine 0, got a scheme with liars`)
  }
  if (memory && !state && code === 'berrut' && scheme.points !== 'lobatto') {
    warn('the memory has nothing to learn from: the paper’s code asks for no query itself')
  }
}

export function checkChoices(choices: Choices, codec: Codec, rule: Rule, others: Required<Choices>): Required<Choices> {
  const policy = checkPolicy(choices.policy ?? others.policy, isVerified(codec) ? 0 : codec.scheme.byzantine)
  const minConfidence = choices.minConfidence ?? others.minConfidence
  checkShare('minConfidence', minConfidence, 'a probability')
  if (policy !== 'recover' && rule === 'deadline') {
    throw new RangeError(`policy: expected 'recover' with rule 'deadline', which leaves no time, got '${policy}'`)
  }
  const deliver = checkWord('deliver', choices.deliver ?? others.deliver, ['located', 'early', 'deadline'])
  if (deliver === 'deadline' && !isVerified(codec)) {
    throw new RangeError(`deliver: expected 'located' | 'early' where answers are not proven, got 'deadline'`)
  }
  const atDeadline = checkWord('atDeadline', choices.atDeadline ?? others.atDeadline, atDeadlines)
  return { policy, minConfidence, deliver, atDeadline }
}

/** @param most  partitions that are kept apart */
export function checkPartition(partition: unknown, most: number): string {
  const name = checkString('partition', partition)
  if (name === '' || most > 1) return name
  throw new RangeError(`partition: expected none without the option partitions, got ${JSON.stringify(partition)}`)
}

export function checkSignal(signal: unknown): void {
  if (signal === undefined || typeof (signal as AbortSignal | null)?.addEventListener === 'function') return
  throw new TypeError(expected('signal', 'an AbortSignal', signal))
}

/** Ready workers: each with a name of its own, no other predictor's, and all with the same model. */
export function checkAlike(workers: readonly ModelWorker[]): readonly ModelWorker[] {
  workers.forEach((worker, i) => {
    checkWorker(`workers[${i}]`, worker)
    if (worker.onFree) throw new RangeError(`workers[${i}]: expected one of no other predictor, got ${worker.name}`)
  })
  const seen = new Set<string>()
  workers.forEach(({ name }, i) => {
    if (seen.has(name)) throw new RangeError(`workers[${i}]: expected a name of its own, got ${name} again`)
    seen.add(name)
  })
  const [first, ...rest] = workers.map((worker) => JSON.stringify(worker.signature))
  const odd = rest.findIndex((signature) => signature !== first)
  if (odd >= 0) throw new RangeError(`workers[${odd + 1}]: expected signature ${first}, got ${rest[odd]}`)
  return workers
}

/** @throws TypeError, RangeError for what is no worker */
export function checkWorker(field: string, worker: ModelWorker): void {
  if (typeof worker?.infer !== 'function') throw new TypeError(expected(field, 'a ModelWorker', worker))
  checkString(`${field}.name`, worker.name)
  checkSpecs(`${field}.signature.inputs`, worker.signature?.inputs)
  checkSpecs(`${field}.signature.outputs`, worker.signature?.outputs)
  if (worker.fingerprint !== undefined) checkString(`${field}.fingerprint`, worker.fingerprint)
  const { maxBatch = 1, inferBatch } = worker
  if (checkInteger(`${field}.maxBatch`, maxBatch, 1) > 1 && typeof inferBatch !== 'function') {
    throw new TypeError(expected(`${field}.inferBatch`, 'a function, since maxBatch is above 1', inferBatch))
  }
}

function checkSpecs(field: string, specs: Signature['inputs'] | undefined): void {
  if (!Array.isArray(specs) || !specs.length) throw new TypeError(expected(field, 'names and shapes', specs))
  specs.forEach(({ name, shape }, i) => {
    checkString(`${field}[${i}].name`, name)
    checkLengths(`${field}[${i}].shape`, shape)
  })
}
