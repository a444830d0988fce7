/** Requests of several rows, where more is asked than the workers can answer in time. */

import { createPredictor, type PredictOptions, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { predictBatch } from '../../src/gateway/batch'
import type { Predictor } from '../../src/predictor/predictor'
import { VirtualClock } from '../../src/testing/virtual-clock'

const MS = 50
const WORKERS = 2
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const rowsOf = (count: number) => Array.from({ length: count }, (_, i) => Float32Array.of(i, 1))

interface Asked {
  told: number
  code: string
  retryMs?: number
}

/** Two workers that take 50 ms: 40 rows a second. @param known  whether the predictor has seen so by 40 rows */
async function house(options: PredictorOptions = {}, known = true) {
  const clock = new VirtualClock()
  const arriving = seeded(7)
  let slower = 1
  const answer = (row: Float32Array) => row.map((x) => 2 * x)
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, { clock, serviceMs: () => MS * slower, answer, signature })) // biome-ignore format: one line
  const predictor = await createPredictor({ workers, deadlineMs: 2000, hedge: false, testing: { clock }, onWarning() {}, ...options }) // biome-ignore format: one line
  if (known) await Promise.all([predictor.predictAll(rowsOf(40)), clock.run()])
  const slow = (factor: number) => (slower = factor)
  const told = (answers: Promise<unknown>) => {
    const since = clock.now()
    const asked: Asked = { told: Number.NaN, code: '' }
    answers.then(
      () => Object.assign(asked, { told: clock.now() - since, code: 'answered' }),
      (error) => {
        const { code, retryMs } = error.cause ?? error
        Object.assign(asked, { told: clock.now() - since, code, retryMs })
      },
    )
    return asked
  }
  const ask = (rows: number, choices: PredictOptions & { partial?: boolean } = {}) =>
    told(predictBatch(predictor as unknown as Predictor, rowsOf(rows), { partial: false, ...choices }))
  const offer = (rows: number, load: number, until: number, choices: PredictOptions = {}) => {
    const all: (Asked & { since: number })[] = []
    const arrive = () => {
      if (clock.now() >= until) return
      all.push(Object.assign(ask(rows, choices), { since: clock.now() }))
      clock.after((-Math.log(1 - arriving.next()) * rows * MS) / (load * WORKERS), arrive)
    }
    clock.after(0, arrive)
    return all
  }
  return { clock, workers, predictor, ask, told, offer, slow }
}

describe('rows of one request', () => {
  it.each([
    [4, {}],
    [4, { deadlineMs: 1000 }],
    [10, {}],
  ])(
    'of %i at three times the capacity, %o: told at once that it is too late, or answered in time',
    async (rows, choices) => {
      // biome-ignore format: one line
      const { clock, workers, predictor, offer } = await house()
      const before = workers.reduce((sum, { calls }) => sum + calls, 0)
      const since = clock.now()
      const all = offer(rows, 3, since + 8000, choices)
      await clock.run()
      // Without a deadline of their own they have as much more as they take by themselves, and a quarter.
      const { deadlineMs = 2000 + (1.25 * rows * MS) / WORKERS } = choices as PredictOptions
      const answered = all.filter(({ code }) => code === 'answered')
      const refused = all.filter(({ code }) => code === 'OVERLOADED')
      expect(answered.length + refused.length).toBe(all.length)
      expect((answered.length * rows * MS) / WORKERS).toBeGreaterThan(0.9 * 8000)
      expect(Math.max(...answered.map(({ told }) => told))).toBeLessThanOrEqual(deadlineMs)
      expect(refused.filter(({ told }) => told > 5).length).toBeLessThan(0.02 * refused.length)
      expect(refused.every(({ retryMs = 0 }) => retryMs > 0)).toBe(true)
      const calls = workers.reduce((sum, { calls }) => sum + calls, 0) - before
      expect(calls - rows * answered.length).toBeLessThan(0.02 * calls) // none for a request that failed
      expect(predictor.stats().failed.OVERLOADED).toBe(rows * refused.length)
      await predictor.close()
    },
  )

  it('too many for their deadline are refused before one of them is asked, and told for how long those before them take', async () => {
    const { clock, predictor, ask, workers } = await house()
    const first = ask(100, { deadlineMs: 10_000 }) // 2.5 s
    const calls = workers.map(({ calls }) => calls)
    const second = ask(60, { deadlineMs: 2000 })
    await Promise.all([clock.run(clock.now() + 1)])
    expect(second).toMatchObject({ told: 0, code: 'OVERLOADED' })
    expect(second.retryMs).toBeGreaterThan(1500)
    expect(workers.map(({ calls }) => calls)).toEqual(calls)
    await clock.run()
    expect(first.code).toBe('answered')
    const third = ask(100, { partial: true, deadlineMs: 2000 })
    await clock.run()
    expect(third).toMatchObject({ told: 0, code: 'OVERLOADED' })
    await predictor.close()
  })

  it('are due when a single row would be that came with them, whenever they were sent', async () => {
    const { clock, predictor, ask, slow } = await house()
    const all = [ask(1), ask(12, { partial: true, deadlineMs: 2000 })] // nine of them are sent
    slow(30) // those to come take 1.5 s
    await clock.run()
    expect(all.map(({ told, code }) => [told, code])).toEqual([
      [50, 'answered'],
      [2000, 'answered'],
    ])
    await predictor.close()
  })

  it('by the thousand, without a deadline of their own, are refused for what others ask alone', async () => {
    const { clock, predictor, ask } = await house()
    const alone = ask(4000) // 100 s
    await clock.run()
    expect(alone.code).toBe('answered')
    const before = ask(4000, { deadlineMs: 200_000 })
    const behind = ask(400) // they take turns with those
    await clock.run()
    expect([before.code, behind.code]).toEqual(['answered', 'OVERLOADED'])
    await predictor.close()
  })

  it('that wait for room are told at their deadline, and not up to a millisecond later', async () => {
    const { clock, predictor, ask, slow } = await house({}, false)
    slow(30)
    ask(30, { deadlineMs: 1e6 })
    const asked = ask(5, { deadlineMs: 120.3 })
    await clock.run()
    expect(asked).toMatchObject({ code: 'DEADLINE', told: 120.3 })
    await predictor.close()
  })

  it('by the thousand are answered where the deadline is generous, and keep nobody else waiting', async () => {
    const { clock, predictor, ask, offer } = await house()
    const since = clock.now()
    const night = ask(4000, { deadlineMs: 3_600_000 })
    const others = offer(4, 0.5, since + 60_000)
    await clock.run()
    expect(night.code).toBe('answered')
    expect(others.filter(({ code }) => code !== 'answered').length).toBe(0)
    expect(Math.max(...others.map(({ told }) => told))).toBeLessThan(1200)
    await predictor.close()
  })

  it('beside a flood of others thousands get on', async () => {
    const { clock, predictor, ask, offer } = await house()
    const night = ask(500, { deadlineMs: 1e9 })
    const others = offer(4, 3, clock.now() + 60_000)
    await clock.run(clock.now() + 60_000)
    expect(night.code).toBe('answered')
    expect(others.some(({ code }) => code === 'answered')).toBe(true)
    await predictor.close()
  })

  it('wait for room where nobody knows what an answer takes', async () => {
    const { clock, predictor, ask } = await house({}, false)
    const all = [ask(12), ask(12, { deadlineMs: 400 })]
    await clock.run()
    expect(all.map(({ code }) => code)).toEqual(['answered', 'DEADLINE'])
    await predictor.close()
  })

  it('whose caller leaves while they wait leave their room to others', async () => {
    const { clock, predictor, ask } = await house()
    const stop = new AbortController()
    const [first, left, last] = [ask(30), ask(30, { signal: stop.signal, deadlineMs: 1e6 }), ask(4)]
    clock.after(100, () => stop.abort())
    await clock.run()
    expect([first.code, left.code, left.told, last.code]).toEqual(['answered', 'ABORTED', 100, 'answered'])
    expect(predictor.stats().open).toBe(0)
    await predictor.close()
  })
})

describe('a tenant that floods', () => {
  const limits = { tenants: 3 }

  it.each([1, 2, 4])(
    'with single rows that have all the time keeps no other waiting that asks with %i',
    async (rows) => {
      const { clock, predictor, ask, told } = await house({ limits })
      const flood = async () => {
        while (clock.now() < 20_000)
          await predictor.predict(Float32Array.of(1, 2), { tenant: 'flood', deadlineMs: 1e9 })
      }
      for (let i = 0; i < 200; i++) void flood()
      await clock.run(clock.now() + 1000)
      const victims = [ask(rows, { tenant: 'victim' }), ask(rows, { tenant: 'victim' })]
      const all = told(predictor.predictAll(rowsOf(rows), { tenant: 'third' }))
      await clock.run(clock.now() + 1950)
      for (const { code, told } of [...victims, all]) {
        expect(code).toBe('answered')
        expect(told).toBeLessThan(200 + 4 * rows * MS)
      }
      await clock.run()
      await predictor.close()
    },
  )

  it('with requests of several rows leaves the others their share, by their weights', async () => {
    const shareOf = async (weight: number) => {
      const { clock, predictor, offer } = await house({ limits })
      const until = clock.now() + 20_000
      const all = [offer(4, 3, until, { tenant: 'a', weight }), offer(4, 3, until, { tenant: 'b' })]
      await clock.run()
      const [a, b] = all.map((asked) => asked.filter(({ code }) => code === 'answered').length)
      await predictor.close()
      expect(a + b).toBeGreaterThan(0.9 * ((20_000 * WORKERS) / MS / 4))
      return a / (a + b)
    }
    expect(Math.abs((await shareOf(1)) - 0.5)).toBeLessThan(0.05)
    expect(Math.abs((await shareOf(3)) - 0.75)).toBeLessThan(0.07)
  })
})
