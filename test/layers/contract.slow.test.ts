/**
 * The contract of `service.ts`, of whole stacks over a real pool in simulated time: workers that fail, hang, are slow and leave, callers that
 * leave, short deadlines. Each call is settled once, or was dropped; it is told nothing before it is known, nor after `done`; and is done.
 */

import { expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { acceptAnswers, type Payload } from '../../src/base/payload'
import type { Random } from '../../src/base/random'
import { Codec } from '../../src/codec/codec'
import { agree, type Witnesses } from '../../src/layers/agree'
import { Lateness } from '../../src/layers/lateness'
import { type ParityLayer, parity } from '../../src/layers/parity'
import { Budget } from '../../src/layers/query-share'
import { recover } from '../../src/layers/recover'
import { Pool } from '../../src/pool/pool'
import { stackOf } from '../../src/predictor/stack'
import type { Service } from '../../src/service'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'
import { randomMemory } from '../shared/random-memory'
import { signature, trouble, troubledWorkers, type World } from '../shared/random-stacks'

const [RUNS, QUERIES, WORKERS] = [150, 150, 6]

/** Workers of which two fail or hang now and then, and a third may leave; queries are alone, or coded in groups. */
async function worldOf(random: Random): Promise<World> {
  const clock = new VirtualClock()
  const workers = troubledWorkers(WORKERS, clock, random)
  const lateness: Lateness = new Lateness(() => pool)
  const [accept, lateMs] = [acceptAnswers(signature, false), () => lateness.ages?.hedgeMs]
  const pool: Pool<Payload, Payload> = new Pool<Payload, Payload>(workers, { clock, hangMs: 80, accept, lateMs })
  const counts = { sent: 0, won: 0 }
  const memory = randomMemory(clock, random, {
    isWarm: random.next() < 0.7,
    agrees: (recalled, own) => recalled[0] === own[0],
    learn(_, own) {
      if (own[1] !== 1) faults.push('learned a lie')
    },
  })
  const liars = random.next() < 0.5 ? 0 : random.next() < 0.7 ? 1 : 2
  for (const worker of workers.slice(0, liars)) {
    const { answer } = worker
    const share = random.next()
    worker.answer = (query) => (random.next() < share ? query.map((value) => value + 2 + 9 * share) : answer(query))
  }
  const evidence = new Set<string>()
  const equality = {
    criterion: criterionOf(signature.outputs),
    outputs: signature.outputs,
    rounding: 1e-3,
    scales: [1],
  }
  const isHonest = ({ name }: ModelWorker) => !workers.slice(0, liars).some((liar) => liar.name === name)
  const trust: Witnesses = {
    ...{ equality, integrity: random.next(), trials: { blocks: () => random.next() < 0.5 } },
    isTrusted: ({ name }) => !evidence.has(name),
    isSuspected: () => random.next() < 0.2,
    audits: () => random.next() < 0.3,
    lied(worker) {
      if (isHonest(worker)) faults.push('an honest worker lied')
      evidence.add(worker.name)
      pool.eject(worker.name)
    },
    proven({ name }) {
      if (random.next() < 0.2 && evidence.delete(name)) pool.readmit(name)
    },
    deviated: () => faults.push('deviant'),
    ...{ silent() {}, checked() {} },
  }
  const faults: string[] = []
  const recovers = random.next() < 0.6
  const own = {
    clock,
    lateness,
    memory,
    budget: new Budget(0.3, 150),
    outputs: signature.outputs,
    isDoubted: () => false,
  }
  const queries = [1, 2, 4, 8][Math.floor(4 * random.next())]
  const codec = await Codec.create({ queries, stragglers: 1 + Math.floor(2 * random.next()), core: { prefer: 'js' } })
  let coded: ParityLayer | undefined
  const isCoded = !liars && random.next() < 0.6
  const layers = (workers: Service) => {
    const { inputs } = signature
    const coding = {
      clock,
      codec,
      pool,
      workers,
      inputs,
      memory: random.next() < 0.5 ? memory : { ...memory, isWarm: false },
    }
    coded = isCoded ? parity({ ...coding, maxWaitMs: 5 }) : undefined
    return { recover: recovers ? recover({ ...own, isProven: liars > 0 }) : undefined, parity: coded }
  }
  const tenant = { layers, memory: recovers ? memory : undefined }
  if (random.next() < 0.2) clock.after(150, () => coded?.forget(workers[3].name))
  if (random.next() < 0.1) clock.after(250, () => coded?.close())
  const all = { clock, pool, lateness, budget: new Budget(0.2, 10), counts, teaches: recovers }
  const compare = () => {
    if (liars) faults.push('compared')
  }
  const scheme = { byzantine: liars, stragglers: isCoded ? codec.scheme.stragglers : 0 }
  const service = stackOf({
    ...all,
    isHedged: true,
    trustLayers: { agree },
    tenantOf: () => tenant,
    trust: { ...trust, compare },
    scheme,
  })
  if (random.next() < 0.3) clock.after(200, () => pool.remove(workers[2].name))
  if (random.next() < 0.1) clock.after(300, () => workers.forEach(({ name }) => pool.drain(name)))
  const settled: World['settled'] = (outcome, tally) => {
    if (outcome.kind === 'failure') return
    const { status, by, answer } = outcome
    const isDecoded = status === 'recovered' && by.length > 0 // which is an approximation
    if (isDecoded) tally('decoded')
    else if (!['unverified', 'checked'].includes(status) && answer.vector[1] !== 1) faults.push(`${status} is a lie`)
  }
  return { clock, pool, service, faults, settled }
}

it('holds under random trouble', async () => {
  const totals = await trouble({
    runs: RUNS,
    queries: QUERIES,
    worldOf,
    why: (random) => (['left', 'over', 'teach', 'void'] as const)[Math.floor(4 * random.next() ** 0.8)],
  })
  for (const what of [
    'exact',
    'recovered',
    'decoded',
    'checked',
    'unverified',
    'dropped',
    'DEADLINE',
    'WORKER',
    'QUORUM',
  ])
    expect([what, totals[what] > 5]).toEqual([what, true])
})
