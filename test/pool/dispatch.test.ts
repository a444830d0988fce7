/** Which worker gets which row: the pool, in made time. */

import { ApproxiferError, createPredictor } from 'approxifer'
import { expect, it, vi } from 'vitest'
import { type ServiceTime, SimulatedWorker } from '../../bench/shared/simulated'
import type { Payload } from '../../src/base/payload'
import { seeded } from '../../src/base/random'
import type { Apart, Attempt, Priority } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, row, signature } from '../shared/batch-worker'
import { HandWorker, house, query, turn } from '../shared/hand-predictor'

function pool(count: number, law: ServiceTime, fails: (index: number) => boolean = () => false) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => {
    const answer = (data: Float32Array) => {
      if (fails(i)) throw new ApproxiferError('WORKER', 'failed')
      return data.slice()
    }
    return new SimulatedWorker(i, { clock, serviceMs: law, answer, signature })
  })
  return { clock, workers, pool: new Pool<Payload>(workers, { clock, hangMs: 30_000, accept }) }
}

/** Rows one after the other, one every so many milliseconds; what becomes of them, once they are submitted. */
function stream(
  { clock, pool: to }: ReturnType<typeof pool>,
  count: number,
  everyMs: number,
  apart: Apart[] = [],
): Attempt[] {
  const attempts: Attempt[] = []
  for (let i = 0; i < count; i++) clock.after(i * everyMs, () => attempts.push(to.submit(row(i, { apart }))))
  return attempts
}

const took = ({ queuedAt, startedAt, ranMs }: Attempt) => startedAt + ranMs - queuedAt

it('a worker that is always slow gets copies and no query, as long as the others can do it', async () => {
  const home = pool(9, (i) => (i === 0 ? 200 : 10))
  const calls = stream(home, 2000, 4)
  await home.clock.run()
  expect(calls.filter(({ worker }) => worker === home.workers[0]).length).toBeLessThan(3)
  expect(Math.max(...calls.slice(100).map(took))).toBeLessThan(15)
  const share = home.workers[0].workedMs / (9 * 8000)
  expect([share > 0.01, share < 0.01 + 400 / 72_000]).toEqual([true, true]) // 1 %, the first row, the last copy
})

it('a slow worker that is ejected gets no copies, until it is readmitted', async () => {
  const home = pool(9, (i) => (i === 0 ? 200 : 10))
  const calls = async () => {
    stream(home, 1000, 4)
    await home.clock.run()
    return home.workers[0].calls
  }
  const before = await calls()
  home.pool.eject(home.workers[0].name)
  expect(await calls()).toBe(before)
  home.pool.readmit(home.workers[0].name)
  expect(await calls()).toBeGreaterThan(before)
})

it.each([
  ['was slow', (now: number) => (now < 4000 ? 200 : 10), () => false],
  ['failed', () => 10, (now: number) => now < 4000],
] as const)(
  'a worker that %s gets queries again once it has recovered, though none has to wait',
  async (_, ms, isFailing) => {
    const home = pool(
      9,
      (i, now) => (i === 0 ? ms(now) : 10),
      (i) => i === 0 && isFailing(home.clock.now()),
    )
    const calls = stream(home, 2000, 4)
    await home.clock.run()
    const own = calls.filter(({ worker }) => worker === home.workers[0]).map(({ queuedAt }) => queuedAt)
    expect(own.filter((at) => at > 100 && at < 4000).length).toBeLessThan(5)
    expect(own.filter((at) => at > 6000).length).toBeGreaterThan((0.7 * 500) / 9)
  },
)

it('one answer in fifty ten times slower makes no worker a slow one', async () => {
  const random = seeded(3)
  const home = pool(9, () => 10 * (random.next() < 0.02 ? 10 : 1))
  const calls = stream(home, 5000, 3)
  await home.clock.run()
  const each = home.workers.map((worker) => calls.filter((call) => call.worker === worker).length)
  expect(Math.min(...each)).toBeGreaterThan(0.7 * (5000 / 9))
})

it('however much times vary by chance, hardly ever does a worker idle while a row waits, and none is forgotten', async () => {
  for (const sigma of [0.1, 0.5, 1, 1.5]) {
    const random = seeded(5)
    const home = pool(9, () => 10 * Math.exp(sigma * random.gauss()))
    const calls = stream(home, 5000, (10 * Math.exp(sigma ** 2 / 2)) / 9 / 0.6)
    let [passedOver, looks] = [0, 0]
    for (let at = 500; at < 5000; at += 7) {
      home.clock.after(at, () => {
        looks++
        const waits = calls.some(({ phase }) => phase === 'queued')
        if (waits && home.workers.some(({ free }) => free)) passedOver++
      })
    }
    await home.clock.run()
    const each = home.workers.map((worker) => calls.filter((call) => call.worker === worker).length)
    expect(passedOver / looks).toBeLessThan(0.03)
    expect({ sigma, least: Math.min(...each) > 0.5 * (5000 / 9) }).toEqual({ sigma, least: true })
  }
})

it('a machine that is three times slower than others is passed over, though times vary', async () => {
  for (const sigma of [0.1, 0.5, 0.8]) {
    const random = seeded(6)
    const home = pool(9, (i) => 10 * Math.exp(sigma * random.gauss()) * (i < 2 ? 3 : 1))
    const calls = stream(home, 5000, (10 * Math.exp(sigma ** 2 / 2)) / 9 / 0.3)
    await home.clock.run()
    const slow = calls.slice(500).filter(({ worker }) => home.workers.indexOf(worker as SimulatedWorker) < 2)
    expect({ sigma, few: slow.length < 450 }).toEqual({ sigma, few: true }) // a tenth; a fair share is 1,000
  }
})

it('a worker slow for a minute and then well is back in full use within 200 queries', async () => {
  for (const factor of [3, 5]) {
    const home = pool(9, (i, now) => (i === 0 && now < 60_000 ? 10 * factor : 10))
    const calls = stream(home, 40_000, 2)
    await home.clock.run()
    const well = calls.filter(({ queuedAt }) => queuedAt >= 60_000)
    const back = well.findIndex(({ worker }) => worker === home.workers[0])
    expect({ factor, back: back >= 0 && back < 200 }).toEqual({ factor, back: true })
    const later = well.slice(back, back + 900).filter(({ worker }) => worker === home.workers[0])
    expect(later.length).toBeGreaterThan(80) // a ninth of them
  }
})

it('most workers slow: the fast ones are not held for slow, and all are used when the fast ones do not suffice', async () => {
  const home = pool(27, (i) => (i < 14 ? 30 : 10))
  const calls = stream(home, 20_000, 1 / (0.8 * (13 / 10 + 14 / 30)))
  await home.clock.run()
  expect(Math.max(...calls.slice(-2000).map(took))).toBeLessThan(60)
  const slow = pool(2, (i) => (i ? 10 : 1000))
  const few = stream(slow, 500, 20)
  await slow.clock.run()
  expect(few.slice(5).filter((call) => took(call) > 30)).toEqual([])
})

it('slow machines are used before a queue stands where the fast ones do not suffice, and hardly ever where they do', async () => {
  const random = seeded(7)
  /** On 13 fast machines and 14 slow ones. */
  const uneven = async (load: number) => {
    const home = pool(27, (i) => 10 * Math.exp(0.1 * random.gauss()) * (i < 14 ? 3 : 1))
    const calls: Attempt[] = []
    const arrive = () => {
      calls.push(home.pool.submit(row(calls.length)))
      const ms = -Math.log(1 - random.next()) / (load * (13 / 10 + 14 / 30))
      if (calls.length < 20_000) home.clock.after(ms, arrive)
    }
    arrive()
    await home.clock.run()
    const later = calls.slice(1000)
    const slow = later.filter(({ worker }) => home.workers.indexOf(worker as SimulatedWorker) < 14).length
    const times = later.map(took).sort((a, b) => a - b)
    return { median: times[0.5 * times.length], late: times[0.99 * times.length], slow: slow / later.length }
  }
  expect((await uneven(0.6)).slow).toBeLessThan(0.002)
  const { median, slow } = await uneven(0.8)
  expect(slow).toBeGreaterThan(0.1) // what the fast ones leave
  expect(median).toBeLessThan(12) // a queue of as many as a slow machine is worth: 23
  expect((await uneven(0.9)).late).toBeLessThan(39) // 40 where the first in the queue gets the slow machine
})

it('a row that no faster worker may take goes to a slow one at once', async () => {
  const home = pool(4, (i) => (i === 0 ? 100 : 10))
  stream(home, 40, 30)
  await home.clock.run()
  const barred: Apart = { blocks: (identity) => identity !== home.workers[0].name }
  const attempts = [[barred], [], [], []].map((apart, x) => home.pool.submit(row(x, { apart })))
  expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'running', 'running', 'running'])
  await home.clock.run()
})

it('no row waits for a faster worker for longer than an idle one would take', async () => {
  let silent = false
  const home = pool(2, (i) => (i === 1 ? 50 : silent ? 1e6 : 10))
  stream(home, 20, 60)
  await home.clock.run(1999)
  silent = true
  const attempts = stream(home, 2, 1)
  const timers = vi.spyOn(home.clock, 'after')
  await home.clock.run(2300)
  expect(timers.mock.calls.length).toBeLessThan(10) // it does not ask every millisecond
  const [first, second] = attempts
  expect([first.worker, second.worker]).toEqual(home.workers)
  expect(took(second)).toBeLessThan(101)
})

it('a row waits for twenty times what the fastest takes before it goes to a worker that fails', async () => {
  let silent = false
  const home = pool(2, () => (silent ? 1e6 : 10))
  home.workers[1].infer = async () => {
    throw new ApproxiferError('WORKER', 'it fails')
  }
  stream(home, 20, 60)
  for (let i = 0; i < 5; i++) home.clock.after(1000 + 60 * i, () => void [0, 1].map((x) => home.pool.submit(row(x)))) // both get some
  await home.clock.run(1999)
  silent = true
  const attempts = stream(home, 2, 1)
  await home.clock.run(2500)
  expect(attempts.map(({ worker }) => worker)).toEqual(home.workers)
  expect(attempts[1].startedAt - attempts[1].queuedAt).toBeCloseTo(200, -1)
})

it('rows that wait for a faster worker, and leave again, leave no timers', async () => {
  const { clock, pool: to } = pool(2, (i) => (i === 1 ? 50 : 10))
  stream({ clock, pool: to } as ReturnType<typeof pool>, 20, 60)
  await clock.run(2000)
  to.submit(row(0))
  const before = clock.pending
  for (let i = 0; i < 100; i++) {
    const attempt = to.submit(row(i))
    expect(attempt.phase).toBe('queued')
    to.cancel(attempt)
  }
  expect(clock.pending - before).toBeLessThanOrEqual(1)
  await clock.run()
})

it('a worker that nobody may give a row does not block the rows behind it', async () => {
  const home = pool(2, () => 10)
  const picky: Apart = { blocks: (identity) => identity === home.workers[0].name }
  const calls = stream(home, 4, 0, [picky])
  const others = stream(home, 4, 0)
  await home.clock.run()
  expect(new Set(calls.map(({ worker }) => worker))).toEqual(new Set([home.workers[1]]))
  expect(others.map(({ startedAt }) => startedAt)).toEqual([0, 10, 20, 30])
})

it('hedges and retries go first, then queries; extras only while more are idle than the reserve', async () => {
  const home = pool(20, () => 10)
  const submit = (priority: Priority, count: number) => {
    return Array.from({ length: count }, (_, i) => home.pool.submit(row(i, { priority })))
  }
  submit('normal', 17)
  const [extras, queries, urgent] = [submit('low', 3), submit('normal', 4), submit('high', 2)]
  expect(extras.map(({ phase }) => phase)).toEqual(['running', 'queued', 'queued']) // two of twenty stay idle
  expect(queries.map(({ phase }) => phase)).toEqual(['running', 'running', 'queued', 'queued'])
  home.workers[19].onFree?.()
  await home.clock.run()
  expect(Math.max(...urgent.map(({ startedAt }) => startedAt))).toBe(10)
  expect([...extras, ...queries].every(({ outcome }) => outcome?.kind === 'answered')).toBe(true)
})

it('a cancelled row that waits is never sent; one that runs is let go, and counts for its worker', async () => {
  const home = pool(1, () => 10)
  const [runs, waits] = [0, 1].map((x) => home.pool.submit(row(x)))
  for (const attempt of [runs, waits]) home.pool.cancel(attempt)
  await home.clock.run()
  expect([runs.outcome?.kind, waits.outcome?.kind, home.workers[0].calls]).toEqual(['answered', 'cancelled', 1])
  expect(home.pool.stats()[0].expectedMs).toBeCloseTo(10)
})

it('a thousand rows wait: a pick looks at a few of them', async () => {
  const home = pool(1, () => 1)
  let looks = 0
  const calls = stream(home, 1000, 0, [{ blocks: () => ++looks < 0 }])
  await home.clock.run()
  expect(calls.every(({ phase }) => phase === 'settled')).toBe(true)
  expect(looks).toBe(1000)
})

it('a row that nobody may be given is offered to 32 of a hundred idle workers at a time', () => {
  const home = pool(100, () => 1)
  let offers = 0
  home.pool.submit(row(0, { apart: [{ blocks: () => ++offers > 0 }] }))
  expect(offers).toBe(32)
})

it('a worker that forgets to say that it is free is found', async () => {
  const home = pool(1, () => 10)
  Object.defineProperty(home.workers[0], 'free', { configurable: true, value: false })
  const calls = stream(home, 1, 0)
  await home.clock.run(5)
  expect(calls[0].phase).toBe('queued')
  Object.defineProperty(home.workers[0], 'free', { value: true })
  stream(home, 1, 0)
  await home.clock.run()
  expect(calls[0].phase).toBe('settled')
})

it('where somebody may lie, rows are permuted among workers, the same way for the same seed', async () => {
  vi.useFakeTimers() // all workers equally fast
  const deal = async (seed: number) => {
    const { predictor, workers } = await house(8, {
      scheme: { queries: 2, stragglers: 2, byzantine: 1, preset: 'aaai22' },
      testing: { seed },
    })
    const rows: number[][] = []
    for (let i = 0; i < 3; i++) {
      const predictions = predictor.predictAll([1, 2].map(query))
      rows.push(workers.map((worker) => worker.calls[0].row[0]))
      for (const worker of workers) worker.calls[0].answer()
      await predictions
      await turn()
    }
    await predictor.close()
    return rows
  }
  const [first, again, other] = [await deal(1), await deal(1), await deal(2)]
  expect(again).toEqual(first)
  expect(other).not.toEqual(first)
  expect(first[1]).not.toEqual(first[0])
  vi.useRealTimers()
})

it('where somebody may lie, no two rows of a group share a worker, however many wait', async () => {
  const clock = new VirtualClock()
  const asked: [worker: number, row: string][] = []
  const workers = Array.from({ length: 8 }, (_, i) => {
    const answer = (data: Float32Array) => {
      asked.push([i, String(Math.round(data[1] * 1e3))]) // the second value is the group's
      return data.slice()
    }
    return new SimulatedWorker(i, { clock, serviceMs: () => 5 + ((7 * i) % 11), answer, signature })
  })
  const predictor = await createPredictor({
    scheme: { queries: 2, stragglers: 2, byzantine: 1, preset: 'aaai22' },
    workers,
    testing: { clock },
    verify: { audit: 0 },
  })
  for (let i = 0; i < 40; i++) void predictor.predict(Float32Array.of(i, i >> 1))
  await clock.run()
  const pairs = asked.map(([worker, group]) => `${worker} ${group}`)
  expect(pairs.length).toBeGreaterThan(100)
  expect(new Set(pairs).size).toBe(pairs.length)
  await predictor.close()
})

it('while more rows wait than there are workers, a quick one has its next row already, and they are answered in order', async () => {
  const { predictor, workers } = await house(2, { scheme: { queries: 1, stragglers: 0 } })
  const all = (each: (worker: HandWorker) => void) => workers.forEach(each)
  all((worker) => Object.assign(worker, { takesNext: true, capacity: 2 }))
  const answers = [0, 1, 2, 3, 4, 5, 6].map((x) => predictor.predict(query(x)))
  expect(workers.map(({ calls }) => calls.length)).toEqual([1, 1]) // nobody knows yet how fast they are
  all((worker) => worker.calls[0].answer())
  await turn()
  const rows = () => workers.map(({ calls }) => calls.map(({ row }) => row[0]))
  expect(rows()).toEqual([[2, 3], [4]]) // then two wait, for two workers
  for (let i = 0; i < 3; i++) {
    all((worker) => worker.calls[0]?.answer())
    await turn()
  }
  const labels = await Promise.all(answers)
  expect(labels.map(({ output }) => output.y.data[0])).toEqual([0, 2, 4, 6, 8, 10, 12])
  await predictor.close()
})

it('a worker that goes down takes its next row with it, which is asked again and is not to blame', async () => {
  const { predictor, workers } = await house(3, {
    scheme: { queries: 1, stragglers: 0 },
    policy: 'retry',
  })
  for (const worker of workers) Object.assign(worker, { takesNext: true, capacity: 2 })
  const first = workers.map((_, i) => predictor.predict(query(i)))
  for (const { calls } of workers) calls[0].answer()
  await Promise.all(first)
  const POISON = 7
  const answers = Array.from({ length: 30 }, (_, i) => predictor.predict(query(i === 1 ? POISON : 100 + i)))
  const results = Promise.allSettled(answers)
  while (workers.some(({ calls }) => calls.length)) {
    for (const worker of workers) {
      const [call, next] = [...worker.calls]
      if (call?.row[0] !== POISON) call?.answer()
      else {
        worker.capacity = 0
        for (const each of [call, next]) each?.fail(new ApproxiferError('WORKER', 'went down'))
        await turn()
        worker.capacity = 2
        worker.onFree?.()
      }
    }
    await turn()
  }
  const failed = (await results).flatMap(({ status }, i) => (status === 'rejected' ? i : []))
  expect(failed).toEqual([1])
  await predictor.close()
})

it('a row that is behind another hangs only from when its turn came', async () => {
  const clock = new VirtualClock()
  const worker = new HandWorker('w')
  Object.assign(worker, { takesNext: true, capacity: 2 })
  const home = new Pool<Payload>([worker], { clock, hangMs: 100, accept })
  const first = home.submit(row(0))
  worker.calls[0].answer()
  await turn()
  const others = [1, 2, 3].map((x) => home.submit(row(x)))
  expect([first, ...others].map(({ phase }) => phase)).toEqual(['settled', 'running', 'running', 'queued'])
  clock.after(90, () => worker.calls[0].answer())
  const restarts: number[] = []
  for (const at of [180, 195]) clock.after(at, () => restarts.push(worker.restarts.length))
  await clock.run()
  expect(restarts).toEqual([0, 1])
})
