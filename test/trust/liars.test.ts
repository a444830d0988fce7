/** Verified inference: what liars do, alone or together, and what becomes of them and of the honest. */

import { ApproxiferError, createPredictor, type PredictorOptions, type PredictorStats } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/criterion'
import type { Attempt, Owner, Submission } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { Call } from '../../src/query/call'
import { type Random, seeded } from '../../src/random'
import { acceptAnswers } from '../../src/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { ruling } from '../../src/trust/agreement'
import { Audit } from '../../src/trust/audit'
import { Evidence } from '../../src/trust/evidence'
import { Scores } from '../../src/trust/scores'
import { type Verdict, Verification } from '../../src/trust/verification'
import { HandWorker, query, turn } from '../shared/house'
import { MoodyWorker } from '../shared/moody-worker'

const truth = (row: Float32Array) => Float32Array.of(Math.sin(3 * row[0]) + row[1], Math.cos(2 * row[1]) - row[0])

/** undefined: it says nothing. */
type Lie = (own: Float32Array, random: Random, row: Float32Array) => Float32Array | undefined
/** A lie that all liars tell alike, and others. */
const lies: Record<string, Lie> = {
  'the same lie': (own) => Float32Array.of(own[1] + 1, own[0]),
  noise: (own, random) => own.map((value) => value + random.gauss()),
  'values scaled': (own) => own.map((value) => 0.9 * value),
  flip: (own) => own.map((value) => -value),
  constant: () => Float32Array.of(0, 20),
  'near the tolerance': (own, random) => own.map((value) => value + 0.003 * (random.next() < 0.5 ? 1 : -1)),
}

/** Lies that are not always told, or are no proof: of these nobody need be convicted, and no honest worker may be. */
const sly: Record<string, Lie> = {
  'silent, or a lie': (own, random) => (random.next() < 0.5 ? undefined : own.map((value) => value + 1)),
  'right where its friends are asked as well, else just beyond rounding': (own, _, row) => {
    return row[0] > 0 ? own : own.map((value) => value + 0.0015)
  },
  'an answer to another query': (_, random) => truth(Float32Array.of(random.gauss(), random.gauss())),
}

/** Tells the truth, rounded in its own way, or lies. */
class Witness extends MoodyWorker {
  lie: Lie | undefined
  /** Of its answers. */
  share = 1
  told = 0

  constructor(
    index: number,
    clock: VirtualClock,
    private readonly random: Random,
    private readonly rounding: number,
  ) {
    super(index, clock, random)
  }

  override async infer(row: Float32Array): Promise<Float32Array> {
    const answer = await super.infer(row)
    if (answer?.length !== 2 || Number.isNaN(answer[0])) return answer
    const own = truth(row).map((value) => value * (1 + this.rounding))
    if (!this.lie || this.random.next() >= this.share) return own
    this.told++
    return this.lie(own, this.random, row) ?? new Promise(() => {})
  }
}

interface Ended {
  /** Wrong labels, and answers that are no worker's own, by status. */
  wrong: Record<string, number>
  answered: Record<string, number>
  stats: PredictorStats
  overdue: number
  workers: Witness[]
  saved: Uint8Array
  /** Groups of which no report came. */
  unreported: number
}

/** A stream of queries through some workers of which the first E lie. */
async function stream(
  seed: number,
  {
    liars,
    count,
    queries,
    lie,
    share = 1,
    same = false,
    ...options
  }: PredictorOptions & { liars: number; count: number; queries: number; lie?: Lie; share?: number; same?: boolean },
  during?: (clock: VirtualClock, workers: Witness[], random: Random) => void,
): Promise<Ended> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new Witness(i, clock, seeded(seed + i), i % 3 ? 0 : 1e-6))
  for (const worker of workers.slice(0, liars)) Object.assign(worker, { lie, share })
  const predictor = await createPredictor({
    scheme: { queries: Math.min(4, count), byzantine: Math.max(1, liars), code: 'systematic' },
    workers,
    clock,
    seed,
    hangMs: 200,
    deadlineMs: 400,
    onWarning: () => {},
    ...options,
  })
  const [wrong, answered]: Ended['wrong'][] = [{}, {}]
  let [open, overdue, unreported] = [0, 0, 0]
  const ask = async () => {
    const row = same ? Float32Array.of(0.3, 0.7) : Float32Array.of(random.gauss(), random.gauss())
    const start = clock.now()
    const abort = new AbortController()
    if (during && random.next() < 0.05) clock.after(40 * random.next(), () => abort.abort())
    open++
    try {
      const { status, output, group } = await predictor.predict(row, { signal: abort.signal })
      unreported++
      group.then(() => unreported--)
      const [own, got] = [truth(row), output.y.data]
      answered[status] = (answered[status] ?? 0) + 1
      const isOff = status === 'exact' && Math.hypot(own[0] - got[0], own[1] - got[1]) > 0.01
      const isOther = own[0] > own[1] !== got[0] > got[1] && Math.abs(own[0] - own[1]) > 1e-4
      if (isOff || isOther) wrong[status] = (wrong[status] ?? 0) + 1
    } catch {}
    open--
    if (clock.now() - start > 400 + 1e-6) overdue++
  }
  for (let i = 0, at = 0; i < queries; i++) {
    at += (20 / count) * random.next() * (1 + liars)
    clock.after(at, () => void ask())
  }
  during?.(clock, workers, random)
  await clock.run()
  const stats = predictor.stats()
  expect({ seed, open }).toEqual({ seed, open: 0 })
  const saved = predictor.save()
  await predictor.close()
  return { wrong, answered, stats, overdue, workers, saved, unreported }
}

const quarantined = ({ stats }: Ended) =>
  stats.workers.flatMap(({ worker, convictions }) => (convictions ? [worker] : []))

describe('verified inference', () => {
  it('an honest pool: every answer is the model’s own, and nobody is convicted', async () => {
    const ended = await stream(1, { liars: 0, count: 9, queries: 1500 })
    expect([ended.wrong, quarantined(ended), ended.stats.failed]).toEqual([{}, [], {}])
    expect(ended.answered.checked).toBeGreaterThan(200) // once the memory knows something, one worker is enough
    const asked = ended.stats.workers.reduce((sum, { onTime, late }) => sum + onTime + late, 0)
    expect(asked).toBeLessThan(1.9 * 1500)
  })

  it.each(Object.entries(lies))('one that lies is convicted: %s', async (name, lie) => {
    const ended = await stream(2, { liars: 1, count: 9, queries: 600, lie })
    expect(ended.wrong.exact).toBeUndefined()
    expect(quarantined(ended)).toEqual(['w0'])
    expect(ended.wrong.checked ?? 0, name).toBeLessThanOrEqual(1)
  })

  it('liars that lie alike are not believed, as long as they are no more than E', async () => {
    const ended = await stream(3, { liars: 2, count: 9, queries: 600, lie: lies['the same lie'] })
    expect(ended.wrong).toEqual({})
    expect(quarantined(ended)).toEqual(['w0', 'w1'])
  })

  it('a service that expects no liar finds one by its audits, and forgets what it taught', async () => {
    const options = { scheme: { queries: 4, stragglers: 1 }, audit: 0.1, hedges: 0.1 }
    const ended = await stream(4, { liars: 1, count: 9, queries: 450, lie: lies.flip, ...options })
    const honest = await stream(4, { liars: 0, count: 9, queries: 450, ...options })
    expect([quarantined(ended), quarantined(honest)]).toEqual([['w0'], []])
    expect(ended.wrong.exact).toBeLessThan(30) // until then; a ninth of 450 without
    expect(ended.wrong.exact).toBeGreaterThan(0)
  })

  it('who was convicted is still in quarantine where the state is taken up again; who answers well for long enough is not', async () => {
    const options = { liars: 1, count: 9, queries: 250 }
    const before = await stream(7, { ...options, lie: lies.flip })
    expect(quarantined(before)).toEqual(['w0'])
    const state = before.saved
    const still = await stream(8, { ...options, lie: lies.flip, state })
    expect([still.stats.workers[0].onTime, still.wrong]).toEqual([0, {}])
    const better = await stream(8, { ...options, state })
    expect(better.stats.workers[0]).toMatchObject({ probation: 0, convictions: 1 })
    expect(better.stats.workers[0].onTime).toBeGreaterThan(0)
  })

  it('evidence that no worker can have is refused', () => {
    const evidence = new Evidence()
    evidence.lied('a')
    const state = evidence.save()
    for (const [edit, message] of [
      [{ workers: { a: { ...state.workers.a, lies: -1 } } }, 'evidence.workers.a.lies: expected a'],
      [{ workers: { a: { ...state.workers.a, odd: 1 } } }, 'evidence.workers.a: expected only'],
      [{ distance: { ...state.distance, variance: Number.NaN } }, 'evidence.distance.variance: expected'],
      [{ workers: [] }, 'evidence.workers: expected an object'],
    ] as const) {
      expect(() => evidence.load({ ...state, ...edit }, 10)).toThrow(`state: ${message}`)
    }
    expect(evidence.save()).toEqual(state) // nothing was taken of them
    const again = new Evidence()
    again.load(JSON.parse(JSON.stringify(state)), 10)
    expect([again.convicted, again.isTrusted('b')]).toEqual([['a'], true])
  })

  it('audits need a third worker to tell who of two lies, and are off where none may be asked twice', async () => {
    for (const options of [{ count: 2 }, { count: 9, hedges: 0 }]) {
      const ended = await stream(5, { liars: 1, queries: 300, lie: lies.flip, scheme: { queries: 2 }, ...options })
      expect(quarantined(ended)).toEqual([])
      const asked = ended.stats.workers.reduce((sum, { onTime, late }) => sum + onTime + late, 0)
      if (options.hedges === 0) expect(asked).toBeLessThan(1.1 * 300) // probes of slow workers
    }
  })

  it('the paper’s code: who is a little unusual too often is looked at, and convicted by others who are asked for its row', async () => {
    const options = {
      count: 12,
      queries: 1200,
      scheme: { queries: 4, byzantine: 1, code: 'berrut' as const },
      audit: 1e-9,
    }
    for (const liars of [1, 0]) {
      const ended = await stream(6, { liars, lie: lies.flip, ...options })
      expect(quarantined(ended)).toEqual(liars ? ['w0'] : [])
      const dropped = ended.stats.workers.slice(liars).reduce((sum, { suspected }) => sum + suspected, 0)
      expect(dropped).toBeLessThan(150 + 0.04 * ended.stats.groups) // in each of the first 150, then in one of a hundred
    }
  })

  it('the paper’s code: no single worker’s word is called exact', async () => {
    const scheme = { queries: 4, byzantine: 1, code: 'berrut' as const }
    for (const preset of [undefined, 'aaai22'] as const) {
      const options = { liars: 1, count: 12, queries: 400, scheme, ...(preset && { preset }) }
      const { answered, wrong } = await stream(6, { ...options, lie: lies.constant })
      expect([answered.exact, wrong.exact]).toEqual([undefined, undefined])
    }
  })

  it('the paper’s code: an honest answer that looks unusual is not dropped, since others give it as well', async () => {
    const scheme = { queries: 4, byzantine: 1, code: 'berrut' as const }
    const options = { liars: 0, count: 12, queries: 1200, scheme, falseAlarms: 0.1 }
    const [asked, not] = [await stream(6, { ...options, audit: 1e-9 }), await stream(6, { ...options, audit: 0 })]
    const dropped = ({ stats }: Ended) => stats.workers.reduce((sum, { suspected }) => sum + suspected, 0)
    expect(dropped(asked)).toBe(60) // one in each group until it is known what is usual
    expect(dropped(not)).toBeGreaterThan(70)
    expect([asked.overdue, asked.unreported, asked.stats.failed]).toEqual([0, 0, {}])
  })

  it('the paper’s code: a group whose doubtful answer nobody else will give is decoded without it at the deadline', async () => {
    const scheme = { queries: 4, byzantine: 1, code: 'berrut' as const }
    const options = { liars: 0, count: 12, queries: 1200, scheme, audit: 1e-9, falseAlarms: 0.1, hangMs: 10_000 }
    const asked = new Set<string>()
    const once: Lie = (own, _, row) => (asked.has(String(row)) ? undefined : (asked.add(String(row)), own))
    const ended = await stream(6, options, (_, workers) => {
      for (const worker of workers) worker.lie = once
    })
    const dropped = ended.stats.workers.reduce((sum, { suspected }) => sum + suspected, 0)
    expect(dropped).toBeGreaterThan(60)
    expect([ended.overdue, ended.unreported]).toEqual([0, 0])
  })

  it('a liar that answers zeros from the first on does not make roundings into lies', async () => {
    for (const options of [{ liars: 1 }, { liars: 1, scheme: { queries: 2 }, audit: 1 }]) {
      const ended = await stream(9, { count: 5, queries: 200, lie: (own) => own.map(() => 0), ...options })
      expect(quarantined(ended)).toEqual(['w0'])
    }
  })

  it('the same query again and again makes no roundings into lies', async () => {
    const ended = await stream(10, { liars: 0, count: 5, queries: 600, same: true, audit: 0.5 })
    expect([quarantined(ended), ended.wrong]).toEqual([[], {}])
  })

  it('where the model answers otherwise every time, half of the workers stay', async () => {
    const lots: Lie = (own, random) => own.map((value) => value + random.gauss())
    const options = { scheme: { queries: 2 }, audit: 1, memory: false as const }
    const ended = await stream(11, { liars: 8, count: 8, queries: 600, lie: lots, ...options })
    expect(quarantined(ended).length).toBeLessThanOrEqual(4)
    expect(ended.stats.failed).toEqual({})
  })

  it('who was wrong for a while is back where no liar is expected, too', async () => {
    const options = { liars: 1, count: 6, queries: 1500, scheme: { queries: 2 }, audit: 0.3, memory: false as const }
    const ended = await stream(12, { ...options, lie: lies.flip }, (clock, workers) => {
      clock.after(800, () => {
        workers[0].lie = undefined
      })
    })
    expect(ended.stats.workers[0]).toMatchObject({ convictions: 1, probation: 0 })
  })

  it('recovers nothing where nothing is remembered, whatever the policy', async () => {
    const during = (_: unknown, workers: Witness[]) => {
      for (const worker of workers) worker.mood = 'slow'
    }
    const options = { liars: 0, count: 4, queries: 200, policy: 'recover' as const, memory: false as const }
    const { answered, overdue } = await stream(13, options, during)
    expect([Object.keys(answered), overdue]).toEqual([['exact'], 0])
  })

  it('with hardly more workers than can outvote the liars every group is reported', async () => {
    const options = { liars: 1, count: 3, queries: 300, lie: lies.noise, deliver: 'early' as const }
    expect((await stream(14, options)).unreported).toBe(0)
  })

  it('no false alarms at all are accusations of nobody', () => {
    const [none, some] = [0, 0.01].map((falseAlarms) => {
      const [scores, random] = [new Scores(falseAlarms), seeded(1)]
      let accused = 0
      for (let i = 0; i < 1000; i++) {
        const group = [0, 1, 2, 3].map((row) => ({ row, worker: `w${row}`, score: Math.exp(random.gauss()) }))
        expect(scores.isReady).toBe(falseAlarms === 0 || i >= 150)
        accused += Number(scores.see(group).unusual.length > 0)
      }
      return accused
    })
    expect(none).toBe(0)
    expect(some).toBeGreaterThan(2)
    expect(some).toBeLessThan(25)
  })

  it('whatever liars, crashes, delays and aborts there are: no lie is exact, nobody honest is convicted, all settles', async () => {
    const moods = ['slow', 'silent', 'dead', 'nan', 'rejects', 'throws', 'reuses'] as const
    const all = Object.values({ ...lies, ...sly })
    for (let seed = 1; seed <= Number(process.env.CI ? 60 : 15); seed++) {
      const random = seeded(seed)
      const liars = 1 + random.below(3)
      const [S, lie] = [random.below(2), all[random.below(all.length)]]
      const options = {
        ...{ liars, lie, count: 2 * liars + 1 + S + random.below(5), queries: 200 },
        share: [0.1, 0.5, 1][random.below(3)],
        policy: (['auto', 'retry'] as const)[random.below(2)],
        integrity: [0.8, 0.95, 1][random.below(3)],
        audit: [0, 0.01, 1][random.below(3)],
      }
      const ended = await stream(seed, options, (clock, workers, random) => {
        for (let at = 0; at < 2000; at += 60) {
          clock.after(at, () => {
            for (const worker of workers) if (worker.mood !== 'dead') worker.mood = 'well'
            if (at < 1900 && S) workers[random.below(workers.length)].mood = moods[random.below(moods.length)]
          })
        }
      })
      const honest = quarantined(ended).filter((worker) => Number(worker.slice(1)) >= liars)
      const { overdue, wrong } = ended
      expect({ seed, overdue, wrong: wrong.exact ?? 0, honest }).toEqual({ seed, overdue: 0, wrong: 0, honest: [] })
    }
  })
})

/** A pool that takes 10 ms an answer, of which each query is asked of two, after so many queries. */
async function practised(count: number, queries: number, options: { hedges: number; hangMs?: number }) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  const verified = { scheme: { queries: 1, byzantine: 1 }, audit: 0, memory: false } as const
  const predictor = await createPredictor({ workers, clock, onWarning: () => {}, ...verified, ...options })
  const asked = () => workers.filter(({ calls }) => calls.length)
  const pass = (ms: number) => clock.run(clock.now() + ms)
  for (let i = 0; i < queries; i++) {
    const told = predictor.predict(query(i))
    await pass(10)
    for (const worker of asked()) worker.calls[0].answer()
    await told
  }
  return { predictor, asked, pass }
}

it('a dispute is settled without the worker that hangs: an honest third and fourth are asked', async () => {
  // So few queries that what takes three medians is late, and nobody was hedged.
  const { predictor, asked, pass } = await practised(6, 45, { hedges: 1 })
  const told = predictor.predict(query(100))
  await pass(5)
  const [hangs, liar] = asked()
  liar.calls[0].answer(Float32Array.of(-9, 9))
  await pass(30) // it is late, and hedged
  const hedge = asked().find((worker) => worker !== hangs) as HandWorker
  hedge.calls[0].answer()
  await pass(1)
  const fourth = asked().filter((worker) => worker !== hangs)
  expect(fourth.length).toBe(1)
  fourth[0].calls[0].answer()
  expect((await told).status).toBe('exact')
  expect(predictor.stats().workers.filter(({ convictions }) => convictions).map(({ worker }) => worker)).toEqual([liar.name]) // biome-ignore format: one line
  await predictor.close()
})

it('a dispute that waits for a worker which then hangs goes on without it, hedged or not', async () => {
  const { predictor, asked, pass } = await practised(12, 60, { hedges: 0, hangMs: 60_000 })
  const told = predictor.predict(query(100))
  await pass(5)
  const [honest, liar] = asked()
  honest.calls[0].answer()
  liar.calls[0].answer(Float32Array.of(-9, 9))
  await pass(9)
  expect(asked().length).toBe(1) // the third, which is not late yet
  await pass(2)
  expect(asked().length).toBe(2)
  await pass(1000)
  expect(asked().length).toBe(3) // where all are slow, to ask everybody makes it worse
  asked()[2].calls[0].answer()
  expect((await told).status).toBe('exact')
  expect(asked().length).toBe(2)
  await predictor.close()
})

it('audits that no worker has time for do not pile up: each keeps its row', async () => {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 3 }, (_, i) => new HandWorker(`w${i}`))
  const predictor = await createPredictor({ workers, clock, audit: 1, hedges: 0 })
  const answers: Promise<unknown>[] = []
  const serve = async () => {
    for (const { calls } of workers) calls[0]?.answer()
    await turn()
  }
  for (let i = 0; i < 900; i++) answers.push(predictor.predict(query(i)))
  let isOpen = true
  const all = Promise.all(answers).finally(() => {
    isOpen = false
  })
  while (isOpen) await serve()
  await all
  let left = 0
  for (; workers.some(({ calls }) => calls.length); await serve()) left++
  expect(left).toBeLessThan(10)
  await predictor.close()
})

it('many late at once, each asked of two: no more hedges than were saved up, and those are told', async () => {
  const { predictor, pass } = await practised(60, 45, { hedges: 0.05 })
  for (let i = 0; i < 15; i++) void predictor.predict(query(100 + i)).catch(() => {})
  await pass(40)
  expect(predictor.stats().hedges.sent).toBe(10)
  await predictor.close()
})

it('a query that takes two workers down is asked of no more than the one that has it already', async () => {
  const workers = Array.from({ length: 8 }, (_, i) => new HandWorker(`w${i}`))
  const verified = { scheme: { queries: 1, byzantine: 1 }, audit: 0, memory: false } as const
  const predictor = await createPredictor({ workers, clock: new VirtualClock(), ...verified })
  const poison = predictor.predict(query(66)).catch(({ code }) => code)
  let deaths = 0
  for (let victim = workers.find(({ calls }) => calls.length); victim; deaths++) {
    victim.capacity = 0 // it is down
    victim.calls[0].fail(new ApproxiferError('WORKER', 'exited with code 1'))
    await turn()
    victim = workers.find(({ calls }) => calls.length)
  }
  expect([await poison, deaths]).toEqual(['QUORUM', 3])
  await predictor.close()
})

describe('a worker that lies', () => {
  function court(count: number, liars: number) {
    const clock = new VirtualClock()
    const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
    const { signature } = workers[0]
    const pool = new Pool<Float32Array, Float32Array>(workers, {
      clock,
      hangMs: 30_000,
      accept: acceptAnswers(signature),
    })
    const kinds: Verdict['kind'][] = []
    const judged = ({ kind }: Verdict) => kinds.push(kind)
    const rest = { integrity: 1, audit: 0, rounding: 0.001, seed: 1, bars: true }
    const criterion = criterionOf(signature.outputs, {})
    const evidence = new Evidence()
    return { workers, kinds, court: new Verification({ pool, clock, criterion, evidence, liars, ...rest, judged }) }
  }

  it('is kept where half of the pool, or no more than it takes to outvote the liars, are left', () => {
    for (const [count, liars, convicted] of [
      [6, 1, 3],
      [7, 1, 3],
      [5, 2, 2],
      [4, 3, 0],
    ]) {
      const { court: verification, workers, kinds } = court(count, liars)
      for (const worker of workers) verification.lied(worker)
      expect(kinds.filter((kind) => kind === 'convicted').length).toBe(convicted)
      expect(kinds.filter((kind) => kind === 'kept').length).toBe(count - convicted)
    }
  })

  it('is restarted the first time only: its memory may be corrupt, which is likelier than malice', () => {
    const { court: verification, workers, kinds } = court(6, 1)
    for (let times = 0; times < 2; times++) {
      verification.lied(workers[0])
      while (!verification.isTrusted(workers[0])) verification.proven(workers[0], Float32Array.of(1, 2))
    }
    expect(kinds).toEqual(['convicted', 'released', 'convicted', 'released'])
    expect(workers[0].restarts).toEqual(['gave an answer that was proven wrong'])
  })
})

it('an answer that only one of those who agree is far from is no lie, also where no liar is expected', () => {
  const criterion = criterionOf([{ name: 'y', shape: [1] }], {})
  const equality = { criterion, rounding: 0.001, deviation: 1 }
  const lies = (...answers: number[]) => ruling(answers.map((y) => Float32Array.of(y)), 0, equality).lies // biome-ignore format: one line
  expect([lies(0, 0.0009, 0.0035), lies(0, 0.0009, 0.0045)]).toEqual([[], [2]])
})

it('an audit: what a worker in quarantine says is only compared, and proves nothing', () => {
  const [liar, tried, ...honest] = ['liar', 'tried', 'b', 'c'].map((name) => new HandWorker(name))
  const asked: { owner: Call; attempt: Attempt }[] = []
  let onTrial: (typeof asked)[number] | undefined
  const told: string[] = []
  const given = (worker: HandWorker, owner: Owner) => {
    const attempt = { phase: 'running', worker, identity: worker.name, outcome: undefined } as unknown as Attempt
    return { owner: owner as Call, attempt }
  }
  const answer = ({ owner, attempt }: (typeof asked)[number], y: Float32Array) => {
    Object.assign(attempt, { phase: 'settled', outcome: { kind: 'answered', answer: y } })
    owner.settled()
  }
  const pool = {
    trial: ({ owner }: Submission) => {
      onTrial = given(tried, owner)
      return onTrial.attempt
    },
    submit: ({ owner }: Submission) => {
      asked.push(given(honest[asked.length], owner))
      return asked[asked.length - 1].attempt
    },
    ...{ available: () => 5, hasSpare: true, count() {} },
  }
  const verification = {
    liars: 0,
    equality: { criterion: criterionOf(liar.signature.outputs, {}), rounding: 0.001, deviation: 1 },
    proven: ({ name }: HandWorker) => told.push(`${name} is right`),
    lied: ({ name }: HandWorker) => told.push(`${name} lied`),
  }
  const first = new Call(
    { blocks: () => false, sent() {}, spare() {}, heard() {} },
    { data: query(1), index: 0 },
    'normal',
  )
  const lie = Float32Array.of(9, -9)
  first.attempt = given(liar, first).attempt as typeof first.attempt
  answer({ owner: first, attempt: first.attempt as Attempt }, lie)
  const audit = new Audit(pool as never, verification as never, [first])
  audit.proceed()
  answer(onTrial as (typeof asked)[number], lie)
  expect([told, asked.length]).toEqual([[], 1])
  for (const at of [0, 1]) answer(asked[at], Float32Array.of(2, 2))
  expect(told).toEqual(['b is right', 'c is right', 'liar lied', 'tried lied'])
})
