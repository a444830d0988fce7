/** What most services have in front of their machines: one queue, a time-out, one retry. */

import { tensorsOf } from '../base/payload'
import type { VirtualClock } from '../testing/virtual-clock'
import type { FilmMachine } from './machine'

const TIMEOUT_MS = 1000
const TRIES = 2

interface QueuedQuery {
  readonly query: Float32Array
  readonly failed: readonly FilmMachine[]
  resolve(answer: Float32Array): void
  reject(error: unknown): void
}

/** Each query goes to the machine that has been free for longest; one that failed there to another. */
export class PlainQueue {
  readonly #clock: VirtualClock
  readonly #free: FilmMachine[]
  readonly #waiting: QueuedQuery[] = []

  constructor(clock: VirtualClock, machines: readonly FilmMachine[]) {
    this.#clock = clock
    this.#free = [...machines]
  }

  /** How many wait for a free machine. */
  get waiting(): number {
    return this.#waiting.length
  }

  ask(query: Float32Array): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ query, failed: [], resolve, reject })
      this.#dispatch()
    })
  }

  #dispatch(): void {
    for (let at = 0; at < this.#waiting.length; ) {
      const free = this.#free.findIndex((machine) => !this.#waiting[at].failed.includes(machine))
      if (free < 0) at++
      else void this.#send(this.#waiting.splice(at, 1)[0], this.#free.splice(free, 1)[0])
    }
  }

  async #send({ query, failed, resolve, reject }: QueuedQuery, machine: FilmMachine): Promise<void> {
    const timeout = new AbortController()
    const cancel = this.#clock.after(TIMEOUT_MS, () => timeout.abort())
    try {
      const [answer] = await machine.infer(tensorsOf(query, machine.signature.inputs), { signal: timeout.signal })
      resolve(answer.data as Float32Array)
    } catch (error) {
      if (failed.length + 1 === TRIES) reject(error)
      else this.#waiting.unshift({ query, failed: [...failed, machine], resolve, reject })
    } finally {
      cancel()
      this.#free.push(machine)
      this.#dispatch()
    }
  }
}
