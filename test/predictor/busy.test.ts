/** Queries whose workers say that they are busy: a refusal costs no try, no hedge and nobody's good name. */

import { ApproxiferError, createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { vectorOf } from '../../src/base/payload'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query } from '../shared/hand-predictor'
import { listOf } from '../shared/vectors'

/** Takes 10 ms, unless it is busy: it says that it is free all the same. */
class Busy extends HandWorker {
  isBusy = false
  /** One call in so many is refused besides, as by one of several servers behind an address; and the pause that refusals ask for. */
  refusesEach = Number.POSITIVE_INFINITY
  retryMs: number | undefined
  refused = 0
  answered = 0
  takesMs = 10

  constructor(
    name: string,
    readonly clock: VirtualClock,
  ) {
    super(name)
  }

  override infer(query: TensorList): Promise<TensorList> {
    if (this.isBusy || (this.refused + this.answered + 1) % this.refusesEach === 0) {
      this.refused++
      const { retryMs } = this
      return Promise.reject(new ApproxiferError('OVERLOADED', 'the queue is full', { retryMs }))
    }
    return new Promise((resolve) => {
      this.clock.after(this.takesMs, () => {
        this.answered++
        resolve(listOf(vectorOf(query).map((value) => 2 * value)))
      })
    })
  }

  override restart = undefined
}

async function open(count: number, options: Partial<PredictorOptions> = {}) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new Busy(`w${i}`, clock))
  const settings = {
    verify: { audit: 0 },
    right: 'label',
    deadlineMs: 4000,
    onWarning: () => {},
  } as const
  const predictor = await createPredictor({ workers, testing: { clock, seed: 1 }, ...settings, ...options })
  const ask = async (x: number, own = {}) => {
    const from = clock.now()
    return predictor.predict(query(x), own).then(
      ({ output, status, hedged }) => ({ y: output.y.data[0], status, hedged, ms: clock.now() - from }),
      ({ code, message }) => ({ code, message, ms: clock.now() - from }),
    )
  }
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const warm = async () => {
    for (let i = 0; i < 100; i++) {
      void ask(i)
      await pass(10)
    }
    await pass(100)
  }
  const all = (isBusy: boolean) => {
    for (const worker of workers) worker.isBusy = isBusy
  }
  return { clock, workers, predictor, ask, pass, warm, all }
}

describe.each([
  ['no scheme', {}],
  ['auto', { scheme: { queries: 2, stragglers: 1 } }],
  ['recover', { scheme: { queries: 2, stragglers: 1 }, policy: 'recover' }],
  ['retry', { scheme: { queries: 2, stragglers: 1 }, policy: 'retry' }],
  ['byzantine', { scheme: { queries: 2, byzantine: 1 } }],
  ['the paper’s code', { scheme: { preset: 'aaai22', queries: 2, stragglers: 1 } }],
] as [string, Partial<PredictorOptions>][])('%s', (_, options) => {
  it('all workers are busy for a second, the deadline is in four: every query is answered', async () => {
    const { workers, predictor, ask, pass, warm, all } = await open(4, options)
    await warm()
    const before = predictor.stats().workers
    all(true)
    const given = Array.from({ length: 20 }, (_, i) => ask(i))
    await pass(1000)
    all(false)
    await pass(3000)
    const answers = await Promise.all(given)
    expect(answers.filter((each) => 'code' in each)).toEqual([])
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1500)
    for (const [i, worker] of predictor.stats().workers.entries()) {
      const { failed, gone, expectedMs, refused } = worker
      expect([failed, gone, refused]).toEqual([0, false, workers[i].refused])
      expect(expectedMs).toBeCloseTo(before[i].expectedMs as number, 0)
    }
    expect(predictor.stats().workers.map((each) => each.ejections)).toEqual([0, 0, 0, 0])
    expect(Math.max(...workers.map(({ refused }) => refused))).toBeLessThan(25)
    await predictor.close()
  })
})

it('a query that is refused by three workers, and by all of them again, costs no try', async () => {
  const { workers, predictor, ask, pass, all } = await open(4)
  all(true)
  const given = ask(1)
  await pass(30)
  workers[3].isBusy = false
  await pass(100)
  expect(await given).toMatchObject({ y: 2, status: 'exact', hedged: false })
  await predictor.close()
})

it('with a worker that answers, busy ones cost a query nothing', async () => {
  const { workers, predictor, ask, pass, all } = await open(4)
  all(true)
  workers[3].isBusy = false
  const given = ask(1)
  await pass(10)
  expect(await given).toMatchObject({ y: 2, ms: 10 })
  await predictor.close()
})

it('busy until the deadline: an error when that comes, and not before', async () => {
  const { predictor, ask, pass, all } = await open(2)
  all(true)
  const given = ask(1)
  await pass(4001)
  expect(await given).toMatchObject({ code: 'DEADLINE', ms: 4000, message: expect.stringContaining('0 of 2 free') })
  await predictor.close()
})

it.each([undefined, 1000, 60_000])(
  'servers that refuse one call in four and say Retry-After (%s ms): no query waits for that until its deadline of a second',
  async (retryMs) => {
    const { workers, predictor, ask, pass } = await open(4, { deadlineMs: 1000 })
    for (const worker of workers) Object.assign(worker, { refusesEach: 4, retryMs })
    const given = []
    for (let i = 0; i < 1000; i++) {
      given.push(ask(i))
      await pass(5)
    }
    await pass(1000)
    const answers = await Promise.all(given)
    expect(answers.filter((each) => 'code' in each)).toEqual([])
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(200)
    expect(workers.reduce((sum, { refused }) => sum + refused, 0)).toBeLessThan(500)
    await predictor.close()
  },
)

it('a caller that leaves while all are busy is told at once, and its row is asked of nobody', async () => {
  const { workers, predictor, ask, pass, all } = await open(2)
  all(true)
  const abort = new AbortController()
  const given = ask(1, { signal: abort.signal })
  await pass(50)
  abort.abort()
  expect(await given).toMatchObject({ code: 'ABORTED', ms: 50 })
  all(false)
  await pass(1000)
  expect(workers.map(({ answered }) => answered)).toEqual([0, 0])
  await predictor.close()
})

it('when workers are free again the queries go in their order, those of higher priority first', async () => {
  const { predictor, clock, ask, pass, all } = await open(1)
  all(true)
  const order: number[] = []
  const told = (x: number, own = {}) => void ask(x, own).then(() => order.push(x))
  told(1)
  await pass(25)
  told(2)
  told(3, { priority: 'high' })
  told(4, { priority: 'low' })
  await pass(50)
  all(false)
  await clock.run()
  expect(order).toEqual([3, 1, 2, 4])
  await predictor.close()
})

it('a hedge that is refused does not use up the hedges of its query', async () => {
  const { workers, predictor, ask, pass, warm } = await open(3)
  await warm()
  const { sent } = predictor.stats().hedges
  workers[0].takesMs = 3000
  for (const worker of workers.slice(1)) worker.isBusy = true
  const given = [ask(1), ask(2)] // one of them begins at the slow worker
  await pass(500)
  for (const worker of workers.slice(1)) worker.isBusy = false
  await pass(500)
  for (const { ms } of await Promise.all(given)) expect(ms).toBeLessThan(700)
  expect(predictor.stats().hedges.sent - sent).toBeLessThanOrEqual(2)
  await predictor.close()
})
