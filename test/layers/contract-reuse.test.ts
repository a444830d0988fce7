/**
 * The contract of `service.ts`, of whole stacks over a real pool in simulated time: workers that fail, hang, are slow and leave, callers that
 * leave, short deadlines. Each call is settled once, or was dropped; it is told nothing before it is known, nor after `done`; and is done.
 */

import { expect, it } from 'vitest'
import { acceptAnswers, type Payload } from '../../src/base/payload'
import type { Random } from '../../src/base/random'
import { type CacheOptions, cache } from '../../src/layers/cache'
import { coalesce } from '../../src/layers/coalesce'
import type { Draw } from '../../src/layers/error-budget'
import { ExactCache } from '../../src/layers/exact-cache'
import { Lateness } from '../../src/layers/lateness'
import { Budget } from '../../src/layers/query-share'
import { recover } from '../../src/layers/recover'
import { remember } from '../../src/layers/remember'
import { Savings } from '../../src/layers/savings'
import type { MemoryService } from '../../src/memory/service'
import { Pool } from '../../src/pool/pool'
import { type ReuseLayers, stackOf } from '../../src/predictor/stack'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { payload } from '../shared/fake-service'
import { randomMemory } from '../shared/random-memory'
import { signature, type Tally, trouble, troubledWorkers, type World } from '../shared/random-stacks'

const [RUNS, QUERIES, WORKERS] = [100, 150, 6]

/** Workers of which two fail or hang now and then, and a third may leave. */
function worldOf(random: Random): World {
  const clock = new VirtualClock()
  const workers = troubledWorkers(WORKERS, clock, random)
  const lateness: Lateness = new Lateness(() => pool)
  const [accept, lateMs] = [acceptAnswers(signature, false), () => lateness.ages?.hedgeMs]
  const pool: Pool<Payload, Payload> = new Pool<Payload, Payload>(workers, { clock, hangMs: 80, accept, lateMs })
  const counts = { sent: 0, won: 0 }
  const memory = randomMemory(clock, random)
  const recovers = random.next() < 0.6
  const own = {
    clock,
    lateness,
    memory,
    budget: new Budget(0.3, 150),
    outputs: signature.outputs,
    isDoubted: () => false,
  }
  const tenant = { layers: () => ({ recover: recovers ? recover(own) : undefined }) }
  const all = { clock, pool, lateness, budget: new Budget(0.2, 10), counts, teaches: recovers }
  const [layers, audits] = random.next() < 0.6 ? reuse(clock, random, memory) : [undefined, []]
  const service = stackOf({ ...all, isHedged: true, reuse: layers, tenantOf: () => tenant })
  if (random.next() < 0.3) clock.after(200, () => pool.remove(workers[2].name))
  if (random.next() < 0.1) clock.after(300, () => workers.forEach(({ name }) => pool.drain(name)))
  const faults: string[] = []
  const settled: World['settled'] = (outcome, tally) => {
    if (outcome.kind === 'answer' && outcome.reused) tally('reused')
  }
  const over = (tally: Tally) => {
    for (const { told } of audits) if (told !== 1) faults.push(`an audit had ${told} outcomes`)
    if (audits.length) tally('audited')
  }
  return { clock, pool, service, faults, settled, over }
}

/** Layers that answer before a worker is asked, over an error budget of which the coin alone decides. @returns them, and how often each audit had its outcome */
function reuse(clock: VirtualClock, random: Random, memory: MemoryService): [ReuseLayers, { told: number }[]] {
  const audits: { told: number }[] = []
  const draw = (): Draw => {
    const is = (['remember', 'audit', 'ask'] as const)[Math.floor(3 * random.next())]
    if (is !== 'audit') return { is, grade() {} }
    const audited = { told: 0 }
    audits.push(audited)
    return { is, grade: () => void audited.told++ }
  }
  const errors = { isHeld: false, draw, drawRepeat: draw, expectedShare: () => 0.5 }
  const tenantOf = () => ({ memory, errors })
  const repeatability: CacheOptions['repeatability'] = {
    isOff: false,
    believes: () => true,
    compare: (_, __, ___, ____, told) => told?.(random.next() < 0.9),
  }
  const opinion = { judge: (_: unknown, told: (of: 'refuted' | 'open') => void) => told('refuted') }
  const [counts, inferenceMs, savings] = [{ reused: 0 }, () => 10, new Savings()]
  const caching = {
    clock,
    cache: new ExactCache({ bytes: 5000 }),
    repeatability,
    counts,
    savings,
    tenantOf,
    inferenceMs,
  }
  const remembering = { clock, outputs: signature.outputs, accounts: new WeakMap(), opinion, tenantOf, inferenceMs }
  const layers = {
    cache: cache({ ...caching, equality: () => equality, coin: random.next }),
    remember: remember({ ...remembering, isOff: () => false, wrong() {} }),
    coalesce: coalesce({ clock, counts, isOff: () => random.next() < 0.1 }),
  }
  return [layers, audits]
}

const equality = { criterion: { kind: 'tolerance' as const }, outputs: [{}], rounding: 1e-4, scales: [1] }

it('holds under random trouble', async () => {
  const totals = await trouble({
    runs: RUNS,
    queries: QUERIES,
    worldOf,
    why: (random) => (['left', 'over', 'teach', 'void'] as const)[Math.floor(4 * random.next())],
    asked: (random) => ({
      payload: payload(random.next() < 0.5 ? random.next() : random.below(3), 1),
      said: random.next() < 0.1 ? { ask: true } : {},
    }),
  })
  for (const what of ['exact', 'recovered', 'remembered', 'reused', 'audited', 'dropped', 'DEADLINE', 'WORKER'])
    expect([what, totals[what] > 20]).toEqual([what, true])
})
