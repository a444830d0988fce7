/** Made time, for tests and benches; no part of the package. */

import type { Clock } from './clock'

interface Event {
  at: number
  /** Events at the same time happen in the order in which they were asked for. */
  order: number
  f: (() => void) | undefined
}

/**
 * Made time, for tests and benches: nothing happens by itself, and an hour passes in the time that its events take.
 * What runs is real; only waiting takes no time. Work takes none either, unless the clock is told of it.
 */
export class VirtualClock implements Clock {
  /** A binary heap: the earliest event first. */
  readonly #events: Event[] = []
  #now = 0
  #order = 0
  #held = 0
  #released: () => void = () => {}

  now(): number {
    return this.#now
  }

  after(ms: number, f: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, f }
    push(this.#events, event)
    return () => {
      event.f = undefined // it leaves the heap when its time comes
    }
  }

  /** The one thread was busy for so long: what was due meanwhile happens late. */
  spend(ms: number): void {
    this.#now += ms
  }

  /** Stops time while something real is under way, such as a model's answer. @returns lets it go on; to be called once */
  hold(): () => void {
    this.#held++
    return () => {
      this.#held--
      if (!this.#held) this.#released()
    }
  }

  /** Events that are still to come. */
  get pending(): number {
    return this.#events.filter(({ f }) => f).length
  }

  /**
   * Lets time pass until nothing is left to happen or, where given, until `end`, which it then is.
   * Between two events everything that promises have queued is done.
   */
  async run(end = Number.POSITIVE_INFINITY): Promise<void> {
    await this.#settled()
    while (this.#events.length && this.#events[0].at <= end) {
      const { at, f } = pop(this.#events)
      if (!f) continue
      this.#now = Math.max(this.#now, at) // after `spend` it may be late
      f()
      await this.#settled()
    }
    if (end < Number.POSITIVE_INFINITY) this.#now = Math.max(this.#now, end)
  }

  async #settled(): Promise<void> {
    await new Promise<void>((resolve) => queue.push(resolve) === 1 && setImmediate(drain))
    while (this.#held) {
      await new Promise<void>((resolve) => {
        this.#released = resolve
      })
      await this.#settled()
    }
  }
}

/** Those who wait until no microtask is left: one turn of the loop serves all clocks. */
const queue: (() => void)[] = []

function drain(): void {
  for (const resolve of queue.splice(0)) resolve()
}

const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (before(heap[parent], event)) break
    heap[at] = heap[parent]
    at = parent
  }
  heap[at] = event
}

function pop(heap: Event[]): Event {
  const [first] = heap
  const last = heap.pop() as Event
  if (!heap.length) return first
  let at = 0
  while (true) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
    if (before(last, heap[child])) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = last
  return first
}
