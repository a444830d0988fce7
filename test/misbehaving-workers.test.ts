import { afterEach, describe, expect, it, vi } from 'vitest'
import { house, query } from './shared/house'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('workers that misbehave', () => {
  const scheme = { queries: 2, stragglers: 1 }

  it('one that throws instead of rejecting is a failed row, not a crash', async () => {
    const { predictor, workers } = await house(3, { scheme })
    workers[1].infer = () => {
      throw new Error('boom')
    }
    const predictions = predictor.predictAll([1, 2].map(query))
    workers[0].calls[0].answer()
    workers[2].calls[0].answer()
    const report = await (await predictions)[0].group
    expect(report.rows.find((row) => row.worker === 'w1')).toMatchObject({
      outcome: 'failed',
      error: { message: 'boom' },
    })
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
    const { predictor, workers } = await house(1, { scheme: { queries: 1 }, hangMs: 500 })
    Object.assign(workers[0], { busy: true, answeredAt: 0 })
    const controller = new AbortController()
    const gone = predictor.predict(query(1), { signal: controller.signal })
    gone.catch(() => {})
    await vi.advanceTimersByTimeAsync(1)
    controller.abort()
    await vi.advanceTimersByTimeAsync(499)
    expect(workers[0].restarts).toEqual(['hung for 500 ms'])
    await predictor.close()
  })

  it('finite answers whose combination overflows are an error, not Infinity', async () => {
    const { predictor, workers } = await house(9, { scheme: { queries: 8, stragglers: 1 } })
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
