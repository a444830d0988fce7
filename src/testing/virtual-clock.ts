/** A simulated clock, for the demo, benches and tests. */

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
  /** Events at the same time happen in the order in which they were scheduled. */
  order: number
  f: (() => void) | undefined
}

/** Cancelled events that the heap may hold beyond as many others, before they are removed. */
const MOST_CANCELLED = 1000

/**
 * Simulated time: an hour passes in the time that its events take. Code really runs; only waiting takes no time. Work takes no simulated
 * time either, unless `spend` is called.
 */
export class VirtualClock implements Clock {
  /** Earliest first. */
  #events = new TinyQueue<Event>([], sooner)
  /** Cancelled events in the heap, mostly deadlines, which would fill it. */
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

  /** The thread was busy for this long: events that were due meanwhile happen late. */
  spend(ms: number): void {
    this.#now += ms
  }

  /** Stops time while something real runs, for instance an inference. @returns resumes it; to be called once */
  hold(): () => void {
    this.#held++
    return () => {
      this.#held--
      if (this.#held) return
      const go = this.#released
      this.#released = () => {} // otherwise a later pause would resume a run that has ended
      go()
    }
  }

  /** Number of events that are still to come. */
  get pending(): number {
    return this.#events.data.filter(({ f }) => f).length
  }

  /**
   * Runs events until none is left or, if given, until the time `end`, which is then the present time. Between two events all queued
   * promise callbacks run.
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

  /** Runs the next event. @returns whether there was one */
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
