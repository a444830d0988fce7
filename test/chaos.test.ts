import { createPredictor, type PredictOptions, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { type Random, seeded } from '../src/random'
import { VirtualClock } from '../src/serving/virtual-clock'
import type { ModelWorker } from '../src/workers/worker'

const HANG_MS = 200
const DEADLINE_MS = 400

type Mood = 'well' | 'slow' | 'silent' | 'dead' | 'nan' | 'short' | 'rejects' | 'throws'

/** A worker whose mood changes; restarted, it is well again. Answers are twice the row. */
class MoodyWorker implements ModelWorker {
  onFree: (() => void) | undefined
  mood: Mood = 'well'
  readonly name: string
  readonly signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #open = new Set<(error: Error) => void>()

  constructor(index: number, clock: VirtualClock, random: Random) {
    this.name = `w${index}`
    this.#clock = clock
    this.#random = random
  }

  get free(): boolean {
    return this.mood !== 'dead' && !this.#open.size
  }

  get busy(): boolean {
    return this.#open.size > 0
  }

  infer(row: Float32Array): Promise<Float32Array> {
    const { mood } = this
    if (mood === 'throws') throw new Error('thrown')
    if (mood === 'dead' || mood === 'rejects') return Promise.reject(new Error('no'))
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#open.delete(fail)
        reject(error)
      }
      this.#open.add(fail)
      if (mood === 'silent') return
      const ms = (mood === 'slow' ? 80 : 5) * (0.5 + this.#random.next())
      this.#clock.after(ms, () => {
        if (!this.#open.delete(fail)) return
        resolve(mood === 'nan' ? row.map(() => Number.NaN) : mood === 'short' ? row.subarray(1) : row.map((x) => 2 * x))
        this.onFree?.()
      })
    })
  }

  restart(why: string): void {
    this.mood = 'dead'
    for (const fail of [...this.#open]) fail(new Error(why))
    this.#clock.after(20, () => {
      this.mood = 'well'
      this.onFree?.()
    })
  }

  async close(): Promise<void> {
    this.mood = 'dead'
    for (const fail of [...this.#open]) fail(new Error('closed'))
  }
}

/** What becomes of a query: its promise settles in time, an exact answer is the model's own, and its group is reported. */
async function episode(seed: number, queries: number): Promise<void> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const K = 1 + random.below(5)
  const S = random.below(3)
  const count = K + S + random.below(3)
  const workers = Array.from({ length: count }, (_, i) => new MoodyWorker(i, clock, seeded(seed + i)))
  const options: PredictorOptions = {
    scheme: { queries: K, stragglers: S },
    workers,
    clock,
    hangMs: HANG_MS,
    deadlineMs: DEADLINE_MS,
    policy: pick(['auto', 'retry', 'recover'] as const),
    memory: pick([undefined, false] as const),
    onWarning: () => {},
    seed,
  }
  const predictor = await createPredictor(options)
  const groups: Promise<unknown>[] = []
  let [open, overdue, wrong] = [0, 0, 0]
  const ask = async () => {
    const row = Float32Array.of(random.gauss(), random.gauss())
    const start = clock.now()
    const abort = new AbortController()
    if (random.next() < 0.2) clock.after(40 * random.next(), () => abort.abort())
    const choices: PredictOptions = { signal: abort.signal }
    open++
    try {
      const { status, output, group } = await predictor.predict(row, choices)
      groups.push(group)
      if (status === 'exact' && !output.y.data.every((y, i) => y === 2 * row[i])) wrong++
    } catch {}
    open--
    if (clock.now() - start > DEADLINE_MS + 1) overdue++
  }
  for (let i = 0, at = 0; i < queries; i++) {
    at += 4 * random.next()
    clock.after(at, () => void ask())
  }
  // At most S workers, and at least one, are in a bad mood at any time.
  const moods: Mood[] = ['slow', 'silent', 'dead', 'nan', 'short', 'rejects', 'throws']
  for (let at = 0; at < 2 * queries; at += 60) {
    clock.after(at, () => {
      for (const worker of workers) if (worker.mood !== 'dead') worker.mood = 'well'
      for (const i of random.choose(count, Math.max(1, S))) workers[i].mood = pick(moods)
    })
  }
  clock.after(2 * queries + 61, () => {
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
  await predictor.close()
  await clock.run()
  const reported = await Promise.race([
    Promise.all(groups).then(() => 'all reported'),
    new Promise((resolve) => setTimeout(resolve, 0, 'some not')),
  ])
  expect({ seed, reported }).toEqual({ seed, reported: 'all reported' })
}

it('moody workers, callers that abort: every promise settles in time, exact is exact, every group is reported', async () => {
  for (let seed = 1; seed <= 300; seed++) await episode(seed, 120)
}, 120_000)
