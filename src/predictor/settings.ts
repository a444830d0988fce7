/** What a predictor does: its options with their defaults, those included that depend on each other. */

import { expected, outOfRange } from '../base/check'
import type { Choices } from '../base/choices'
import { checkPolicy, defaultPolicy } from '../base/choices'
import type { Guard } from '../base/errors'
import { guarded, threw, type Warn, warnOnce } from '../base/notices'
import { read, type ValuesOf } from '../base/option'
import type { Codec } from '../codec/codec'
import { NORMAL, priorities, type Turn } from '../pool/attempt'
import { hedge as hedgeOptions, predictOptions, predictorOptions } from './option-table'
import type { MemoryChoices, PredictOptions, PredictorOptions } from './options'

/** Confidence from which a recovery is given. */
export const CONFIDENT = 0.9
/**
 * The same where workers may lie: no worker's word stands behind it. At .9 .19 % of all answers of an honest pool had a wrong label
 * (CIFAR, 20,000 queries), now .03 %.
 */
const UNVERIFIED = 0.98
/** Confidence from which a memory makes one worker enough; share of right answers in an open fleet. */
const CHECKED = 0.95
const OPEN = 0.999

/** In front of a caller's name: no tenant begins like that, whose turns it could have. */
const APART = '\0'

/** Options that can be what they are, each by itself. */
export type Checked = ValuesOf<typeof predictorOptions>

/** @throws TypeError, RangeError naming the option, what was expected and what came */
export function checkOptions(options: PredictorOptions): Checked {
  return read(predictorOptions, '', options)
}

/** What a predictor codes with, as far as options depend on it. */
export type Coded = Pick<Codec, 'code' | 'scheme'>

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
  checkUnsampled(options)
  if (options.rollout?.shadow && coded.code !== 'systematic')
    throw new RangeError(expected('rollout.shadow', '0 with the paper’s code', options.rollout.shadow))
  const { maxError } = options.reuse
  const learns = coded.code === 'systematic' && (choices.policy !== 'retry' || maxError !== undefined)
  const { bytes, features, state } = memory || {}
  // What was saved is taken up whether or not the queries are too large to be remembered.
  const chosen = state && bytes === undefined && !features ? undefined : { bytes, features }
  return {
    ...options,
    ...options.testing,
    guard,
    /** What is to be said of outputs that are read by a guess; without it `auto` means nothing. */
    guess: undefined as string | undefined,
    choices,
    /** What a query is asked with that chooses nothing. */
    usual: { choices, deadlineMs: options.deadlineMs, turn: NORMAL, signal: undefined },
    hedge: { budget },
    verify: {
      ...verify,
      integrity: verify.integrity ?? (verify.trust === 'open' ? OPEN : CHECKED),
      // Workers that must not be asked twice are not, nor where an anchor is.
      audit: verify.audit ?? (budget && verify.mode === 'every' ? 0.01 : 0),
      ...(maxError !== undefined && { integrity: 1 }), // a memory must not check what shows whether it is right
    },
    memory: memory === false || bytes === 0 || (!memory && !learns) ? (false as const) : memory && chosen,
    states: statesOf(state, limits.tenants),
    warn,
    onGeneration: guarded(options.onModelVersion ?? (() => {}), threw('onModelVersion', warn)),
    onVerdict: guarded(options.onVerdict ?? (() => {}), threw('onVerdict', warn)),
    onRecall: guarded(options.onRecall ?? (() => {}), threw('onRecall', warn)),
  }
}

/** Where outputs are read by a guess nothing is recovered, and nothing remembered unless that is said. @param guess  what is to be said */
export function withoutRecoveries(settings: Settings, guess: string, remembers: boolean): Settings {
  const choices = { ...settings.choices, policy: 'retry' as const }
  const memory = remembers && settings.memory
  return { ...settings, guess, choices, usual: { ...settings.usual, choices }, memory }
}

/** Without a scheme there is nothing to recover from; elsewhere an exact answer may be asked for again if nobody lies. */
function defaultChoices({ scheme, atDeadline, onOverload }: Checked, coded: Coded): Required<Choices> {
  const verified = isVerified(coded)
  const policy = scheme ? defaultPolicy(coded.code, verified ? 0 : coded.scheme.byzantine) : 'retry'
  return { policy, minConfidence: verified ? UNVERIFIED : CONFIDENT, atDeadline, onOverload }
}

/** Whether every answer is proven or checked, rather than decoded from answers that may be lies. */
export function isVerified({ code, scheme }: Coded): boolean {
  return code === 'systematic' && scheme.byzantine > 0
}

/** What is remembered must be proven, and asked for. */
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

/** Whether answers are given that nothing has proven, and recalled where their worker turns out to lie. */
export function mayRecall({ verify }: Pick<PredictorOptions, 'verify'>): boolean {
  return verify?.mode === 'sampled' || verify?.trust === 'open'
}

function checkUnsampled({ verify, onRecall }: Checked): void {
  const { mode, rate } = verify
  const sampled = "verify.mode 'sampled'"
  if (mode === 'every' && rate !== undefined)
    throw new RangeError(expected('verify.rate', `none without ${sampled}`, rate))
  if (onRecall !== undefined && !mayRecall({ verify }))
    throw new RangeError(expected('onRecall', `none without ${sampled} or verify.trust 'open'`, onRecall))
}

/** @param most  tenants */
function statesOf(state: MemoryChoices['state'] = {}, most: number): Record<string, Uint8Array> {
  const states: Record<string, Uint8Array> = state instanceof Uint8Array ? { '': state } : { ...state }
  const names = Object.keys(states).map((tenant) => checkTenant(tenant, most))
  // Nobody's has the workers' record, and is there beside as many others.
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

/** Why an option is refused that goes by what counts as right. */
export const unread = (field: string, value: unknown, guess: string) =>
  `${guess}; without it there is no ${field} ${value}`

/** What a query is asked with. @throws TypeError, RangeError naming the option, what was expected and what came */
export function chosen(options: PredictOptions, coded: Coded, settings: Settings) {
  const { choices: others, deadlineMs: ms, limits, guess } = settings
  if (guess !== undefined && options.policy === 'auto') throw new RangeError(unread('policy', "'auto'", guess))
  const choices = checkChoices(options, coded, others)
  const deadlineMs = predictOptions.deadlineMs.check('deadlineMs', options.deadlineMs ?? ms)
  const tenant = checkTenant(options.tenant ?? '', limits.tenants)
  const { priority, signal, ask, weight } = options
  const caller = predictOptions.caller.check('caller', options.caller ?? '')
  const rank =
    priority === undefined ? NORMAL.rank : priorities.indexOf(predictOptions.priority.check('priority', priority))
  if (signal !== undefined) predictOptions.signal.check('signal', signal)
  if (ask !== undefined) predictOptions.ask.check('ask', ask)
  if (weight !== undefined) predictOptions.weight.check('weight', weight)
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
