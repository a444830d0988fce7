/** Attempts that another one was quicker than: cancelled where an abort frees their workers, and what is learned of them all the same. */

import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { worlds } from '../../bench/laws/worlds'
import { tailOf } from '../../bench/shared/arrivals'
import { ApproxiferError } from '../../src/base/errors'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

class Worker extends HandWorker {
  interruptible: boolean | undefined = true
}

/** The first worker is late and a second one has the query as well, 50 ms later, which answers after 7. @returns whether the first is told to stop, and what is known of it */
async function raced(set: (worker: Worker) => void = () => {}, options: PredictorOptions = {}) {
  const workers = [0, 1, 2, 3].map((i) => new Worker(`w${i}`))
  workers.forEach(set)
  const clock = new VirtualClock()
  const predictor = await createPredictor({ workers, verify: { audit: 0 }, testing: { clock }, ...options }) // biome-ignore format: one line
  const asked = predictor.predict(query(1), { deadlineMs: 100 }) // while nobody knows what is late half of that is
  await clock.run(clock.now() + 50)
  const [loser, winner] = workers.map(({ calls }) => calls[0])
  await clock.run(clock.now() + 7)
  winner.answer()
  await turn()
  return { predictor, asked, loser, workers }
}

it('the loser of a race is told to stop, and its worker is free as soon as it says so; it is no failure', async () => {
  for (const error of [
    new ApproxiferError('ABORTED', 'stopped'),
    new DOMException('This operation was aborted', 'AbortError'),
  ]) {
    const heard = new HeardEvents()
    const { predictor, asked, loser, workers } = await raced(undefined, { onEvent: heard.onEvent })
    expect(loser.signal?.aborted).toBe(true)
    expect(workers[0].free).toBe(false)
    loser.fail(error as ApproxiferError)
    await asked
    await turn()
    expect(heard.attempts).toEqual(['w1 onTime', 'w0 ABORTED'])
    expect(heard.of('failed')).toMatchObject([{ ms: 57 }])
    expect(predictor.stats().workers[0]).toMatchObject({ failed: 0, late: 0 })
    const more = Array.from({ length: 40 }, () => predictor.predict(query(2))) // so many that a slow worker is of use
    expect(workers.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 1])
    await Promise.all([predictor.close(), Promise.allSettled(more)])
  }
})

it.each([
  ['whose worker an abort does not free', false, {}],
  ['whose worker says nothing of that', undefined, {}],
  ['whose answer shows who lies', true, { scheme: { queries: 1, byzantine: 1 } }],
] as const)('one goes on %s', async (_, interruptible, options) => {
  const { predictor, asked, loser } = await raced((worker) => {
    worker.interruptible = interruptible
  }, options)
  expect(loser.signal?.aborted ?? false).toBe(false)
  asked.catch(() => {})
  await predictor.close()
})

const retry = async (workers: ModelWorker[], clock: VirtualClock) => {
  const options = { limits: { queries: 1e6 }, onWarning() {} }
  return createPredictor({ workers, testing: { clock }, ...options })
}

/** One run's p99 is off by up to a tenth. */
const SEEDS = [10, 20, 30]

/** Runs a world twice, where losers go on and where they are cancelled. @returns the ratios of p99, machine time, and the mean age of a hedge */
async function compared(world: string, load: number, seed: number) {
  const { law, meanMs } = worlds[world]
  const run = async (interruptible: boolean) => {
    const ages: number[] = []
    const arrivals = {
      law,
      meanMs: meanMs(27),
      workers: 27,
      load,
      seed,
      queries: 6000,
      warmUp: 500,
      width: 1,
      interruptible,
    }
    const tail = await tailOf(arrivals, async (clock, workers) => {
      const predictor = await retry(workers, clock)
      let asked = 0
      const ask = async (row: Float32Array) => {
        await predictor.predict(row, { deadlineMs: 1e6 })
        if (++asked > 1000 && asked % 25 === 0) ages.push(predictor.stats().lateMs as number)
      }
      return { ask, close: () => predictor.close() }
    })
    return { ...tail, age: ages.reduce((a, b) => a + b) / ages.length }
  }
  const [on, cut] = [await run(false), await run(true)]
  return { p99: cut.p99 / on.p99, machine: cut.machineMs / on.machineMs, age: cut.age / on.age }
}

it.each([
  ['tight 2 %', 0.3, 0.86],
  ['spread 5 %', 0.3, 0.75],
  ['deviation 1', 0.3, 0.85],
  ['wandering', 0.6, 1],
] as const)('%s: p99 and what is late stay what they are, for less machine time', async (world, load, most) => {
  const runs = await Promise.all(SEEDS.map((seed) => compared(world, load, seed)))
  const mean = (name: keyof (typeof runs)[number]) => runs.reduce((sum, run) => sum + run[name], 0) / runs.length
  const [p99, machine, age] = [mean('p99'), mean('machine'), mean('age')]
  expect(p99).toBeLessThan(1.06)
  expect(machine).toBeLessThan(most)
  expect(age).toBeGreaterThan(0.95)
  expect(age).toBeLessThan(1.05)
})
