/** Streams of queries through a predictor whose workers may get another model, and nobody says so; in simulated time. */

import { seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { SimulatedWorker, type Simulation } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
export const labelOf = (y: ArrayLike<number>) => Number(y[1] > y[0])

/** Answers with its own model: `lies` is what becomes of the right answer. */
class OwnWorker extends SimulatedWorker {
  constructor(
    index: number,
    simulation: Simulation,
    readonly own: (x: Float32Array) => Float32Array,
  ) {
    super(index, simulation)
  }

  override answer(x: Float32Array): Float32Array {
    return this.own(x)
  }
}

export interface StreamOptions {
  seed: number
  /** How many ask, one query after the other. */
  callers?: number
  workers?: number
  options?: Partial<PredictorOptions>
  /** Of the queries those that are new; the others are drawn from 200, the first ones most often. */
  fresh?: number
  /** What a worker makes of the model's answer. */
  lies?(worker: number, y: Float32Array, random: () => number): Float32Array
}

/** Two classes, far apart: the model says which of two numbers is larger, another one that which is smaller. */
export async function stream({
  seed,
  callers = 1,
  workers: count = 4,
  options = {},
  fresh = 0.5,
  lies = (_, y) => y,
}: StreamOptions) {
  const clock = new VirtualClock()
  const [random, coin, times, deceit] = [1, 2, 3, 4].map((n) => seeded(10 * seed + n))
  const at = { model: 0, answers: 0, wrong: 0, reused: 0, remembered: 0, isOver: false }
  const warnings: string[] = []
  const modelOf = (x: Float32Array) =>
    at.model % 2 ? Float32Array.of(x[1] + at.model, x[0] + at.model) : x.map((v) => v + at.model)
  const simulation = {
    ...{ clock, signature, slots: Math.ceil(callers / count) + 2, interruptible: true },
    serviceMs: () => 10 * Math.exp(0.2 * times.gauss()),
    answer: modelOf,
  }
  const workers = Array.from({ length: count }, (_, i) => new OwnWorker(i, simulation, (x) => lies(i, modelOf(x), deceit.next))) // biome-ignore format: one line
  const predictor = await createPredictor({
    ...{ workers, hedge: false, verify: { audit: 0 }, right: 'label', deadlineMs: 60_000 },
    ...{ onWarning: (text: string) => warnings.push(text), testing: { clock, coin: coin.next }, ...options },
  })
  const drawn = () => Float32Array.of(...(random.next() < 0.5 ? [3, 1] : [1, 3]).map((x) => x + 0.3 * random.gauss()))
  const common = Array.from({ length: 200 }, drawn)
  const maxError = options.reuse?.maxError ?? 0
  const ask = async () => {
    const query = random.next() < fresh ? drawn() : common[Math.floor(200 ** random.next()) - 1]
    const { output, status, reused } = await predictor.predict(query)
    at.answers++
    if (!reused && status !== 'remembered') return
    if (reused) at.reused++
    else at.remembered++
    const right = modelOf(query)
    at.wrong += Number(labelOf(output.y.data as Float32Array) !== labelOf(right))
    at.isOver ||= at.wrong > 20 + 2 * maxError * at.answers
  }
  /** So many more answers. @returns what was counted meanwhile */
  const go = async (answers: number) => {
    const before = { ...at }
    let left = answers
    const call = async () => {
      while (left-- > 0) await ask()
    }
    const all = Promise.all(Array.from({ length: callers }, call))
    let isDone = false
    all.then(() => (isDone = true), () => (isDone = true)) // biome-ignore format: one line
    while (!isDone) await clock.run(clock.now() + 100)
    await all
    const [wrong, reused, remembered] = [at.wrong - before.wrong, at.reused - before.reused, at.remembered - before.remembered] // biome-ignore format: one line
    return { wrong, reused, remembered, unasked: (reused + remembered) / answers }
  }
  return { predictor, at, clock, go, warnings, workers, replace: () => at.model++ }
}
