/**
 * Answers before asking: the memory's where it is confident, as often as a ledger allows. Some that it is confident of are asked all the same:
 * an audit. It goes on when its caller leaves or its deadline has passed, and counts as wrong where no answer ever comes.
 */

import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { ErrorBudget } from '../layers/error-budget'
import { Payoff, type SavingStats, Savings } from '../layers/savings'
import type { SecondOpinion } from '../layers/second-opinion'
import type { Learning } from '../memory/learning'
import type { Recollection } from '../memory/memory'
import { TimeBudget } from '../memory/time-budget'
import { Payload } from '../payload'
import type { Prediction } from '../prediction'
import type { Caller } from '../query/caller'
import { unaskedReport } from '../query/prediction'
import { toNamed } from '../tensor'
import { audit, overheard } from './audit'
import type { Means } from './means'
import type { Ask, Request } from './reuse'

export interface RememberingOptions {
  clock: Clock
  means: Pick<Means, 'signature' | 'ended'> & Partial<Pick<Means, 'first'>>
  core: 'wasm' | 'js'
  /** The memory is there for late answers as well. */
  recovers: boolean
  /** What a tenant has learned, and how often that may be given. */
  learned(tenant: string): {
    readonly learning?: Learning | undefined
    readonly ledger?: ErrorBudget | undefined
    readonly model: { readonly fingerprint: string | undefined }
  }
  forecast: Pick<Means['pool']['forecast'], 'refusal'>
  /** Milliseconds that an answer of the workers takes, of all that are asked for it; undefined while nobody knows. */
  inferenceMs(): number | undefined
  opinion: Pick<SecondOpinion, 'judge'>
  /** The memory was wrong, and not by the word of one machine alone. */
  wrong(): void
}

/**
 * Share of the time that lookups may take: beyond it queries are asked unseen. Without, a memory that takes .4 ms had everybody wait for
 * seconds where 5,700 queries came in one. And what may be saved up, ms: with 20, p99 was 70 ms of the first second in which they came, not 20.
 */
const LOOKING = { share: 0.6, burstMs: 5 }
/**
 * The same for those that would be refused, were none of them sure, and what there is beside that were all: with a memory that is rarely sure
 * the time is better spent on those that workers answer. The moving average of how often they were moves so far with each.
 */
const OVERLOAD = { least: 0.05, sure: 0.55, rate: 0.05 }

/** Of a ledger. */
interface LedgerAccount {
  readonly worth: Payoff
  readonly spared: Savings
}

/** What a query that was looked up is decided by. */
interface Looked {
  readonly learning: Learning
  readonly ledger: ErrorBudget
  readonly spared: Savings
  readonly mayGive: boolean
  readonly ask: Ask
}

export class Remembering {
  readonly #options: RememberingOptions
  readonly #accounts = new WeakMap<ErrorBudget, LedgerAccount>()
  readonly #time: TimeBudget
  /** For lookups of queries that would be refused. */
  readonly #spare: TimeBudget
  #sure = 1

  constructor(options: RememberingOptions) {
    this.#options = options
    const { share, burstMs } = LOOKING
    this.#time = new TimeBudget(options.clock, () => share, burstMs)
    this.#spare = new TimeBudget(options.clock, () => OVERLOAD.least + OVERLOAD.sure * this.#sure, burstMs)
  }

  /** Answers a query from memory, or has it asked. */
  take(request: Request, ask: Ask): void {
    const { payload, caller, signal } = request
    const { learning, ledger } = this.#options.learned(caller.turn.tenant)
    if (!learning || !ledger || this.#options.means.first?.doubt !== undefined) return ask(request)
    const { worth, spared } = this.#accountOf(ledger, learning)
    const isAsked = request.options.ask === true || request.options.policy === 'retry'
    const mayLook = learning.experience.memory === 'warm' && !ledger.isHeld && this.#time.has
    const onOverload = request.options.onOverload ?? (isAsked ? 'fail' : caller.choices.onOverload)
    const mayRemember = mayLook && onOverload === 'remember'
    const looks = !isAsked && mayLook && worth.looks()
    learning.use = !worth.isOff ? 'saving' : this.#options.recovers ? 'warm' : 'idle'
    const refusal = looks || !mayRemember ? undefined : this.#refused(caller)
    if (!looks && !refusal) return ask(request)
    const { ended } = this.#options.means
    if (signal) caller.listen(signal, (error) => caller.fail(error, ended)) // while it is looked up
    const mostMs = this.#options.inferenceMs() ?? Number.POSITIVE_INFINITY
    const at = { learning, ledger, spared, ask, mayGive: !worth.isOff || refusal !== undefined }
    const { lookMs } = learning.costs
    const expectedMs = Number.isFinite(lookMs) ? lookMs : 0
    this.#took(expectedMs, refusal !== undefined) // now, since it may have to wait for others
    learning.recall(
      payload.vector,
      mostMs,
      () => caller.isOpen,
      (said, ms = 0) => {
        this.#took(ms - expectedMs, refusal !== undefined)
        spared.looked(ms)
        if (!caller.isOpen) return
        if (said) this.#decide({ ...request, refusal }, said, at)
        else ask({ ...request, refusal })
      },
    )
  }

  /** What is spared on this ledger; undefined before its first query. */
  saving(ledger: ErrorBudget): SavingStats | undefined {
    const account = this.#accounts.get(ledger)
    return account && { off: account.worth.isOff, ...account.spared }
  }

  /** Why no worker would be asked, where the memory may answer in its place, and there is time to look. */
  #refused({ dueAt, turn }: Caller): ApproxiferError | undefined {
    const { forecast, clock } = this.#options
    return this.#spare.has ? forecast.refusal(dueAt - clock.now(), turn) : undefined
  }

  #took(ms: number, isRefused: boolean): void {
    this.#time.take(ms)
    if (isRefused) this.#spare.take(ms)
  }

  #accountOf(ledger: ErrorBudget, learning: Learning): LedgerAccount {
    const known = this.#accounts.get(ledger)
    if (known) return known
    const { clock, inferenceMs, recovers } = this.#options
    const costs = () => {
      const { shares, ...own } = learning.costs
      const lessons = { saving: shares.saving, otherwise: shares[recovers ? 'warm' : 'idle'] }
      return { ...own, inferenceMs: inferenceMs(), share: ledger.foretell(), lessons }
    }
    const account = { worth: new Payoff(clock, costs), spared: new Savings() }
    this.#accounts.set(ledger, account)
    return account
  }

  #decide(request: Request, said: Recollection, { learning, ledger, spared, mayGive, ask }: Looked): void {
    const { options, refusal } = request
    const known = learning.experience.confidence.of({ ...said, missing: 1 }) ?? 0
    const draw = ledger.draw(known, mayGive && known >= (options.minConfidence ?? 0))
    if (refusal) this.#sure += OVERLOAD.rate * (Number(draw.is !== 'ask') - this.#sure)
    if (draw.is === 'remember') {
      if (!refusal) spared.gave(this.#options.inferenceMs())
      return this.#give(request, said.answer, known)
    }
    const { clock, means, opinion, wrong } = this.#options
    const { ended, signature } = means
    const ownOf = ({ output }: Prediction) => new Payload(signature.outputs.map(({ name }) => output[name]))
    const agrees = ({ vector }: Payload) => learning.experience.confidence.agrees(said.answer, vector) === true
    if (draw.is === 'ask') {
      const told = (prediction: Prediction) => prediction.status === 'exact' && draw.told(agrees(ownOf(prediction)))
      return ask(overheard(request, ended, told))
    }
    audit(request, { clock, ended, ask }, (prediction) => {
      const own = prediction?.status === 'exact' ? ownOf(prediction) : undefined
      if (!prediction || !own || agrees(own)) return draw.told(own !== undefined)
      const [from] = prediction.identities
      const differing = { payload: request.payload.kept(), answer: own.copy(), from, isAsBefore: agrees }
      opinion.judge(differing, (of) => {
        draw.told(of === 'refuted')
        if (of !== 'refuted') wrong()
      })
    })
  }

  #give({ caller }: Request, answer: Float32Array, confidence: number): void {
    const { means, clock, core, learned } = this.#options
    const { outputs } = means.signature
    const output = toNamed(Payload.of(answer, outputs).tensors, outputs)
    const ranMs = clock.now() - caller.since
    const given = {
      output,
      confidence,
      queuedMs: 0,
      ranMs,
      hedged: false,
      workers: [],
      identities: [],
      fingerprint: learned(caller.turn.tenant).model.fingerprint,
      group: Promise.resolve(unaskedReport(core)),
    }
    caller.answer({ ...given, status: 'remembered' }, means.ended)
  }
}
