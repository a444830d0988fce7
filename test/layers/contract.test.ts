/**
 * The contract of `service.ts`, of whole stacks over a real pool in simulated time: workers that fail, hang, are slow and leave, callers that
 * leave, short deadlines. Each call is settled once, or was dropped; it is told nothing before it is known, nor after `done`; and is done.
 */

import { expect, it } from 'vitest'
import { Codec } from '../../src/codec/codec'
import { criterionOf } from '../../src/criterion'
import { agree, type Witnesses } from '../../src/layers/agree'
import { Budget } from '../../src/layers/budget'
import { Lateness } from '../../src/layers/lateness'
import { type ParityLayer, parity } from '../../src/layers/parity'
import { recover } from '../../src/layers/recover'
import { acceptAnswers, type Payload } from '../../src/payload'
import { NORMAL } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { stackOf } from '../../src/predictor/stack'
import { type Random, seeded } from '../../src/random'
import type { Caller, Service } from '../../src/service'
import type { Signature } from '../../src/tensor'
import { SimulatedWorker } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'
import { payload, queryOf } from '../shared/fake-service'
import { randomMemory } from '../shared/random-memory'

const [RUNS, QUERIES, WORKERS] = [150, 150, 6]
const signature: Signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
/** A call that has expired settles so soon, and a timer may be a millisecond late. */
const GRACE = 31

/** Workers of which two fail or hang now and then, and a third may leave; queries are alone, or coded in groups. */
async function worldOf(random: Random) {
  const clock = new VirtualClock()
  const law = () => 10 * Math.exp(0.3 * random.gauss()) * (random.next() < 0.1 ? 10 : 1)
  const answer = (query: Float32Array) => query.slice()
  const one = { clock, law, answer, signature, interruptible: random.next() < 0.5, slots: random.next() < 0.5 ? 1 : 3 }
  const workers = Array.from({ length: WORKERS }, (_, at) => new SimulatedWorker(at, one))
  const trouble = random.next()
  for (const worker of workers.slice(0, 2)) {
    worker.answer = (query) => {
      if (random.next() > trouble) return query.slice()
      return random.next() < 0.2 ? new Promise(() => {}) : Promise.reject(new Error('broken'))
    }
  }
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
  return { clock, pool, service, faults }
}

it('holds under random trouble', async () => {
  const totals: Record<string, number> = {}
  const tally = (what: string) => {
    totals[what] = (totals[what] ?? 0) + 1
  }
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = seeded(seed)
    const { clock, pool, service, faults } = await worldOf(random)
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
          if (outcome.kind === 'failure') return
          const { status, by, answer } = outcome
          const isDecoded = status === 'recovered' && by.length > 0 // which is an approximation
          if (isDecoded) tally('decoded')
          else if (!['unverified', 'checked'].includes(status) && answer.vector[1] !== 1)
            faults.push(`${status} is a lie`)
        },
        done() {
          hear('done')
          if (!told.settled && !told.isDropped) faults.push('done before settled')
          told.done++
        },
      }
      const policy = (['recover', 'retry', 'auto'] as const)[Math.floor(3 * random.next())]
      const query = queryOf({ payload: payload(random.next(), 1), turn: NORMAL, since: clock.now(), dueAt, choices: { policy, atDeadline: random.next() < 0.5 ? 'give' : 'fail' } as never }) // biome-ignore format: one line
      const call = service(query, caller)
      isKnown = true
      if (random.next() < 0.2) {
        clock.after(60 * random.next(), () => {
          if (told.settled) return
          told.isDropped = true
          tally('dropped')
          call.drop((['left', 'over', 'teach', 'void'] as const)[Math.floor(4 * random.next() ** 0.8)])
        })
      }
      if (calls.length < QUERIES) clock.after(6 * random.next(), ask)
    }
    clock.after(0, ask)
    await clock.run()
    if (calls.some(({ settled, isDropped }) => !settled && !isDropped)) faults.push('never settled')
    if (calls.some(({ done }) => !done)) faults.push('never done')
    expect([seed, faults]).toEqual([seed, []])
    await pool.close(new Error('closed') as never)
  }
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
