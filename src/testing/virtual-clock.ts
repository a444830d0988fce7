/** Simulated time, for the demo, benches and tests. */

import TinyQueue from 'tinyqueue'
import type { Clock } from '../base/clock'

/** Calls a function once everything is done that promises have queued. Browsers have no `setImmediate`: a message comes as soon, and a timer 4 ms later. */
const afterPromises: (f: () => void) => void = globalThis.setImmediate ?? byMessage()

function byMessage(): (f: () => void) => void {
  const { port1, port2 } = new MessageChannel()
  const waiting: (() => void)[] = []
  port1.onmessage = () => waiting.shift()?.()
  return (f) => {
    waiting.push(f)
    port2.postMessage(undefined)
  }
}

interface Event {
  at: number
  /** Events at the same time happen in the order in which they were asked for. */
  order: number
  f: (() => void) | undefined
}

/** Cancelled events that may lie in the heap beside as many others, before they are taken out. */
const MOST_CANCELLED = 1000

/**
 * Simulated time: nothing happens by itself, and an hour passes in the time that its events take.
 * What runs is real; only waiting takes no time. Work takes none either, unless the clock is told of it.
 */
export class VirtualClock implements Clock {
  /** The earliest first. */
  #events = new TinyQueue<Event>([], sooner)
  /** Events in the heap that were cancelled: deadlines, mostly, which would fill it. */
  #cancelled = 0
  #now = 0
  #order = 0
  #held = 0
  #released: () => void = () => {}

  now(): number {
    return this.#now
  }

  after(ms: number, f: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, f }
    this.#events.push(event)
    return () => {
      if (!event.f) return
      event.f = undefined
      if (++this.#cancelled <= MOST_CANCELLED || 2 * this.#cancelled <= this.#events.length) return
      const left = this.#events.data.filter(({ f }) => f)
      this.#events = new TinyQueue(left, sooner)
      this.#cancelled = 0
    }
  }

  /** The one thread was busy for so long: what was due meanwhile happens late. */
  spend(ms: number): void {
    this.#now += ms
  }

  /** Stops time while something real is under way, for instance an inference. @returns lets it go on; to be called once */
  hold(): () => void {
    this.#held++
    return () => {
      this.#held--
      if (this.#held) return
      const go = this.#released
      this.#released = () => {} // else a later pause would wake who waits no more, which then waits in the place of another
      go()
    }
  }

  /** Events that are still to come. */
  get pending(): number {
    return this.#events.data.filter(({ f }) => f).length
  }

  /**
   * Lets time pass until nothing is left to happen or, where given, until `end`, which it then is.
   * Between two events everything that promises have queued is done.
   */
  async run(end = Number.POSITIVE_INFINITY): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const step = () => {
        try {
          if (this.#held) this.#released = () => afterPromises(step)
          else if (this.#happen(end)) afterPromises(step)
          else resolve()
        } catch (error) {
          reject(error)
        }
      }
      afterPromises(step)
    })
    if (end < Number.POSITIVE_INFINITY) this.#now = Math.max(this.#now, end)
  }

  /** The next event. @returns whether there was one */
  #happen(end: number): boolean {
    for (let next = this.#events.peek(); next && next.at <= end; next = this.#events.peek()) {
      this.#events.pop()
      const { at, f } = next
      if (!f) this.#cancelled--
      if (!f) continue
      next.f = undefined
      this.#now = Math.max(this.#now, at) // after `spend` it may be late
      f()
      return true
    }
    return false
  }
}

function sooner(a: Event, b: Event): number {
  return a.at - b.at || a.order - b.order
}
