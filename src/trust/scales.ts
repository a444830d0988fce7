/**
 * How large a model's answers are: by that a lie is told from rounding. Workers tell it of their answer to a fixed query. Where some are the user's
 * own only these count: two strangers of three that said 1e30 once had every lie of theirs taken for rounding.
 */

import type { Identities } from '../pool/identities'
import { median } from '../stats'
import type { TensorSpec } from '../tensor'
import type { ModelWorker } from '../workers/worker'

export class Scales {
  readonly #identities: Pick<Identities, 'all' | 'workersOf'>
  readonly #outputs: readonly TensorSpec[]
  readonly #liars: number
  /** Undefined where they are to be found out anew. */
  #known: readonly number[] | undefined
  /** Some worker was the user's own: what others tell counts no more. */
  #isAnchored = false

  /** @param liars  E: machines that may lie */
  constructor(identities: Pick<Identities, 'all' | 'workersOf'>, outputs: readonly TensorSpec[], liars: number) {
    this.#identities = identities
    this.#liars = liars
    this.#outputs = outputs
  }

  /** Of each output the median of what machines tell; 0 where it is not known. As long as most of them are honest no liar moves it. */
  get known(): readonly number[] {
    const standards = this.#known ? [] : this.#standards()
    this.#known ??= this.#outputs.map((_, i) => median(standards.map(({ scales }) => sane(scales?.[i]))) ?? 0)
    return this.#known
  }

  /** Workers came or went. */
  changed(): void {
    this.#known = undefined
  }

  /**
   * Of each machine whose word counts a worker. Where no more than twice as many are there as may lie nobody's does: of two that were left of
   * three, a liar that told 1e30 was right whatever it answered.
   */
  #standards(): readonly ModelWorker[] {
    const machines = this.#identities.all().map((each) => this.#identities.workersOf(each))
    const own = machines.flatMap((workers) => workers.find(({ trusted }) => trusted) ?? [])
    this.#isAnchored ||= own.length > 0
    const others = machines.length > 2 * this.#liars ? machines.map(([first]) => first) : []
    return this.#isAnchored ? own : others
  }
}

/** What a worker says of itself may be anything. */
const sane = (scale: unknown) => (typeof scale === 'number' && scale > 0 && scale < Number.MAX_VALUE ? scale : 0)
