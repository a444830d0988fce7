/**
 * The contract of `service.ts`, of whole stacks over a real pool in simulated time: workers that fail, hang, are slow and leave, callers that
 * leave, short deadlines. Each call is settled once, or was dropped; it is told nothing before it is known, nor after `done`; and is done.
 */

import { expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { acceptAnswers, type Payload } from '../../src/base/payload'
import type { Random } from '../../src/base/random'
import { Codec } from '../../src/codec/codec'
import { Lateness } from '../../src/layers/lateness'
import { parity } from '../../src/layers/parity'
import { Budget } from '../../src/layers/query-share'
import { recallable } from '../../src/layers/recallable'
import { recover } from '../../src/layers/recover'
import { sample } from '../../src/layers/sample'
import { vouch } from '../../src/layers/vouch'
import { Pool } from '../../src/pool/pool'
import { stackOf } from '../../src/predictor/stack'
import type { Query, Service } from '../../src/service'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { AuditDraws } from '../../src/trust/audit-draws'
import { Evidence } from '../../src/trust/evidence'
import { GivenAnswers } from '../../src/trust/given-answers'
import { OpenReputation } from '../../src/trust/open-reputation'
import { Reputation } from '../../src/trust/reputation'
import { Sampling } from '../../src/trust/sampling'
import type { ModelWorker } from '../../src/workers/worker'
import { randomMemory } from '../shared/random-memory'
import { signature, trouble, troubledWorkers, type World } from '../shared/random-stacks'

const [RUNS, QUERIES, WORKERS] = [100, 150, 6]

/** Workers of which two fail or hang now and then, and a third may leave; where some may lie these two do, and others are the user's own. */
async function worldOf(random: Random): Promise<World> {
  const mode = (['closed', 'sampled', 'open'] as const)[Math.floor(3 * random.next())]
  const clock = new VirtualClock()
  const workers = troubledWorkers(WORKERS, clock, random, mode !== 'closed')
  for (const worker of workers.slice(4)) Object.assign(worker, { trusted: mode !== 'closed' })
  const lateness: Lateness = new Lateness(() => pool)
  const [accept, lateMs] = [acceptAnswers(signature, false), () => lateness.ages?.hedgeMs]
  const pool: Pool<Payload, Payload> = new Pool<Payload, Payload>(workers, {
    ...{ clock, hangMs: 80, accept, lateMs },
    plain: ({ trusted }) => mode === 'open' && !trusted,
  })
  const counts = { sent: 0, won: 0 }
  const memory = randomMemory(clock, random)
  const { sampled, strangers, given } = trusting(mode, pool, random)
  const recovers = mode !== 'open' && random.next() < 0.6
  const own = {
    clock,
    lateness,
    memory,
    budget: new Budget(0.3, 150),
    outputs: signature.outputs,
    isDoubted: () => false,
  }
  const isCoded = mode !== 'open' && random.next() < 0.5
  const codec = await Codec.create({ queries: 3, stragglers: 2, core: { prefer: 'js' } })
  const coded = { clock, codec, pool, inputs: signature.inputs, memory: { ...memory, isWarm: false }, maxWaitMs: 5 }
  const layers = (workers: Service) => ({
    recallable: given && recallable({ given }),
    recover: recovers ? recover(own) : undefined,
    parity: isCoded ? parity({ ...coded, workers }) : undefined,
  })
  const tenant = { layers }
  const all = { clock, pool, lateness, budget: new Budget(0.2, 10), counts, teaches: recovers, sampled, strangers }
  const service = stackOf({ ...all, isHedged: true, trustLayers: { sample, vouch }, tenantOf: () => tenant })
  if (random.next() < 0.3) clock.after(200, () => pool.remove(workers[2].name))
  if (random.next() < 0.1) clock.after(300, () => workers.forEach(({ name }) => pool.drain(name)))
  const faults: string[] = []
  const settled: World['settled'] = (outcome) => {
    if (outcome.kind === 'failure' || mode === 'closed' || outcome.status === 'recovered') return
    const { trusted, name } = outcome.by[0].worker as ModelWorker
    const isProven = outcome.status === 'exact'
    const isAnchor = trusted && (mode === 'open' || pool.worker(name)) // not any more where it has left
    if (isProven && !trusted) faults.push('another one’s is exact')
    if (!isProven && isAnchor) faults.push(`a trusted one’s is ${outcome.status}`)
    if (isProven !== (outcome.id === undefined)) faults.push(`${outcome.status}, with ${outcome.id} as id`)
  }
  const done = ({ tried }: Query) => {
    const seers = new Set(tried.attempts.flatMap(({ seenBy }) => seenBy))
    if (seers.size > 1) faults.push(`seen by ${[...seers]}`)
    if (tried.isLive) faults.push('done while an attempt runs')
  }
  return { clock, pool, service, faults, settled, done }
}

/** What is believed of workers, where some may lie; those that are believed no more have what they are at taken back. */
function trusting(mode: 'closed' | 'sampled' | 'open', pool: Pool<Payload, Payload>, random: Random) {
  if (mode === 'closed') return {}
  const given = new GivenAnswers(random.next, () => 0)
  const trust = new { sampled: Reputation, open: OpenReputation }[mode]({
    ...{ pool, signature, judged() {}, evidence: new Evidence(), integrity: 0.5, liars: 0, audit: 0, rounding: 1e-3 },
    ...{ seed: 1, ejects: true, coin: random.next, criterion: criterionOf(signature.outputs, 'label') },
    recall: ({ name }, place) => given.recall(name, place),
    warn() {},
  })
  trust.resume()
  if (mode === 'open') return { strangers: trust.openTrust, given }
  const draws = new AuditDraws(0.2, random.next)
  return { sampled: new Sampling({ pool, trust, draws, given }), given }
}

it('holds under random trouble', async () => {
  const totals = await trouble({
    runs: RUNS,
    queries: QUERIES,
    worldOf,
    why: (random) => (['left', 'over', 'teach'] as const)[Math.floor(3 * random.next())],
  })
  for (const what of ['exact', 'audited', 'recovered', 'dropped', 'DEADLINE', 'WORKER'])
    expect([what, totals[what] > 20]).toEqual([what, true])
})
