/** How many calls a server is given at once, where nobody says it. */

import { expect, it } from 'vitest'
import { seeded } from '../../../src/base/random'
import { MeasuredWindow, type WindowCall } from '../../../src/workers/remote/window'

interface ServerLaw {
  atOnce: number
  ms?: number
  /** Of the logarithm of what an inference takes. */
  deviation?: number
  wayMs?: number
}

/** A server that answers some calls at once, first come, first served, and queries that always wait for it. */
class BusyServer {
  now = 0
  sent = 0
  /** Calls that began while another was under way. */
  overlapped = 0
  most = 0
  readonly #random
  #slots: number[] = []
  #open: { call: WindowCall; endsAt: number }[] = []

  constructor(
    readonly window: MeasuredWindow,
    seed = 1,
  ) {
    this.#random = seeded(seed)
  }

  /** @returns answers until then */
  within(until: number, law: ServerLaw): number {
    let answers = 0
    for (this.answer(1, law); this.now <= until; this.answer(1, law)) answers++
    return answers
  }

  answer(calls: number, { atOnce, ms = 10, deviation = 0.1, wayMs = 0 }: ServerLaw): void {
    this.#slots = [...this.#slots.slice(0, atOnce), ...Array(atOnce).fill(0)].slice(0, atOnce)
    for (let i = 0; i < calls; i++) {
      while (this.#open.length < this.window.limit) {
        const slot = this.#slots.indexOf(Math.min(...this.#slots))
        const own = ms * Math.exp(deviation * this.#random.gauss() - deviation ** 2 / 2)
        this.#slots[slot] = Math.max(this.#slots[slot], this.now + wayMs / 2) + own
        const call = this.window.begin(this.now)
        this.#open.push({ call, endsAt: this.#slots[slot] + wayMs / 2 })
        this.sent++
        this.overlapped += Number(call.open > 1)
      }
      this.most = Math.max(this.most, this.#open.length)
      const [first] = this.#open.sort((a, b) => a.endsAt - b.endsAt)
      this.#open.shift()
      this.now = first.endsAt
      this.window.end(first.call, this.now, true)
    }
  }
}

const busy = (most = 256, seed = 1) => new BusyServer(new MeasuredWindow(most), seed)

it.each([
  [1, 0, 0.1, 1, 1],
  [4, 0, 0.1, 4, 5],
  [16, 0, 0.1, 16, 20],
  [1, 30, 0.1, 4, 5], // on their way or at work
  [4, 20, 0.1, 12, 15],
  [16, 0, 1, 13, 26],
  [4, 20, 1, 9, 18],
])('%i at once behind %i ms, deviation %d: from %i to %i', (atOnce, wayMs, deviation, least, most) => {
  const limits = [1, 2, 3, 4, 5].map((seed) => {
    const server = busy(256, seed)
    server.answer(20_000, { atOnce, wayMs, deviation })
    return server.window.limit
  })
  const median = limits.sort((a, b) => a - b)[2]
  expect(median).toBeGreaterThanOrEqual(least)
  expect(median).toBeLessThanOrEqual(most)
})

it.each([
  [0, 0.02],
  [0.1, 0.02],
  [0.5, 0.02],
  [1, 0.02],
])('a server of one slot, deviation %d: at most %d of its calls have another beside them', (deviation, share) => {
  const server = busy()
  server.answer(10_000, { atOnce: 1, deviation })
  expect(server.overlapped / server.sent).toBeLessThan(share)
  expect(server.most).toBeLessThanOrEqual(deviation < 0.5 ? 5 : 15) // once, at the start
})

it.each([
  [1, 0.1],
  [4, 0.1],
  [16, 0.1],
  [64, 0.1],
  [1, 1],
  [4, 1],
  [16, 1],
  [64, 1],
])(
  '%i at once, deviation %d: four fifths of what it can answer within the first twenty answer times, on average',
  (atOnce, deviation) => {
    let [own, told] = [0, 0]
    for (let seed = 1; seed <= 40; seed++) {
      const law = { atOnce, deviation }
      own += busy(256, seed).within(200, law)
      const all = new MeasuredWindow(256)
      Object.defineProperty(all, 'limit', { value: atOnce })
      told += new BusyServer(all, seed).within(200, law)
    }
    expect(own / told).toBeGreaterThan(0.8)
  },
)

it.each([
  [0.1, 100],
  [1, 400],
])('one of sixteen, deviation %d: has them after %i answers', (deviation, answers) => {
  const server = busy()
  server.answer(answers, { atOnce: 16, deviation })
  expect(server.window.limit).toBeGreaterThanOrEqual(14)
})

it('a server that is far away has most of what it takes within 25 round trips', () => {
  const server = busy()
  while (server.window.limit < 200) server.answer(1, { atOnce: 16, ms: 0.5, wayMs: 50 })
  expect(server.now).toBeLessThan(25 * 50)
})

it('a server with fewer slots than before gets fewer calls at once, and as many as before when it has them again', () => {
  const server = busy()
  server.answer(3000, { atOnce: 16 })
  server.answer(200, { atOnce: 2 })
  expect(server.window.limit).toBeLessThanOrEqual(3)
  server.answer(20_000, { atOnce: 2 })
  expect(server.window.limit).toBeLessThanOrEqual(3)
  server.answer(60_000, { atOnce: 16 })
  expect(server.window.limit).toBeGreaterThanOrEqual(16)
})

it('a server that is four times slower gets as many calls as before', () => {
  const server = busy()
  server.answer(3000, { atOnce: 16 })
  server.answer(3000, { atOnce: 16, ms: 40 })
  expect(server.window.limit).toBeGreaterThanOrEqual(15)
  expect(server.window.limit).toBeLessThanOrEqual(22)
})

it('no bound is passed', () => {
  const server = busy(6)
  server.answer(3000, { atOnce: 64 })
  expect(server.most).toBe(6)
})

it('where no query waits nothing is tried', () => {
  const window = new MeasuredWindow(256)
  for (let at = 0; at < 1e5; at += 20) {
    window.end(window.begin(at), at + 10, true)
    expect(window.limit).toBe(1)
  }
})

it('a refusal ends a trial of more calls, and says nothing of how many it can run', () => {
  const server = busy()
  server.answer(100, { atOnce: 64 })
  const { limit } = server.window
  server.window.refused()
  server.window.refused()
  expect([limit, server.window.limit]).toEqual([limit, expect.any(Number)])
  expect(server.window.limit).toBeGreaterThan(limit / 2 - 1)
  const before = server.window.limit
  server.answer(100, { atOnce: 64 })
  expect(server.window.limit).toBe(before)
})

it('one that fails tells nothing', () => {
  const window = new MeasuredWindow(256)
  for (let at = 0; at < 1000; at++) window.end(window.begin(at), at + 1, false)
  expect(window.limit).toBe(1)
})

it('calls of other sizes than the one before tell nothing', () => {
  const window = new MeasuredWindow(256)
  for (let at = 0; at < 1000; at++) window.end(window.begin(at, 1 + (at % 2)), at + 1, true)
  const { limit } = window
  expect(limit).toBeLessThanOrEqual(3) // the first one had none before it
  expect(busyUntil(window, 2000)).toBeGreaterThanOrEqual(limit)
})

/** Alike calls, one after the other. @returns the largest limit */
function busyUntil(window: MeasuredWindow, until: number): number {
  let most = 1
  for (let at = 1000; at < until; at++) {
    window.end(window.begin(at), at + 1, true)
    most = Math.max(most, window.limit)
  }
  return most
}
