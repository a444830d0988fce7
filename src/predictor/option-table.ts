/**
 * The options of `createPredictor` and `predict`: checks, the flags of `approxifer serve` for its models, the tables in docs/ and the docstrings of
 * the published types are generated from this. Defaults that depend on other options are in settings.ts.
 */

import { checkSignal } from '../base/abort'
import {
  checkBoolean,
  checkMs,
  checkShare,
  checkString,
  expected,
  isObject,
  type OtherWord,
  outOfRange,
} from '../base/check'
import type { Choices } from '../base/choices'
import { atDeadlines, onOverloads, policies } from '../base/choices'
import { type Clock, systemClock } from '../base/clock'
import { ROUNDING } from '../base/criterion'
import {
  type AnyOptions,
  any,
  callback,
  group,
  integer,
  number,
  open,
  option,
  read,
  switchable,
  type TableOf,
  words,
  wordsOf,
} from '../base/option'
import { checkRight } from '../base/output-kind'
import { MOST } from '../base/scheme'
import { isTraceparent } from '../base/traceparent'
import type { CoreOptions } from '../core/load'
import type { PredictorEvent } from '../events'
import { priorities } from '../pool/attempt'
import { type LocalOptions, threadOptions } from '../workers/local/options'
import { type MemoryChoices, type PredictOptions, type PredictorOptions, type SchemeChoices, trusts } from './options'
import { synonyms } from './synonyms'

type Workers = NonNullable<PredictorOptions['workers']>
/** With less a window would be longer than a memory is used for; more is no useful promise. */
const [LEAST_ERROR, MOST_ERROR] = [1e-4, 0.5]
const probability = (field: string, value: unknown) => checkShare(field, value, 'a probability')

const checkTraceparent = (field: string, value: unknown): string => {
  if (isTraceparent(value)) return value
  throw outOfRange(
    expected(field, "a W3C traceparent, as '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'", value),
  )
}

const choices = {
  policy: open(
    words(policies),
    "`'auto'`; without a scheme `'retry'`",
    'what a query gets if its answer is late or lost',
    '--policy <policy>',
  ),
  minConfidence: open(
    probability,
    '0.9; 0.98 where workers may lie',
    'least confidence of a recovery that the policy `auto` gives',
    '--min-confidence <p>',
  ),
  atDeadline: option(
    words(atDeadlines),
    'fail',
    'what a query without an answer gets at its deadline: an error, or the best recovery',
    '--at-deadline <what>',
  ),
  onOverload: option(
    words(onOverloads),
    'fail',
    'what a query gets if no worker can answer it in time: an error, or the memory’s answer',
    '--on-overload <what>',
  ),
} satisfies TableOf<Choices>

export const predictOptions = {
  deadlineMs: open(checkMs, 'the predictor’s', 'how long the query may take'),
  signal: open(checkSignal, 'none', 'an `AbortSignal`; when it fires, the query rejects with ABORTED'),
  priority: open(words(priorities), "`'normal'`", 'place in the queue: see [overload](serving.md#overload)'),
  tenant: open(checkString, 'none', 'the query’s tenant: see [tenants](#tenants)'),
  caller: open(
    checkString,
    'none',
    'the sender of a query without a tenant: callers take turns in the queue, and share the memory',
  ),
  weight: option(
    integer(1, 1000),
    1,
    'turns of the query’s tenant or caller in the queue, for each turn of another one; the first waiting query’s counts',
  ),
  traceparent: open(
    checkTraceparent,
    'none',
    'W3C Trace Context of the caller: HTTP workers and machines get it, and events contain it',
  ),
  ask: option(
    checkBoolean,
    false,
    '`true`: a worker answers, even if the memory could answer: see [reuse](../appendix/reuse.md)',
  ),
  ...choices,
} satisfies TableOf<PredictOptions>

const scheme = {
  queries: open(integer(1, MOST.queries), 'none', 'K: queries that are coded together', '--queries <K>'),
  stragglers: option(
    integer(0, MOST.stragglers),
    0,
    'S: results of a group that may be late or missing',
    '--stragglers <S>',
  ),
  byzantine: option(integer(0, MOST.byzantine), 0, 'E: results of a group that may be lies', '--byzantine <E>'),
  workers: open(
    integer(1, MOST.workers),
    'K + S; of the paper’s code 2(K + E) + S where E > 0',
    'N: coded queries of a group',
  ),
  preset: open(words(['aaai22']), 'none', 'the paper’s code, decoder and locator'),
} satisfies TableOf<SchemeChoices>

export const hedge = {
  budget: option(
    checkShare,
    0.2,
    'largest share of all queries that are hedged when late; the predictor measures from which age of a query a hedge pays',
  ),
} satisfies TableOf<Exclude<PredictorOptions['hedge'], false | undefined>>

const verify = {
  trust: option(
    words(trusts),
    'closed',
    "`'open'`: anybody may join, and workers must earn trust: see [open fleets](../appendix/liars.md#open-fleets)",
    '--trust <whom>',
  ),
  mode: option(
    words(['every', 'sampled']),
    'every',
    'if workers may lie: every answer is proven, or a sample is audited: see [sampled](../appendix/liars.md#sampled-verification)',
    '--verify <which>',
  ),
  rate: open(
    shareOf,
    "0.05 with `'sampled'`",
    'share of each worker’s queries that a trusted worker answers too',
    '--verify-rate <share>',
  ),
  integrity: open(
    checkShare,
    "0.95; 0.999 with trust `'open'`",
    'least confidence with which the memory may confirm an answer; 1: every answer is proven. In an open fleet: the share of right answers',
    '--integrity <p>',
  ),
  audit: open(checkShare, '0.01; 0 without hedges', 'share of queries that go to several workers, to find liars'),
  rounding: option(
    checkShare,
    ROUNDING,
    'how far values of honest answers may differ, relative to the size of their output',
  ),
} satisfies TableOf<NonNullable<PredictorOptions['verify']>>

const memory = {
  bytes: open(
    integer(0),
    '64 MiB',
    'largest size of the memory in bytes; with 0 the saved state contains only the workers’ records',
  ),
  features: open(
    any<NonNullable<MemoryChoices['features']>>,
    'see [memory](memory.md#features)',
    'how queries are compared',
  ),
  state: open(state, 'none', 'result of `save()`, or one result per tenant: see [saved state](memory.md#saved-state)'),
} satisfies TableOf<MemoryChoices>

const limits = {
  queries: option(
    integer(1),
    1000,
    'most queries in flight; further queries are refused with OVERLOADED (HTTP 429)',
    '--max-queries <n>',
  ),
  batch: open(
    integer(1),
    'as many as the worker takes',
    'most queries in one run of the model: see [batches](../appendix/performance.md#batches)',
  ),
  pad: option(
    checkBoolean,
    false,
    '`true`: token sequences of different lengths may share a run of the model: see [models](models.md#lengths-that-vary)',
  ),
  tenants: option(integer(1, 10_000), 1, 'most tenants that are kept apart: see [tenants](#tenants)', '--tenants <n>'),
} satisfies TableOf<NonNullable<PredictorOptions['limits']>>

const rollout = {
  shadow: option(
    checkShare,
    0,
    'share of the queries that a new model answers only for comparison',
    '--shadow <share>',
  ),
  canary: option(
    checkShare,
    0,
    'share of the queries that a new model answers before it takes over',
    '--canary <share>',
  ),
  agreement: option(
    checkShare,
    0.95,
    'share of a new model’s answers that must agree with the serving model’s answers',
    '--agreement <share>',
  ),
} satisfies TableOf<NonNullable<PredictorOptions['rollout']>>

const reuse = {
  exact: option(
    checkBoolean,
    false,
    '`true`: later equal queries get the model’s answer to the first of them: see [equal queries](memory.md#equal-queries)',
  ),
  maxError: open(
    number(LEAST_ERROR, MOST_ERROR),
    'none',
    'lets the memory answer queries; largest share of all answers that may be wrong: see [reuse](../appendix/reuse.md)',
    '--max-error <share>',
  ),
  bytes: option(integer(0), 64 * 2 ** 20, 'largest size of the cached queries and answers in bytes'),
} satisfies TableOf<NonNullable<PredictorOptions['reuse']>>

const testing = {
  clock: option(any<Clock>, systemClock, 'time'),
  seed: option(integer(0), 1, 'for dealing rows'),
  coin: open(callback<() => number>, 'a secret one', 'uniform, from 0 to 1, for what is audited'),
  memoryThread: open(
    any<NonNullable<NonNullable<PredictorOptions['testing']>['memoryThread']>>,
    'the runtime’s',
    'what starts the thread that keeps the memory',
  ),
  core: open(any<CoreOptions>, 'WASM, else JS', "`{ prefer: 'js' }` or `{ module }`"),
} satisfies TableOf<NonNullable<PredictorOptions['testing']>>

export const predictorOptions = {
  model: open(any<LocalOptions['model']>, '', 'path (Node), URL or bytes of an .onnx file'),
  workers: open(
    any<Workers>,
    'as many as are needed',
    'number of local workers, or remote workers: see [remote workers](remote.md)',
  ),
  scheme: {
    ...open(
      (field, value) => read(scheme, field, value) as SchemeChoices,
      'none',
      'how queries are coded; without a scheme late queries are hedged',
    ),
    options: scheme,
  },
  ...choices,
  deadlineMs: option(checkMs, 10_000, 'how long a query may take', '--deadline <ms>'),
  maxWaitMs: option(checkMs, 5, 'how long a query waits for its group to fill'),
  hangMs: option(checkMs, 30_000, 'a worker that does not answer for this long is restarted'),
  hedge: switchable('on', 'second requests for late queries; `false`: no query is sent twice', hedge),
  verify: group(
    'how answers are verified if workers may lie: see [workers that lie](guarantees.md#workers-that-lie)',
    verify,
  ),
  memory: switchable(
    "on; off with policy `'retry'` and the paper’s code",
    'pairs of query and answer, from which lost answers are recovered; `false`: none',
    memory,
  ),
  limits: group('limits of queries, batches and tenants', limits),
  right: open(
    checkRight,
    'depends on the outputs',
    'when an answer is right: `label`, `labels`, `equal`, `axis`, `threshold`, `top`, `within` or `relative` (as a flag: `top:3`): see [what counts as right](models.md#what-counts-as-right)',
    '--right <what>',
  ),
  reuse: group('answers that need no worker', reuse),
  rollout: {
    ...open(
      (field, value) => read(rollout, field, value),
      'the new model takes over when more machines have it',
      'how a new model of remote workers takes over: see [a new model](serving.md#a-new-model)',
    ),
    options: rollout,
  },
  onnx: group('for local workers', threadOptions),
  layers: open(
    callback<NonNullable<PredictorOptions['layers']>>,
    'the standard layers',
    'a function that gets the standard layers and returns the layers to use: see [layers](layers.md)',
  ),
  onWarning: open(callback<(text: string) => void>, '`console.warn`', 'called once for each warning'),
  onEvent: open(
    callback<(event: PredictorEvent) => void>,
    'none',
    'called with events of queries, workers and models: see [events](events.md)',
  ),
  testing: group('for simulations', testing),
} satisfies TableOf<PredictorOptions>

/** Words for options of `createPredictor`, for errors of a function that has others. @param own  the function's options */
export function predictorWords(own: AnyOptions = {}): OtherWord[] {
  const translated = ([path, words]: [string, readonly string[]]) =>
    words.map((word): OtherWord => (path in own ? [word, `'${path}'`] : [word, `'${path}' of createPredictor`, true]))
  return [...wordsOf('createPredictor', predictorOptions, own), ...Object.entries(synonyms).flatMap(translated)]
}

function shareOf(field: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw new RangeError(expected(field, 'a number above 0, up to 1', value))
}

function state(field: string, value: unknown): NonNullable<MemoryChoices['state']> {
  const isByTenant = isObject(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value))
  for (const bytes of isByTenant ? Object.values(value) : [value]) {
    if (!(bytes instanceof Uint8Array)) throw new TypeError(expected(field, 'a Uint8Array, or one by tenant', bytes))
  }
  return value as NonNullable<MemoryChoices['state']>
}
