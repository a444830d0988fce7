import { ApproxiferError, createPredictor } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { type HandWorker, house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'
import { MoodyWorker } from '../shared/troubled-worker'
import { doubling } from '../shared/vectors'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('workers that misbehave', () => {
  const scheme = { queries: 2, stragglers: 1, preset: 'aaai22' } as const

  it('one that throws instead of rejecting is a failed row, not a crash', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(3, { scheme, onEvent: heard.onEvent })
    workers[1].infer = () => {
      throw new Error('boom')
    }
    const predictions = predictor.predictAll([1, 2].map(query))
    workers[0].calls[0].answer()
    workers[2].calls[0].answer()
    await predictions
    expect(heard.attempts).toEqual(['w1 WORKER', 'w0 onTime', 'w2 onTime'])
    await predictor.close()
  })

  it('ones that fail fast do not starve the healthy ones', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    for (const worker of workers.slice(3)) worker.infer = async () => Promise.reject(new Error('out of memory'))
    const outcomes = []
    for (let i = 0; i < 10; i++) {
      const both = predictor.predictAll([1, 2].map(query)).then(
        () => 'answered',
        (error) => error.code,
      )
      await vi.advanceTimersByTimeAsync(1)
      for (const worker of workers) for (const call of [...worker.calls]) call.answer()
      outcomes.push(await both)
    }
    expect(outcomes.slice(2)).toEqual(new Array(8).fill('answered'))
    await predictor.close()
  })

  it('one that answers a call behind others late is no hang: only silence is', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(3, { scheme, hangMs: 500 })
    const all = [1, 2, 3].map((i) => predictor.predictAll([query(i), query(i)]))
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(200)
      for (const worker of workers) worker.calls[0].answer()
    }
    await Promise.all(all)
    expect(workers.map((worker) => worker.restarts)).toEqual([[], [], []])
    await predictor.close()
  })

  it('one that hangs is restarted although its callers gave up before hangMs', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(1, { scheme: { queries: 1, preset: 'aaai22' }, hangMs: 500 })
    const controller = new AbortController()
    const gone = predictor.predict(query(1), { signal: controller.signal })
    gone.catch(() => {})
    await vi.advanceTimersByTimeAsync(1)
    controller.abort()
    await vi.advanceTimersByTimeAsync(499)
    expect(workers[0].restarts).toEqual(['hung for 500 ms'])
    await predictor.close()
  })

  it('one query that kills whoever runs it is refused after two workers, and the others live', async () => {
    const { predictor, workers } = await house(4, { scheme: { queries: 1 }, policy: 'retry' })
    const poison = predictor.predict(query(66))
    poison.catch(() => {})
    for (let deaths = 0; deaths < 2; deaths++) {
      const victim = workers.find(({ calls }) => calls.length) as HandWorker
      victim.capacity = 0 // it is down
      victim.calls[0].fail(new ApproxiferError('WORKER', 'exited with code 1'))
      await turn()
    }
    await expect(poison).rejects.toMatchObject({
      code: 'WORKER',
      message: '2 workers went down with the query, and no other is asked: exited with code 1',
    })
    expect(workers.filter(({ calls }) => calls.length)).toEqual([])
    const next = predictor.predict(query(1))
    for (const { calls } of workers) calls[0]?.answer()
    expect((await next).status).toBe('exact')
    await predictor.close()
  })

  it('aborted calls leave no timers behind while their worker is busy, and do not restart a healthy one', async () => {
    const clock = new VirtualClock()
    const workers = [0, 1].map((i) => new MoodyWorker(i, clock, seeded(i)))
    const predictor = await createPredictor({ workers, testing: { clock }, hangMs: 100 })
    const restarts = workers.map((worker) => vi.spyOn(worker, 'restart'))
    for (let i = 0; i < 5000; i++) {
      const abort = new AbortController()
      predictor.predict(query(i), { signal: abort.signal }).catch(() => {})
      if (i % 2) abort.abort()
      await clock.run(clock.now() + 4)
    }
    expect(clock.pending).toBeLessThan(20)
    await clock.run()
    for (const restart of restarts) expect(restart).not.toHaveBeenCalled()
    await predictor.close()
  })

  it('a main thread that stalled reads the replies that wait before it takes a worker for hung', async () => {
    const clock = new VirtualClock()
    const worker = new MoodyWorker(0, clock, seeded(0))
    // Its answer came while the thread stalled; it is read after the timers that are due.
    worker.infer = (query) =>
      new Promise((resolve) => {
        clock.after(1, () => {
          clock.spend(300)
          clock.after(0, () => resolve(doubling(query)))
        })
      })
    const restart = vi.spyOn(worker, 'restart')
    const predictor = await createPredictor({ workers: [worker], testing: { clock }, hangMs: 100 })
    for (let times = 0; times < 2; times++) {
      const given = predictor.predict(query(1))
      await clock.run()
      expect((await given).status).toBe('exact')
    }
    expect(restart).not.toHaveBeenCalled()
    await predictor.close()
  })

  it('one whose signature changes gives no truncated answers: the predictor’s own counts', async () => {
    const clock = new VirtualClock()
    const workers = [0, 1, 2].map((i) => new MoodyWorker(i, clock, seeded(i)))
    const predictor = await createPredictor({ workers, testing: { clock } })
    workers[0].mood = 'changed'
    const given = Array.from({ length: 30 }, (_, i) => predictor.predict(query(i)))
    await clock.run()
    for (const { status, output } of await Promise.all(given))
      expect([status, output.y.data.length]).toEqual(['exact', 2])
    expect(predictor.stats().workers[0].rejected).toBeGreaterThan(0)
    await predictor.close()
  })

  it('one that uses its buffer again changes no answer that was given, nor the shape that another caller has', async () => {
    const clock = new VirtualClock()
    const worker = new MoodyWorker(0, clock, seeded(0))
    worker.mood = 'reuses'
    const predictor = await createPredictor({ workers: [worker], testing: { clock } })
    const all = [1, 2].map((x) => predictor.predict(query(x)))
    await clock.run()
    const [first, second] = await Promise.all(all)
    expect([...first.output.y.data, ...second.output.y.data]).toEqual([2, 2, 4, 2])
    ;(first.output.y.shape as number[])[0] = 99
    expect([second.output.y.shape, predictor.signature.outputs[0].shape]).toEqual([[2], [2]])
    await predictor.close()
  })

  it('one that uses its buffer again spoils no recovery that its answer is needed for', async () => {
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1 }, policy: 'recover' })
    const [, lost] = [1, 2].map((x) => predictor.predict(query(x)))
    const buffer = Float32Array.of(2, 2)
    workers[0].calls[0].answer(buffer)
    await turn()
    buffer.fill(99)
    workers[2].calls[0].answer()
    expect(Math.abs((await lost).output.y.data[0] - 4)).toBeLessThan(1)
    await predictor.close()
  })

  it('one that never ends its close does not keep the predictor from closing', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(1, { scheme: { queries: 1, preset: 'aaai22' } })
    workers[0].close = () => new Promise(() => {})
    const closed = predictor.close()
    expect(await settled(closed)).toBe('open')
    await vi.advanceTimersByTimeAsync(5000)
    expect(await settled(closed)).toBe('answered')
  })

  it('a failure is answered by a retry at once, not when the group is full', async () => {
    vi.useFakeTimers()
    const scheme = { queries: 4, stragglers: 1 }
    for (const policy of ['auto', 'retry'] as const) {
      const { predictor, workers } = await house(5, { scheme, policy, maxWaitMs: 1000 })
      const given = predictor.predict(query(3))
      workers[0].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
      await turn()
      workers[1].calls[0].answer()
      expect((await given).status).toBe('exact')
      await predictor.close()
    }
  })

  it('finite answers whose combination overflows are an error, not Infinity', async () => {
    const { predictor, workers } = await house(9, { scheme: { queries: 8, stragglers: 1, preset: 'aaai22' } })
    const predictions = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => predictor.predict(query(i)))
    workers.slice(1).forEach((worker, i) => worker.calls[0].answer(Float32Array.of(i % 2 ? 3.3e38 : -3.3e38, 0)))
    for (const outcome of await Promise.allSettled(predictions)) {
      if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('PROTOCOL')
      else expect(outcome.value.output.y.data.every(Number.isFinite)).toBe(true)
    }
    await predictor.close()
  })

  it('a query so large that mixing it would overflow is refused; its neighbours are answered', async () => {
    const { predictor, workers } = await house(3, { scheme })
    await expect(predictor.predict(Float32Array.of(3e38, 0))).rejects.toThrow('expected values up to 1e+36 in size')
    const others = predictor.predictAll([1, 2].map(query))
    for (const worker of workers) worker.calls[0].answer()
    expect((await others).length).toBe(2)
    await predictor.close()
  })
})
