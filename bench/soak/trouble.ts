/** What goes wrong with workers: now with these, then with others, once those before are well again. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Faults, FaultyWorker } from 'approxifer/testing'
import type { Random } from '../../src/base/random'

const moods: Faults[] = [{ delayMs: [5, 60] }, { crash: 0.2 }, { hang: 0.1 }]
/** NaN, which is a model's own answer where nothing is made of it. */
const garbage: Faults = { garbage: 0.5 }
const lies: Faults[] = ['gauss:20', 'flip', 'constant'].map((attack) => ({ lie: 1, attack }))
const MOOD_MS = 800
/** Until groups that met those before have ended: they can do without one answer, not without another. */
const CALM_MS = 200

export class Trouble {
  /** How often a worker fell into it. */
  count = 0
  readonly #workers: readonly FaultyWorker[]
  readonly #random: Random
  readonly #moods: readonly Faults[]
  readonly #stop = new AbortController()

  /** @param isCoded  whether answers are decoded, or remembered: NaN is their worker's fault then */
  constructor(workers: readonly FaultyWorker[], random: Random, isCoded: boolean) {
    this.#workers = workers
    this.#random = random
    this.#moods = isCoded ? [...moods, garbage] : moods
  }

  /** Goes on until `stop`, which leaves all workers well. */
  async wander(troubled: number, liars: number): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const chosen = this.#random.choose(this.#workers.length, troubled + liars).map((i) => this.#workers[i])
      const unwell = chosen.slice(0, troubled)
      for (const worker of chosen) worker.faults = this.#one(unwell.includes(worker) ? this.#moods : lies)
      this.count += chosen.length
      await this.#pause(MOOD_MS)
      for (const worker of unwell) worker.faults = {}
      while (!signal.aborted && !this.allUp) await sleep(10)
      for (const worker of chosen) worker.faults = {}
      await this.#pause(CALM_MS)
    }
  }

  stop(): void {
    this.#stop.abort()
  }

  #one(kinds: readonly Faults[]): Faults {
    return kinds[this.#random.below(kinds.length)]
  }

  /** Cut short by `stop`. */
  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => {})
  }

  get allUp(): boolean {
    return this.#workers.every(({ free }) => free)
  }
}
