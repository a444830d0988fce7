/** Which model a fleet begins with: that of most servers, as far as they have answered. */

import type { Clock } from '../../clock'
import { Ballot } from './succession'

/** How long the first servers that answer wait for the others. */
const WAIT_MS = 5000

export class Election<M> {
  readonly #clock: Clock
  readonly #ballot: Ballot<M>
  readonly #onResult: (model: M | undefined) => void
  /** What each server has; undefined: it has not answered, or with no model that can be used. */
  readonly #votes = new Map<string, M | undefined>()
  readonly #unheard = new Set<string>()
  #cancel: (() => void) | undefined

  /** @param onResult  called with the model; with undefined whenever all were heard and none has a model that can be used */
  constructor(clock: Clock, isSame: (a: M, b: M) => boolean, onResult: (model: M | undefined) => void) {
    this.#clock = clock
    this.#ballot = new Ballot(isSame)
    this.#onResult = onResult
  }

  /** One more server will be heard. */
  enter(name: string): void {
    this.#votes.set(name, undefined)
    this.#unheard.add(name)
  }

  /** A server was heard. */
  vote(name: string, model: M | undefined): void {
    this.#unheard.delete(name)
    if (model !== undefined && this.#votes.get(name) === undefined) {
      this.#votes.set(name, model)
      this.#ballot.add(model)
    }
    this.#count()
  }

  /** A server is none of the fleet any more. */
  leave(name: string): void {
    const model = this.#votes.get(name)
    this.#votes.delete(name)
    this.#unheard.delete(name)
    if (model !== undefined) this.#ballot.remove(model)
    this.#count()
  }

  /** It is over, or not wanted any more. */
  close(): void {
    this.#cancel?.()
  }

  #count(isLate = false): void {
    const { largest } = this.#ballot
    const [unheard, all] = [this.#unheard.size, this.#votes.size]
    if (largest.length && (!unheard || isLate || 2 * largest.length > all)) {
      this.close()
      this.#onResult(largest[0])
    } else if (largest.length) this.#cancel ??= this.#clock.after(WAIT_MS, () => this.#late(), true)
    else if (!unheard) this.#onResult(undefined)
  }

  #late(): void {
    this.#cancel = undefined
    this.#count(true)
  }
}
