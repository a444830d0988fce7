/** What answers queries that nobody is asked for: those that equal earlier ones, and those that a memory is confident of. Loaded where an option asks for it. */

import { secret } from '../base/random'
import { cache } from '../layers/cache'
import { coalesce } from '../layers/coalesce'
import type { ErrorBudget } from '../layers/error-budget'
import { ExactCache } from '../layers/exact-cache'
import type { Account } from '../layers/remember'
import { Repeatability } from '../layers/repeatability'
import { Repeats, type SavingStats, Savings } from '../layers/savings'
import { SecondOpinion } from '../layers/second-opinion'
import type { Identity } from '../pool/attempt'
import type { Query } from '../service'
import type { Dependencies } from './dependencies'
import { isVerified, type Settings } from './settings'
import type { ReuseLayers } from './stack'
import type { Tenant } from './tenants'

/** What is kept and remembered of one model. */
export interface Reuse {
  readonly layers: ReuseLayers
  /** Queries that had the answer to an equal one. */
  readonly given: number
  /** Of a tenant: what was spared, and what that cost. */
  saving(errors: ErrorBudget | undefined): SavingStats
  /** The workers have another model. */
  renew(): void
  /** Forgets what an identity answered, or what a tenant asked. */
  forget(which: { identity?: Identity; tenant?: string }): void
  close(): void
}

/** What was learned is of a model before; what was wrong of what was kept is gone. */
interface Consequences {
  replaced(): void
  mended(): void
}

/** Makes it for each model. */
export type ReuseFactory = (
  settings: Settings,
  dependencies: Dependencies,
  own: Consequences & { tenantOf(query: Query): Tenant | undefined },
) => Reuse

export async function reuseFor(maxError: number | undefined): Promise<ReuseFactory> {
  const remember = maxError === undefined ? undefined : (await import('../layers/remember')).remember
  return (settings, dependencies, own) => new LayeredReuse(settings, dependencies, own, remember)
}

function opinionOf(clock: Settings['clock'], { pool, trust, sampled, coder }: Dependencies): SecondOpinion {
  return new SecondOpinion({ clock, pool, trust, sampled, isProven: isVerified(coder) })
}

/** Whoever asks for it has it; else equal queries have to be frequent enough to pay. */
function cacheOf({ exact, bytes }: Settings['reuse'], remembers: boolean, inferenceMs: () => number | undefined) {
  return new ExactCache({ bytes, repeats: remembers && !exact ? new Repeats(inferenceMs) : undefined })
}

/** The layers, and what they share. */
class LayeredReuse implements Reuse {
  readonly layers: ReuseLayers
  readonly #cache: ExactCache
  readonly #repeatability: Repeatability
  readonly #opinion: SecondOpinion
  readonly #counts = { reused: 0 }
  /** Of repeats, where nothing is remembered. */
  readonly #savings = new Savings()
  /** By the error budgets of tenants. */
  readonly #accounts = new WeakMap<object, Account>()
  readonly #remembers: boolean

  constructor(
    { clock, reuse, warn, testing }: Settings,
    dependencies: Dependencies,
    { tenantOf, replaced, mended }: Consequences & { tenantOf(query: Query): Tenant | undefined },
    remember: typeof import('../layers/remember').remember | undefined,
  ) {
    const { lateness, trust, signature, first } = dependencies
    const inferenceMs = () => lateness.medianMs
    const equality = () => trust.equality
    const counts = this.#counts
    const opinion = opinionOf(clock, dependencies)
    const kept = cacheOf(reuse, remember !== undefined, inferenceMs)
    const forget = () => {
      kept.clear()
      replaced()
    }
    const repeatability = new Repeatability({ kept, opinion, warn, equality, replaced: forget, mended })
    this.#opinion = opinion
    this.#cache = kept
    this.#repeatability = repeatability
    const isOff = () => repeatability.isOff
    const coin = testing.coin ?? secret
    const savings = this.#savings
    this.#remembers = remember !== undefined
    this.layers = {
      cache: cache({ clock, cache: kept, repeatability, counts, savings, equality, tenantOf, inferenceMs, coin }),
      remember: remember?.({
        clock,
        outputs: signature.outputs,
        accounts: this.#accounts,
        opinion,
        tenantOf,
        inferenceMs,
        isOff: () => repeatability.isOff || first.doubt !== undefined,
        wrong: () => repeatability.suspect(),
      }),
      coalesce: coalesce({ clock, counts, isOff }),
    }
  }

  get given(): number {
    return this.#counts.reused
  }

  saving(errors: ErrorBudget | undefined): SavingStats {
    const account = errors && this.#accounts.get(errors)
    const savings = this.#remembers ? (account?.savings ?? new Savings()) : this.#savings
    return { ...savings, off: account?.payoff.isOff === true || this.#repeatability.isOff }
  }

  renew(): void {
    this.#cache.clear()
    this.#opinion.stop()
    this.#repeatability.renew()
  }

  forget(which: { identity?: Identity; tenant?: string }): void {
    this.#cache.forget(which)
  }

  close(): void {
    this.#opinion.close()
  }
}
