import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import { createPredictor as compose } from '../../src/predictor/create'
import { OpenQuery } from '../../src/predictor/open-queries'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HeardEvents } from '../shared/heard-events'
import { type Mood, MoodyWorker, moods } from '../shared/troubled-worker'

const HANG_MS = 200
const DEADLINE_MS = 400

/** Half a million take a minute or two. `npm run simulate` draws far more kinds of trouble: here some are enough for each change. */
const QUERIES = Number(process.env.QUERIES ?? (process.env.CI ? 150_000 : 60_000))
const EACH = 150

/** What becomes of queries: promises settle in time, an exact answer is the model's own, each query and each attempt has one end, nothing is left. */
async function episode(seed: number): Promise<void> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const K = 1 + random.below(5)
  const S = random.below(3)
  const count = K + S + random.below(3)
  const workers = Array.from({ length: count }, (_, i) => new MoodyWorker(i, clock, seeded(seed + i)))
  const isCoded = random.next() < 0.8
  const isPaper = isCoded && random.next() < 0.2
  const heard = new HeardEvents(false)
  const options: PredictorOptions = {
    ...(isCoded && { scheme: { queries: K, stragglers: S, ...(isPaper && { preset: 'aaai22' as const }) } }),
    workers,
    testing: { clock, seed },
    hangMs: HANG_MS,
    deadlineMs: DEADLINE_MS,
    maxWaitMs: pick([0, 5, 50]),
    policy: pick(isPaper ? (['auto', 'recover'] as const) : (['auto', 'retry', 'recover'] as const)),
    hedge: { budget: pick([0, 0.1, 1]) },
    right: 'label',
    ...(random.next() < 0.9 && { memory: false as const }), // learning takes three times all the rest
    onWarning: () => {},
    onEvent: heard.onEvent,
  }
  const predictor = await createPredictor(options)
  // Where nothing is coded a NaN is an answer like any other.
  const bad = options.scheme ? moods : moods.filter((mood) => mood !== 'nan')
  let [open, overdue, wrong] = [0, 0, 0]
  const ask = async () => {
    const row = Float32Array.of(random.gauss(), random.gauss())
    const start = clock.now()
    const abort = new AbortController()
    const when = random.next()
    const leave = () => abort.abort()
    if (when < 0.1) clock.after(40 * random.next(), leave)
    else if (when < 0.15) queueMicrotask(leave)
    else if (when < 0.2) pick(workers).onCall = leave // from inside of `infer`
    const deadlineMs = random.next() < 0.1 ? 30 * random.next() : DEADLINE_MS
    open++
    try {
      const { status, output } = await predictor.predict(row, { signal: abort.signal, deadlineMs })
      if (status === 'exact' && !output.y.data.every((y, i) => y === 2 * row[i])) wrong++
    } catch {}
    open--
    if (clock.now() - start > deadlineMs + 1e-6) overdue++
  }
  for (let i = 0, at = 0; i < EACH; i++) {
    at += 4 * random.next()
    clock.after(at, () => void ask())
  }
  // At most S workers, and at least one, are in a bad mood at any time.
  for (let at = 0; at < 2 * EACH; at += 60) {
    clock.after(at, () => {
      for (const worker of workers) if (worker.mood !== 'dead') worker.mood = 'well'
      for (const i of random.choose(count, Math.max(1, S))) workers[i].mood = pick(bad)
    })
  }
  clock.after(2 * EACH + 61, () => {
    for (const worker of workers) worker.mood = 'well'
  })
  await clock.run()
  expect({ seed, open, overdue, wrong }).toEqual({ seed, open: 0, overdue: 0, wrong: 0 })
  // All workers are well and idle: a query is answered at once.
  let lively = 'silence'
  predictor.predict(Float32Array.of(1, 2)).then(
    ({ status }) => {
      lively = status
    },
    (error) => {
      lively = error.message
    },
  )
  await clock.run(clock.now() + HANG_MS)
  expect({ seed, lively }).toEqual({ seed, lively: expect.stringMatching(/^(exact|recovered)$/) })
  const { exact, recovered, failed } = predictor.stats()
  const ended = exact + recovered + Object.values(failed).reduce((sum, count) => sum + count, 0)
  expect({ seed, ended }).toEqual({ seed, ended: EACH + 1 - predictor.stats().open })
  await predictor.close()
  for (const worker of workers) worker.mood = 'well' // whatever they planned for themselves is over
  await clock.run(clock.now() + 1000)
  expect({ seed, unended: heard.unended, timers: clock.pending }).toEqual({ seed, unended: 0, timers: 0 })
}

/** With half a million, beside other tests, each part has the limit of a test that hangs. */
const PARTS = 5

it.each(Array.from({ length: PARTS }, (_, part) => part + 1))(
  'moody workers, callers that abort: every promise settles in time, exact is exact, each query and each attempt has one end; part %i',
  async (part) => {
    for (let seed = part; seed <= QUERIES / EACH; seed += PARTS) await episode(seed)
  },
)

/** Queries one after the other through workers of which the first is always in this mood; how often it was asked. */
async function asked(mood: Mood): Promise<number> {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 9 }, (_, i) => new MoodyWorker(i, clock, seeded(i)))
  let calls = 0
  const infer = workers[0].infer.bind(workers[0])
  workers[0].mood = mood
  workers[0].infer = (row) => {
    calls++
    return infer(row)
  }
  const predictor = await createPredictor({
    right: 'label',
    scheme: { queries: 4, stragglers: 1 },
    workers,
    testing: { clock },
    memory: false,
  })
  let answered = 0
  for (let i = 0; i < 1200; i++) {
    clock.after(4 * i, () => void predictor.predict(Float32Array.of(i, 1)).then(() => answered++))
  }
  await clock.run()
  await predictor.close()
  expect(answered).toBe(1200)
  return calls
}

it.each(['nan', 'short', 'rejects', 'throws'] as const)(
  'a worker that fails fast (%s) is not taken for a fast one',
  async (mood) => {
    expect(await asked(mood)).toBeLessThan(100) // of 1,500 rows, 167 each if all were alike
  },
)

it('predictAll of thousands keeps nobody else waiting', async () => {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 5 }, (_, i) => new MoodyWorker(i, clock, seeded(i)))
  const predictor = await createPredictor({
    right: 'label',
    scheme: { queries: 4, stragglers: 1 },
    workers,
    testing: { clock },
    memory: false,
  })
  const all = predictor.predictAll(Array.from({ length: 3000 }, (_, i) => Float32Array.of(i, 1)))
  const times: number[] = []
  for (let i = 0; i < 50; i++) {
    clock.after(20 * i, () => {
      const start = clock.now()
      void predictor.predict(Float32Array.of(i, 2)).then(() => times.push(clock.now() - start))
    })
  }
  await clock.run()
  expect((await all).length).toBe(3000)
  expect(times.length).toBe(50)
  expect(Math.max(...times)).toBeLessThan(60) // behind some twenty others, of 5 ms each on five workers
  await predictor.close()
})

it('a worker that cannot say whether it is free is not; the others serve', async () => {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 3 }, (_, i) => new MoodyWorker(i, clock, seeded(i)))
  Object.defineProperty(workers[1], 'free', {
    get() {
      throw new Error('odd getter')
    },
  })
  const predictor = await createPredictor({
    right: 'label',
    scheme: { queries: 2, stragglers: 1 },
    workers,
    testing: { clock },
    limits: { queries: 2 },
  })
  for (let i = 0; i < 5; i++) {
    const given = predictor.predict(Float32Array.of(1, 2))
    await clock.run()
    expect((await given).status).toBe('exact')
  }
  expect(predictor.stats()).toMatchObject({ open: 0, failed: {} })
  await predictor.close()
})

it('OVERLOADED is counted', async () => {
  const clock = new VirtualClock()
  const workers = [new MoodyWorker(0, clock, seeded(1))]
  const predictor = await createPredictor({
    right: 'label',
    scheme: { queries: 1 },
    workers,
    testing: { clock },
    limits: { queries: 1 },
  })
  const first = predictor.predict(Float32Array.of(1, 2))
  await expect(predictor.predict(Float32Array.of(1, 2))).rejects.toMatchObject({ code: 'OVERLOADED' })
  expect(predictor.stats().failed).toEqual({ OVERLOADED: 1 })
  await clock.run()
  await first
  await predictor.close()
})

it('a query whose last answer has come is forgotten: closing the predictor ends only what is under way', async () => {
  const clock = new VirtualClock()
  const workers = [0, 1].map((i) => new MoodyWorker(i, clock, seeded(i)))
  const predictor = await compose({ workers, right: 'label', testing: { clock } }) // from the same sources as the spy
  const end = vi.spyOn(OpenQuery.prototype, 'end')
  for (let i = 0; i < 10; i++) void predictor.predict(Float32Array.of(i, 1))
  await clock.run()
  const open = predictor.predict(Float32Array.of(1, 1))
  await predictor.close()
  await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
  expect(end).toHaveBeenCalledTimes(1)
})
