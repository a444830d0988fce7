/**
 * The contract of `service.ts`, of whole stacks over a real pool in simulated time, under random trouble: callers leave, and deadlines are short. Each
 * call is settled once, or was dropped; it is told nothing before it is known, nor after `done`; and is done.
 */

import { expect } from 'vitest'
import type { Payload } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import type { Signature } from '../../src/base/tensor'
import { NORMAL } from '../../src/pool/attempt'
import type { Pool } from '../../src/pool/pool'
import type { Caller, Drop, Outcome, Query, Service } from '../../src/service'
import { SimulatedWorker } from '../../src/testing/simulated-worker'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { payload, queryOf } from './fake-service'

/** A call that has expired settles so soon, and a timer may be a millisecond late. */
const GRACE = 31

/** Counts of what happened, by name. */
export type Tally = (what: string) => void

/** A stack of layers, and what else its answers must be. What is wrong goes to `faults`. */
export interface World {
  readonly clock: VirtualClock
  readonly pool: Pool<Payload, Payload>
  readonly service: Service
  readonly faults: string[]
  settled?(outcome: Outcome, tally: Tally): void
  done?(query: Query): void
  /** Nothing is under way any more. */
  over?(tally: Tally): void
}

export const signature: Signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** Workers that answer with the query, one call in ten ten times as late; the first two fail or hang now and then. @param lies  those two lie, too */
export function troubledWorkers(count: number, clock: VirtualClock, random: Random, lies = false): SimulatedWorker[] {
  const one = {
    clock,
    serviceMs: () => 10 * Math.exp(0.3 * random.gauss()) * (random.next() < 0.1 ? 10 : 1),
    answer: (query: Float32Array) => query.slice(),
    signature,
    interruptible: random.next() < 0.5,
    slots: random.next() < 0.5 ? 1 : 3,
  }
  const workers = Array.from({ length: count }, (_, at) => new SimulatedWorker(at, one))
  const share = random.next()
  for (const worker of workers.slice(0, 2)) {
    worker.answer = (query) => {
      if (random.next() > share) return query.slice()
      if (lies && random.next() < 0.2) return query.slice().reverse()
      return random.next() < 0.2 ? new Promise(() => {}) : Promise.reject(new Error('broken'))
    }
  }
  return workers
}

export interface Trouble {
  readonly runs: number
  /** In each run. */
  readonly queries: number
  worldOf(random: Random): World | Promise<World>
  /** Why a caller leaves. */
  why(random: Random): Drop
  /** Default: each query is another, and nothing is said of it. */
  asked?(random: Random): Pick<Query, 'payload' | 'said'>
}

/** @returns how often each kind of outcome came, over all runs */
export async function trouble({ runs, queries, worldOf, why, asked }: Trouble): Promise<Record<string, number>> {
  const totals: Record<string, number> = {}
  const tally = (what: string) => {
    totals[what] = (totals[what] ?? 0) + 1
  }
  for (let seed = 1; seed <= runs; seed++) {
    const random = seeded(seed)
    const world = await worldOf(random)
    const { clock, pool, service, faults } = world
    const calls: { settled: number; done: number; isDropped: boolean }[] = []
    const ask = () => {
      const told = { settled: 0, done: 0, isDropped: false }
      calls.push(told)
      let isKnown = false
      const hear = (what: string) => {
        if (!isKnown) faults.push(`${what} before the call is known`)
        if (told.done) faults.push(`${what} after done`)
      }
      const dueAt = clock.now() + 20 + 200 * random.next()
      const caller: Caller = {
        began: () => hear('began'),
        ended: () => hear('ended'),
        settled(outcome) {
          hear('settled')
          if (told.isDropped) faults.push('settled after drop')
          if (told.settled++) faults.push('settled twice')
          if (clock.now() > dueAt + GRACE) faults.push(`settled ${clock.now() - dueAt} ms late`)
          tally(outcome.kind === 'answer' ? outcome.status : outcome.error.code)
          world.settled?.(outcome, tally)
        },
        done() {
          hear('done')
          if (!told.settled && !told.isDropped) faults.push('done before settled')
          told.done++
          world.done?.(query)
        },
      }
      const policy = (['recover', 'retry', 'auto'] as const)[Math.floor(3 * random.next())]
      const own = asked?.(random) ?? { payload: payload(random.next(), 1) }
      const choices = { policy, atDeadline: random.next() < 0.5 ? 'give' : 'fail' } as never
      const query = queryOf({ ...own, turn: NORMAL, since: clock.now(), dueAt, choices })
      const call = service(query, caller)
      isKnown = true
      if (random.next() < 0.2) {
        clock.after(60 * random.next(), () => {
          if (told.settled) return
          told.isDropped = true
          tally('dropped')
          call.drop(why(random))
        })
      }
      if (calls.length < queries) clock.after(6 * random.next(), ask)
    }
    clock.after(0, ask)
    await clock.run()
    if (calls.some(({ settled, isDropped }) => !settled && !isDropped)) faults.push('never settled')
    if (calls.some(({ done }) => !done)) faults.push('never done')
    world.over?.(tally)
    expect([seed, faults]).toEqual([seed, []])
    await pool.close(new Error('closed') as never)
  }
  return totals
}
