/** More is asked than the workers can answer in time. */

import { ApproxiferError, createPredictor, type PredictOptions, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'

const query = Float32Array.of(1, 2)
const MS = 10
const WORKERS = 4
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

interface Asked {
  since: number
  told: number
  code: string
}

/** Workers that take about 10 ms. */
async function house(
  options: PredictorOptions = {},
  simulation: { interruptible?: boolean; slowed?(now: number): number } = {},
) {
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(7), seeded(8)]
  const { slowed = () => 1, interruptible = false } = simulation
  const law = (_: number, now: number) => MS * slowed(now) * Math.exp(0.1 * serving.gauss())
  const answer = (row: Float32Array) => row.map((x) => 2 * x)
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature, interruptible })) // biome-ignore format: one line
  const predictor = await createPredictor({ workers, testing: { clock }, onWarning() {}, ...options })
  /** So many times the capacity until a time; how each ended: `code` is the status of an answer. */
  const offer = (load: number, until: number, choices: PredictOptions = {}) => {
    const all: Asked[] = []
    const arrive = () => {
      if (clock.now() >= until) return
      const asked = { since: clock.now(), told: 0, code: '' }
      all.push(asked)
      const own = Float32Array.of(arriving.gauss(), arriving.gauss())
      predictor.predict(own, choices).then(
        ({ status }) => Object.assign(asked, { told: clock.now() - asked.since, code: status }),
        ({ code }) => Object.assign(asked, { told: clock.now() - asked.since, code }),
      )
      clock.after((-Math.log(1 - arriving.next()) * MS) / (load * WORKERS), arrive)
    }
    clock.after(0, arrive)
    return all
  }
  return { clock, workers, predictor, offer }
}

const exact = ({ code }: Asked) => code === 'exact'
const share = (all: Asked[], is: (asked: Asked) => boolean) => all.filter(is).length / all.length
const after =
  (ms: number) =>
  ({ since }: Asked) =>
    since >= ms

it('tenants of weights 3 and 1 that flood have 75 and 25 % of the answers; of equal weights half each', async () => {
  const shareOf = async (weight: number) => {
    const { clock, predictor, offer } = await house({ deadlineMs: 200, limits: { tenants: 2 } })
    const all = [offer(3, 10_000, { tenant: 'a', weight }), offer(3, 10_000, { tenant: 'b' })]
    await clock.run()
    const [a, b] = all.map((asked) => asked.filter(after(500)).filter(exact).length)
    await predictor.close()
    expect(a + b).toBeGreaterThan(0.95 * (9500 / MS) * WORKERS)
    return a / (a + b)
  }
  expect(Math.abs((await shareOf(3)) - 0.75)).toBeLessThan(0.02)
  expect(Math.abs((await shareOf(1)) - 0.5)).toBeLessThan(0.02)
})

describe('at three times the capacity', () => {
  it('as much is answered in time as the workers can, the others know at once, and no worker is at work for nobody', async () => {
    const { clock, workers, predictor, offer } = await house({ deadlineMs: 50 })
    const all = offer(3, 5000)
    await clock.run()
    const later = all.filter(after(500))
    const answered = later.filter(exact)
    expect(answered.length / (4500 / MS) / WORKERS).toBeGreaterThan(0.95)
    expect(Math.max(...answered.map(({ told }) => told))).toBeLessThanOrEqual(50)
    const refused = later.filter((asked) => !exact(asked))
    expect(share(refused, ({ code, told }) => code === 'OVERLOADED' && told === 0)).toBeGreaterThan(0.98)
    const calls = workers.reduce((sum, worker) => sum + worker.calls, 0)
    expect(calls - all.filter(exact).length).toBeLessThan(0.05 * calls)
    expect(predictor.stats().failed.OVERLOADED).toBeGreaterThan(0.95 * refused.length)
    expect(predictor.stats().hedges.sent).toBeLessThan(10)
    await predictor.close()
  })

  it('one tenant’s flood is not the others’, nor is their room', async () => {
    const { clock, predictor, offer } = await house({ deadlineMs: 100, limits: { queries: 40, tenants: 3 } })
    const flood = offer(3, 5000, { tenant: 'flood' })
    const other = offer(0.2, 5000, { tenant: 'other' })
    await clock.run()
    expect(share(other.filter(after(500)), exact)).toBe(1)
    expect(share(flood.filter(after(500)), exact)).toBeGreaterThan(0.2)
    await predictor.close()
  })

  it('nor is one caller’s, where no tenant is named: they are no tenants', async () => {
    const { clock, predictor, offer } = await house({
      deadlineMs: 100,
      limits: { queries: 40 },
      reuse: { exact: true },
    })
    const flood = offer(5, 5000, { caller: 'flood' })
    const other = offer(0.2, 5000, { caller: 'other' })
    await clock.run()
    expect(share(other.filter(after(500)), exact)).toBeGreaterThan(0.95)
    expect(share(flood.filter(after(500)), exact)).toBeGreaterThan(0.15)
    expect(predictor.tenants).toEqual([''])
    const given = await Promise.all(['a', 'b'].map((caller) => [predictor.predict(query, { caller }), clock.run()][0]))
    expect(given.filter((each) => (each as { reused?: boolean }).reused)).toHaveLength(1)
    await predictor.close()
  })

  it('a higher priority goes first', async () => {
    const { clock, predictor, offer } = await house({ deadlineMs: 100 })
    const [high, normal, low] = (['high', 'normal', 'low'] as const).map((priority) => offer(0.6, 5000, { priority }))
    await clock.run()
    const [first, second, third] = [high, normal, low].map((all) => share(all.filter(after(500)), exact))
    expect(first).toBeGreaterThan(0.98)
    expect(first).toBeGreaterThan(second)
    expect(second).toBeGreaterThan(third + 0.3)
    await expect(async () => predictor.predict(query, { priority: 'urgent' as 'high' })).rejects.toThrow(
      "priority: expected 'high' | 'normal' | 'low', got \"urgent\"",
    )
    await predictor.close()
  })

  it('is over soon when workers are as fast again as they were, and when nobody asks any more', async () => {
    const slowed = (now: number) => (now >= 1000 && now < 3000 ? 5 : 1)
    const { clock, predictor, offer } = await house({ deadlineMs: 60 }, { slowed })
    const all = offer(0.5, 6000)
    await clock.run()
    const between = (from: number, to: number) =>
      share(
        all.filter(({ since }) => since >= from && since < to),
        exact,
      )
    expect([between(500, 950), between(1500, 3000) < 0.9, between(4000, 6000)]).toEqual([1, true, 1])
    await predictor.close()
  })
})

it('queries under way have room for every tenant: one alone has most of it', async () => {
  const { predictor } = await house({ limits: { queries: 100, tenants: 3 } })
  let refused = 0
  const ask = (tenant: string) => {
    predictor
      .predict(query, { tenant })
      .catch(({ code }: ApproxiferError) => (refused += Number(code === 'OVERLOADED')))
  }
  for (let i = 0; i < 120; i++) ask('flood')
  await Promise.resolve()
  expect([predictor.stats().open, refused]).toEqual([91, 29])
  for (let i = 0; i < 5; i++) ask('other')
  await Promise.resolve()
  expect([predictor.stats().open, refused]).toEqual([96, 29])
  await predictor.close()
})

it('who is refused since too many queries are under way is told when these are done, as far as is known', async () => {
  const { clock, predictor } = await house({ limits: { queries: 80 }, deadlineMs: 10_000 })
  const told = async () => {
    const all = Array.from({ length: 100 }, () => predictor.predict(query))
    const ends = Promise.allSettled(all)
    await clock.run()
    const errors = (await ends).flatMap((end) => (end.status === 'rejected' ? (end.reason as ApproxiferError) : []))
    expect(errors.map(({ message }) => message)).toEqual(Array(20).fill('80 queries are under way already'))
    return errors[0].retryMs
  }
  expect(await told()).toBeUndefined()
  const ms = (await told()) as number
  expect(Math.abs(ms - (76 / WORKERS) * MS)).toBeLessThan(0.15 * ms)
  await predictor.close()
})

it('a query whose worker fails is not asked again where that would be too late: it knows at once', async () => {
  const { clock, workers, predictor, offer } = await house({ hedge: false })
  offer(0.5, 1000)
  await clock.run()
  for (const worker of workers) {
    const { infer } = worker
    worker.infer = async (tensors, options) => {
      const answer = await infer.call(worker, tensors, options)
      if (tensors[0].data[0] === 99) throw new ApproxiferError('WORKER', 'it failed')
      return answer
    }
  }
  const [since, ends] = [clock.now(), [] as [string, number][]]
  const ask = (x: number, deadlineMs: number) => {
    const told = (end: string) => ends.push([`${x} ${end}`, clock.now() - since])
    predictor.predict(Float32Array.of(x, 1), { deadlineMs }).then(({ status }) => told(status), ({ code }) => told(code)) // biome-ignore format: one line
  }
  ask(99, 200)
  for (let i = 0; i < 100; i++) ask(1, 1e6) // 250 ms
  ask(2, 50)
  await clock.run()
  expect(ends[0]).toEqual(['2 OVERLOADED', 0])
  const [failed] = ends.filter(([end]) => end.startsWith('99'))
  expect([failed[0], failed[1] < 2 * MS]).toEqual(['99 OVERLOADED', true])
  await predictor.close()
})

it('at a deadline a worker that can be stopped is, and one that cannot goes on', async () => {
  for (const interruptible of [true, false]) {
    const { clock, workers, predictor } = await house({ hedge: false }, { interruptible, slowed: () => 100 })
    const prediction = predictor.predict(query, { deadlineMs: 30 })
    await Promise.all([expect(prediction).rejects.toMatchObject({ code: 'DEADLINE' }), clock.run(500)])
    expect(workers.filter(({ free }) => free).length).toBe(interruptible ? WORKERS : WORKERS - 1)
    await predictor.close()
  }
})

it('what a memory knows is answered all the same, and the rest refused', async () => {
  const { clock, predictor, offer } = await house({
    scheme: { queries: 1 },
    policy: 'recover',
    deadlineMs: 100,
    memory: {},
  })
  offer(0.5, 1500)
  await clock.run()
  const now = clock.now()
  const all = offer(5, now + 300)
  await clock.run()
  const recovered = all.filter(({ code }) => code === 'recovered')
  expect(recovered.length).toBeGreaterThan(0.1 * all.length)
  expect(share(all, ({ code }) => ['exact', 'recovered', 'OVERLOADED'].includes(code))).toBeGreaterThan(0.95)
  await predictor.close()
})

it.each([
  ['systematic', {}],
  ['the paper’s', { preset: 'aaai22' }],
] as const)('groups, %s: every query ends, in time or as refused, and nothing is left', async (_, code) => {
  const scheme = { queries: 2, stragglers: 1, ...code }
  const { clock, predictor, offer } = await house({ scheme, deadlineMs: 60, memory: false })
  const all = offer(3, 3000)
  await clock.run()
  expect(all.every(({ told, code }) => code !== '' && told <= 61)).toBe(true)
  const later = all.filter(after(500))
  expect(later.filter(({ code }) => code !== 'OVERLOADED' && code !== 'DEADLINE').length).toBeGreaterThan(0.4 * 1000)
  expect(share(later, ({ code }) => code === 'OVERLOADED')).toBeGreaterThan(0.5)
  expect(predictor.stats().open).toBe(0)
  expect(predictor.stats().workers.every(({ failed }) => failed === 0)).toBe(true)
  await predictor.close()
})
