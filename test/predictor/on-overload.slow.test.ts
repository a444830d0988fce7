/** More is asked than workers can answer: what the memory answers in the place of an error, within the same budget. */

import { beforeAll, describe, expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import type { PredictOptions, PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'

const MS = 10
const WORKERS = 4
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** Two classes, far apart; the model says which of two numbers is larger. */
const draws = seeded(7)
const drawn = () => Float32Array.of(...(draws.next() < 0.5 ? [3, 1] : [1, 3]).map((x) => x + 0.3 * draws.gauss()))

let state: Uint8Array

async function house(options: PredictorOptions = {}, coin = () => 1) {
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(7), seeded(8)]
  const answer = (row: Float32Array) => row.slice()
  const law = () => MS * Math.exp(0.1 * serving.gauss())
  const workers = Array.from(
    { length: WORKERS },
    (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }),
  )
  const predictor = await createPredictor({
    ...{ workers, hedge: false, right: 'label', deadlineMs: 50, onWarning() {} },
    ...{ memory: { state }, reuse: { maxError: 0.05 }, ...options, testing: { clock, coin } },
  })
  /** So many times the capacity until a time: how often each end came. */
  const offer = async (load: number, ms: number, choices: PredictOptions = {}) => {
    const ends: Record<string, number> = {}
    const until = clock.now() + ms
    const count = (what: string) => (ends[what] = (ends[what] ?? 0) + 1)
    const arrive = () => {
      if (clock.now() >= until) return
      const query = drawn()
      predictor.predict(query, choices).then(
        ({ status }) => count(status),
        ({ code }) => count(code),
      )
      clock.after((-Math.log(1 - arriving.next()) * MS) / (load * WORKERS), arrive)
    }
    clock.after(0, arrive)
    await clock.run()
    return { exact: 0, remembered: 0, OVERLOADED: 0, ...ends }
  }
  return { clock, predictor, offer, workers }
}

beforeAll(async () => {
  const { predictor, offer } = await house({ memory: {}, reuse: {}, policy: 'auto', verify: { audit: 0 } })
  await offer(0.5, 1500, { policy: 'retry' })
  state = await predictor.save()
  await predictor.close()
  const { predictor: taught, offer: ask } = await house()
  await ask(0.5, 500) // until the budget knows the memory
  state = await taught.save()
  await taught.close()
})

describe('a query that no worker can answer in time', () => {
  it('is refused where nobody said otherwise', async () => {
    const { predictor, offer } = await house()
    expect(await offer(3, 500, { ask: true })).toMatchObject({ remembered: 0, OVERLOADED: expect.toSatisfy((n) => n > 100) }) // biome-ignore format: one line
    await predictor.close()
  })

  it('is answered from memory where it says so, and all others by workers', async () => {
    const { predictor, offer } = await house()
    const ends = await offer(3, 500, { ask: true, onOverload: 'remember' })
    expect(ends.OVERLOADED).toBeLessThan(40)
    expect(ends.remembered).toBeGreaterThan(150)
    expect(ends.exact).toBeGreaterThan(150)
    expect(predictor.stats()).toMatchObject({ budget: { remembered: ends.remembered, audits: 0 } })
    expect(await offer(0.5, 300, { ask: true, onOverload: 'remember' })).toMatchObject({
      remembered: 0,
      OVERLOADED: 0,
    })
    await predictor.close()
  })

  it('that says ask is not answered so since others are: it has to say that, too', async () => {
    const { predictor, offer } = await house({ onOverload: 'remember' })
    for (const own of [{ ask: true }, { policy: 'retry' as const }])
      expect(await offer(3, 300, own)).toMatchObject({ remembered: 0 })
    await predictor.close()
  })

  it('is refused where the memory is not confident of it', async () => {
    const { predictor, offer } = await house()
    const ends = await offer(3, 500, { ask: true, onOverload: 'remember', minConfidence: 1 })
    expect(ends).toMatchObject({ remembered: 0, OVERLOADED: expect.toSatisfy((n) => n > 100) })
    await predictor.close()
  })

  it('counts as an answer only where it got one', async () => {
    const { predictor, offer } = await house()
    const before = predictor.stats().budget?.answers ?? 0
    const ends = await offer(3, 300, { ask: true, onOverload: 'remember', minConfidence: 1 })
    expect((predictor.stats().budget?.answers ?? 0) - before).toBe(ends.exact)
    await predictor.close()
  })
})

describe('an audit under overload', () => {
  it('is let in: refused it would count as wrong, and end what is given', async () => {
    const random = seeded(3)
    const { predictor, offer } = await house({}, random.next)
    const ends = await offer(3, 600, { ask: true, onOverload: 'remember' })
    expect(predictor.stats().budget).toMatchObject({ detectedErrors: 0, audits: expect.toSatisfy((n) => n > 5) })
    expect(ends.remembered).toBeGreaterThan(50)
    await predictor.close()
  })
})

it('is for predictors with a budget', async () => {
  await expect(house({ reuse: {}, onOverload: 'remember' })).rejects.toThrow("onOverload: expected 'fail' without reuse.maxError, got \"remember\"") // biome-ignore format: one line
  const { predictor } = await house()
  await expect(predictor.predict(drawn(), { onOverload: 'x' as never })).rejects.toThrow(/onOverload: expected 'fail' \| 'remember', got/) // biome-ignore format: one line
  await predictor.close()
})
