/** Answers without workers: from the cache for queries that equal earlier ones, and from a confident memory. Loaded only if an option asks for it. */

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

/** The cache and the memory of one model version. */
export interface Reuse {
  readonly layers: ReuseLayers
  /** Queries that got the answer to an equal one. */
  readonly given: number
  /** What a tenant saved, and what that cost. */
  saving(errors: ErrorBudget | undefined): SavingStats
  renew(): void
  /** Forgets the answers of an identity, or the queries of a tenant. */
  forget(which: { identity?: Identity; tenant?: string }): void
  close(): void
}

/** What happens when the model turns out to be another one than before. */
interface Consequences {
  replaced(): void
  mended(): void
}

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

/** With `exact: true` answers are always cached; otherwise only while equal queries are frequent enough to pay. */
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
  /** Savings from equal queries, if no memory answers. */
  readonly #savings = new Savings()
  /** By the error budget of a tenant. */
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
