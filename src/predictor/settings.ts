/** The predictor's options with their defaults, also those that depend on other options. */

import { checkNames, expected, outOfRange } from '../base/check'
import { type Choices, checkPolicy, defaultPolicy } from '../base/choices'
import { systemClock } from '../base/clock'
import type { Guard } from '../base/errors'
import { guarded, threw, toConsole, type Warn, warnOnce } from '../base/notices'
import { read, type ValuesOf, wordsOf } from '../base/option'
import type { Codec } from '../codec/codec'
import { Events } from '../events'
import { NORMAL, priorities, type Turn } from '../pool/attempt'
import { hedge as hedgeOptions, predictOptions, predictorOptions, predictorWords } from './option-table'
import type { MemoryChoices, PredictOptions, PredictorOptions } from './options'
import { synonymWords } from './synonyms'

/** Confidence from which a recovery is given. */
export const CONFIDENT = 0.9
/**
 * The same where workers may lie, since no worker confirms a recovery. At .9, .19 % of all answers of an honest fleet had a wrong label (CIFAR,
 * 20,000 queries); at .98, .03 %.
 */
const UNVERIFIED = 0.98
/** Confidence from which the memory's agreement makes one worker enough; in an open fleet the share of right answers. */
const CHECKED = 0.95
const OPEN = 0.999

/** Prefix of callers' names: no tenant's name begins with it, so that no caller takes a tenant's turns. */
const APART = '\0'

/** Options, each checked by itself. */
export type Checked = ValuesOf<typeof predictorOptions>

/** @throws TypeError, RangeError naming the option, what was expected and what came */
export function checkOptions(options: PredictorOptions): Checked {
  return read(predictorOptions, '', options, () => [
    ...synonymWords(),
    ...wordsOf('predict', predictOptions, predictorOptions),
  ])
}

const predictNames = Object.keys(predictOptions)

/** @throws TypeError for a name that is no option of a query */
export const checkPredictNames = (options: PredictOptions) =>
  checkNames('', options, predictNames, () => predictorWords(predictOptions))

/** The part of the codec that options depend on. */
export interface Coded {
  readonly code: string
  readonly scheme: Pick<Codec['scheme'], 'queries' | 'stragglers' | 'byzantine' | 'workers'>
  /** In a page without WebAssembly: why it has none. */
  readonly fallback?: string | undefined
}

export type Settings = ReturnType<typeof settingsOf>

/**
 * @param guard  refuses requests that cannot use the predictor
 * @throws RangeError for options that do not go together
 */
export function settingsOf(options: Checked, coded: Coded, guard?: Guard) {
  const { hedge = read(hedgeOptions, 'hedge', {}), verify, memory, limits } = options
  const warn = warnOnce(options.onWarning)
  const { budget } = hedge || { budget: 0 }
  const choices = checkChoices(options, coded, defaultChoices(options, coded))
  checkMemory(options, coded, warn)
  if (coded.fallback) warn(`coding and the memory run in JavaScript, which is slower: ${coded.fallback}`)
  checkUnsampled(options)
  if (options.rollout?.shadow && coded.code !== 'systematic')
    throw new RangeError(expected('rollout.shadow', '0 with the paper’s code', options.rollout.shadow))
  const { maxError } = options.reuse
  const learns = coded.code === 'systematic' && (choices.policy !== 'retry' || maxError !== undefined)
  const { bytes, features, state } = memory || {}
  // A saved memory is loaded even if the queries are too large to be remembered.
  const chosen = state && bytes === undefined && !features ? undefined : { bytes, features }
  return {
    ...options,
    ...options.testing,
    guard,
    /** If the meaning of outputs is a guess: what the user has to say. Until then `auto` acts like `retry`. */
    guess: undefined as string | undefined,
    choices,
    /** The choices of a query that makes none. */
    usual: { choices, deadlineMs: options.deadlineMs, turn: NORMAL, signal: undefined },
    hedge: { budget },
    verify: {
      ...verify,
      integrity: verify.integrity ?? (verify.trust === 'open' ? OPEN : CHECKED),
      // Audits send a query twice: not without hedges, and not where trusted workers do them.
      audit: verify.audit ?? (budget && verify.mode === 'every' ? 0.01 : 0),
      ...(maxError !== undefined && { integrity: 1 }), // the memory must not confirm answers that show whether it is right
    },
    memory: memory === false || bytes === 0 || (!memory && !learns) ? (false as const) : memory && chosen,
    states: statesOf(state, limits.tenants),
    /** Gives each different warning once. */
    warn,
    /** Tells each change of what serves, however often it comes. */
    report: guarded(options.onWarning ?? toConsole),
    events: new Events(
      options.testing.clock ?? systemClock,
      options.onEvent && guarded(options.onEvent, threw('onEvent', warn)),
    ),
  }
}

/**
 * If the meaning of outputs is a guess, nothing is recovered, and nothing remembered unless the user asks for it. @param guess  what the user has
 * to say
 */
export function withoutRecoveries(settings: Settings, guess: string, remembers: boolean): Settings {
  const choices = { ...settings.choices, policy: 'retry' as const }
  const memory = remembers && settings.memory
  return { ...settings, guess, choices, usual: { ...settings.usual, choices }, memory }
}

/** Without a scheme the default is `retry`; with the paper's code `recover`; else `auto`. */
function defaultChoices({ scheme, atDeadline, onOverload }: Checked, coded: Coded): Required<Choices> {
  const verified = isVerified(coded)
  const policy = scheme ? defaultPolicy(coded.code, verified ? 0 : coded.scheme.byzantine) : 'retry'
  return { policy, minConfidence: verified ? UNVERIFIED : CONFIDENT, atDeadline, onOverload }
}

/** Whether every answer is proven or checked, rather than decoded from answers that may be lies. */
export function isVerified({ code, scheme }: Coded): boolean {
  return code === 'systematic' && scheme.byzantine > 0
}

/** What the memory may answer must be right and may be audited: refuses options that prevent that. */
function checkMemory({ memory, onOverload, reuse: { maxError } }: Checked, { scheme, code }: Coded, warn: Warn): void {
  if (maxError === undefined && onOverload === 'remember')
    throw new RangeError(expected('onOverload', "'fail' without reuse.maxError", onOverload))
  if (maxError !== undefined && memory === false)
    throw new RangeError(expected('memory', 'one with reuse.maxError', memory))
  if (maxError !== undefined && code !== 'systematic')
    throw new RangeError(expected('reuse.maxError', 'none with the paper’s code', maxError))
  if (!memory) return
  if (scheme.byzantine && code !== 'systematic') {
    const { state, bytes, features } = memory
    const field = state && bytes === undefined && !features ? 'memory.state' : 'memory'
    throw new RangeError(`${field}: expected byzantine 0, got a scheme with liars`)
  }
  if (!memory.state && code !== 'systematic') {
    warn('the memory has nothing to learn from: the paper’s code asks for no query itself')
  }
}

/** Whether unproven answers are given, and recalled if their worker turns out to lie. */
export function mayRecall({ verify }: Pick<PredictorOptions, 'verify'>): boolean {
  return verify?.mode === 'sampled' || verify?.trust === 'open'
}

function checkUnsampled({ verify: { mode, rate } }: Checked): void {
  if (mode === 'every' && rate !== undefined)
    throw new RangeError(expected('verify.rate', "none without verify.mode 'sampled'", rate))
}

/** @param most  tenants */
function statesOf(state: MemoryChoices['state'] = {}, most: number): Record<string, Uint8Array> {
  const states: Record<string, Uint8Array> = state instanceof Uint8Array ? { '': state } : { ...state }
  const names = Object.keys(states).map((tenant) => checkTenant(tenant, most))
  // The nameless tenant's state has the workers' records, and does not count.
  if (names.filter((name) => name !== '').length > most)
    throw new RangeError(`memory.state: expected at most ${most} tenants, got ${names.length}`)
  return states
}

/** @throws TypeError, RangeError naming the choice, what was expected and what came */
function checkChoices(choices: Choices, coded: Coded, others: Required<Choices>): Required<Choices> {
  const { policy = others.policy, minConfidence = others.minConfidence, atDeadline = others.atDeadline } = choices
  const { onOverload = others.onOverload } = choices
  checkPolicy(policy, coded.code, isVerified(coded) ? 0 : coded.scheme.byzantine)
  predictOptions.minConfidence.check('minConfidence', minConfidence)
  predictOptions.atDeadline.check('atDeadline', atDeadline)
  predictOptions.onOverload.check('onOverload', onOverload)
  return { policy, minConfidence, atDeadline, onOverload }
}

/** Why an option is refused that depends on when an answer is right. */
export const unread = (field: string, value: unknown, guess: string) =>
  `${guess}; without it there is no ${field} ${value}`

/** The choices of a query. @throws TypeError, RangeError naming the option, what was expected and what came */
export function chosen(options: PredictOptions, coded: Coded, settings: Settings) {
  const { choices: others, deadlineMs: ms, limits, guess } = settings
  if (guess !== undefined && options.policy === 'auto') throw new RangeError(unread('policy', "'auto'", guess))
  const choices = checkChoices(options, coded, others)
  const deadlineMs = predictOptions.deadlineMs.check('deadlineMs', options.deadlineMs ?? ms)
  const tenant = checkTenant(options.tenant ?? '', limits.tenants)
  const { priority, signal, ask, weight, traceparent } = options
  const caller = predictOptions.caller.check('caller', options.caller ?? '')
  const rank =
    priority === undefined ? NORMAL.rank : priorities.indexOf(predictOptions.priority.check('priority', priority))
  if (signal !== undefined) predictOptions.signal.check('signal', signal)
  if (ask !== undefined) predictOptions.ask.check('ask', ask)
  if (weight !== undefined) predictOptions.weight.check('weight', weight)
  if (traceparent !== undefined) predictOptions.traceparent.check('traceparent', traceparent)
  const turn: Turn = {
    ...{ rank: rank as Turn['rank'], tenant, weight },
    ...(caller && !tenant && { caller: `${APART}${caller}` }),
  }
  return { choices, deadlineMs, turn, signal }
}

/** @param most  tenants that are kept apart */
export function checkTenant(tenant: unknown, most: number): string {
  const name = predictOptions.tenant.check('tenant', tenant)
  if (name === '' || most > 1) return name
  throw outOfRange(expected('tenant', 'none without the option limits.tenants', name))
}
