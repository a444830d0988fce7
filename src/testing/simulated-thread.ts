/** The memory's thread in simulated time: a server whose messages take time and may be lost, and which may die. */

import type { Endpoint } from 'comlink'
import type { Clock } from '../base/clock'
import type { Charges } from '../memory/inline'
import { type Order, ordersIn, type Report } from '../memory/messages'
import { MemoryServer } from '../memory/server'
import type { Thread } from '../platform/platform'
import type { VirtualClock } from './virtual-clock'

/** Milliseconds: time of the work in the thread; time that a message takes of its sender's and its receiver's thread; time that it travels. */
export interface ThreadCosts extends Charges {
  readonly message: number
  readonly way: number
}

const FREE: ThreadCosts = { lookUp: 0, comparing: 0, step: 0, message: 0, way: 0 }

export class SimulatedThread {
  readonly #clock: VirtualClock
  readonly #costs: ThreadCosts
  #die: ((why: string) => void) | undefined
  /** Whether a message, in either direction, is lost; default: none is. */
  isLost: () => boolean = () => false

  constructor(clock: VirtualClock, costs: Partial<ThreadCosts> = {}) {
    this.#clock = clock
    this.#costs = { ...FREE, ...costs }
  }

  /** For `testing.memoryThread`. */
  readonly spawn = (onDeath: (why: string) => void): Thread => {
    const { message, way } = this.#costs
    const clock = this.#clock
    const own = new BusyClock(clock)
    let isAlive = true
    let listener: ((event: MessageEvent) => void) | undefined
    const deliver = (deliverTo: () => void, from: Clock) => {
      if (!this.isLost()) clock.after(from.now() - clock.now() + way, () => isAlive && deliverTo())
    }
    const send = (memory: readonly Report[]) => {
      const copy = structuredClone(memory)
      own.spend(message)
      deliver(() => {
        clock.spend(message)
        listener?.({ data: { memory: copy } } as MessageEvent)
      }, own)
    }
    const server = new MemoryServer(own, send, this.#costs, (ms) => own.spend(ms))
    this.#die = (why) => {
      if (isAlive) onDeath(why)
      isAlive = false
    }
    return {
      endpoint: {
        postMessage: (data: unknown) => {
          clock.spend(message)
          const orders = structuredClone(ordersIn<Order>(data)) as readonly Order[]
          deliver(() => own.after(0, () => isAlive && void server.follow(orders).then(clock.hold())), clock)
        },
        addEventListener: (_: string, listening: typeof listener) => {
          listener = listening
        },
        removeEventListener: () => {},
      } as Endpoint,
      hold: () => {},
      terminate: async () => {
        isAlive = false
      },
    }
  }

  die(why: string): void {
    this.#die?.(why)
  }
}

/** A thread's time: events that come due while it is busy happen once it is free. */
class BusyClock implements Clock {
  readonly #clock: Clock
  #freeAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return Math.max(this.#clock.now(), this.#freeAt)
  }

  spend(ms: number): void {
    this.#freeAt = this.now() + ms
  }

  after(ms: number, f: () => void): () => void {
    let cancel: () => void
    const due = this.#clock.now() + ms
    const begin = () => {
      const busyMs = this.#freeAt - this.#clock.now()
      if (busyMs > 0) cancel = this.#clock.after(busyMs, begin)
      else f()
    }
    cancel = this.#clock.after(due - this.#clock.now(), begin)
    return () => cancel()
  }
}
