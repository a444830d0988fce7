import { ApproxiferError } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('the paper’s scheme', () => {
  it('answers at the quorum, and goes on listening', async () => {
    const heard = new HeardEvents()
    const scheme = { queries: 4, stragglers: 1, preset: 'aaai22' } as const
    const { predictor, workers } = await house(5, { scheme, onEvent: heard.onEvent })
    const predictions = predictor.predictAll([1, 2, 3, 4].map(query))
    for (const i of [0, 1, 3]) workers[i].calls[0].answer()
    expect(await settled(predictions)).toBe('open')
    workers[4].calls[0].answer()
    const [first] = await predictions
    expect(first.status).toBe('recovered')
    expect(first.output.y.shape).toEqual([2])
    expect(first.recovery).toEqual({ source: 'code', why: 'scheme' })
    workers[2].calls[0].answer()
    await turn()
    expect(heard.attempts).toEqual(['w0 onTime', 'w1 onTime', 'w3 onTime', 'w4 onTime', 'w2 late'])
    expect(heard.of('decoded')).toMatchObject([{ queries: [1, 2, 3, 4], survivors: 4 }])
    expect(heard.of('asked').map(({ kind, mixes }) => mixes ?? kind)).toEqual([
      ...Array(4).fill('query'),
      ...Array(5).fill([1, 2, 3, 4]),
    ])
    expect(heard.of('ended').map(({ query, status }) => [query, status])).toEqual(
      [1, 2, 3, 4].map((i) => [i, 'recovered']),
    )
    expect(predictor.stats().workers[2]).toMatchObject({ worker: 'w2', onTime: 0, late: 1 })
    await predictor.close()
  })

  it('a quorum out of reach fails at once and says why', async () => {
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const predictions = [1, 2].map((x) => predictor.predict(query(x)))
    for (const prediction of predictions) prediction.catch(() => {})
    workers[0].calls[0].fail(new ApproxiferError('WORKER', 'w0 exited with code 1'))
    expect(await settled(predictions[0])).toBe('open')
    workers[2].calls[0].answer(Float32Array.of(Number.NaN, 0))
    for (const prediction of predictions) {
      await expect(prediction).rejects.toMatchObject({
        code: 'QUORUM',
        message: 'results: expected >= 2 of 3, got 0, 1 outstanding; w0: WORKER; w2: PROTOCOL',
      })
    }
    workers[1].calls[0].answer()
    expect(predictor.stats()).toMatchObject({ failed: { QUORUM: 2 }, open: 0 })
    await predictor.close()
  })

  it('an answer that is garbage counts for neither quorum nor liars', async () => {
    const heard = new HeardEvents()
    const scheme = { queries: 2, stragglers: 1, preset: 'aaai22' } as const
    const { predictor, workers } = await house(3, { scheme, onEvent: heard.onEvent })
    const predictions = predictor.predictAll([1, 2].map(query))
    workers[0].calls[0].answer(new Float32Array(7))
    workers[1].calls[0].answer()
    expect(await settled(predictions)).toBe('open')
    workers[2].calls[0].answer()
    await predictions
    expect(heard.attempts).toEqual(['w0 PROTOCOL', 'w1 onTime', 'w2 onTime'])
    expect(predictor.stats().workers[0].rejected).toBe(1)
    await predictor.close()
  })
})

describe('a group of the paper’s scheme', () => {
  it('a short group goes after maxWaitMs with its own K', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(9, {
      scheme: { queries: 8, stragglers: 1, preset: 'aaai22' },
      maxWaitMs: 10,
    })
    const prediction = predictor.predict(query(3))
    expect(workers.every((worker) => !worker.calls.length)).toBe(true)
    await vi.advanceTimersByTimeAsync(10)
    const busy = workers.filter((worker) => worker.calls.length)
    expect(busy.length).toBe(2)
    busy[1].calls[0].answer()
    const { status, output } = await prediction
    expect([status, ...output.y.data]).toEqual(['exact', 6, 2])
    await predictor.close()
  })

  it('a query that is refused does not disturb the others of its group', async () => {
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const bad = predictor.predict(Float32Array.of(Number.NaN, 1))
    const good = predictor.predictAll([1, 2].map(query))
    await expect(bad).rejects.toThrow(new RangeError('query.x: expected finite values, got NaN at 0'))
    for (const worker of workers) worker.calls[0].answer()
    expect((await good).length).toBe(2)
    await predictor.close()
  })

  it('the caller may change its buffer right after predict', async () => {
    const { predictor, workers } = await house(2, { scheme: { queries: 1, stragglers: 1, preset: 'aaai22' } })
    const buffer = query(5)
    const prediction = predictor.predict(buffer)
    buffer.fill(0)
    for (const worker of workers) worker.calls[0].answer()
    expect([...(await prediction).output.y.data]).toEqual([10, 2])
    await predictor.close()
  })
})

describe('a row of it whose worker is full', () => {
  /** Three workers of one call each; w0 and w1 have answered in 10 ms, w2 has been silent for a second. */
  const oneLate = async () => {
    vi.useFakeTimers()
    const heard = new HeardEvents()
    const scheme = { queries: 2, stragglers: 1, preset: 'aaai22' } as const
    const { predictor, workers } = await house(3, { scheme, onEvent: heard.onEvent })
    for (const worker of workers) worker.capacity = 1
    const first = predictor.predictAll([1, 2].map(query))
    await vi.advanceTimersByTimeAsync(10)
    workers[0].calls[0].answer()
    workers[1].calls[0].answer()
    await first
    await vi.advanceTimersByTimeAsync(1000)
    heard.all.length = 0
    return { predictor, workers, heard }
  }

  it('waits for whoever gets free: a failed worker and a silent one do not fail the group', async () => {
    const { predictor, workers, heard } = await oneLate()
    const second = predictor.predictAll([3, 4].map(query))
    expect(workers.map((worker) => worker.calls.length)).toEqual([1, 1, 1])
    workers[0].calls[0].fail(new ApproxiferError('WORKER', 'out of memory'))
    expect(await settled(second)).toBe('open')
    expect(workers.map((worker) => worker.calls.length)).toEqual([0, 1, 1]) // who failed gets no other row of the group
    workers[1].calls[0].answer()
    await turn()
    workers[1].calls[0].answer()
    await second
    expect(heard.attempts).toEqual(['w0 WORKER', 'w1 onTime', 'w1 onTime'])
    await predictor.close()
  })

  it('is dropped once the group is decided', async () => {
    const { predictor, workers, heard } = await oneLate()
    const second = predictor.predictAll([3, 4].map(query))
    for (const worker of workers.slice(0, 2)) {
      worker.capacity = 0
      worker.calls[0].answer()
    }
    await second
    expect(heard.attempts).toEqual(['w0 onTime', 'w1 onTime', 'undefined ABORTED'])
    workers[2].calls[0].answer()
    await turn()
    expect(workers[2].calls.length).toBe(0)
    await predictor.close()
  })
})

describe('workers that may lie, with the paper’s scheme', () => {
  it('are dropped, reported and counted', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(7, {
      scheme: { queries: 2, stragglers: 1, byzantine: 1, preset: 'aaai22' },
      onEvent: heard.onEvent,
    })
    const predictions = predictor.predictAll([1, 2].map(query))
    for (const worker of workers) worker.calls[0].answer(worker.name === 'w4' ? Float32Array.of(90, -90) : undefined)
    const [{ output }] = await predictions
    expect(Math.abs(output.y.data[0] - 2)).toBeLessThan(0.6) // Berrut's error; with the lie it were tens
    expect(heard.of('suspected').map(({ worker }) => worker)).toEqual(['w4'])
    expect(heard.of('decoded')).toMatchObject([{ survivors: 5 }])
    expect(predictor.stats().workers.map((worker) => worker.suspected)).toEqual([0, 0, 0, 0, 1, 0, 0])
    await predictor.close()
  })

  it('one worker’s word is unverified, also where its row equals the query', async () => {
    const { predictor, workers } = await house(5, {
      scheme: { queries: 1, stragglers: 1, byzantine: 1, preset: 'aaai22' },
    })
    const asked = predictor.predict(query(3))
    expect(workers.map(({ calls }) => [...calls[0].row])).toEqual(new Array(5).fill([3, 1]))
    for (const worker of workers.slice(1)) worker.calls[0].answer()
    const { status, confidence, output, workers: who } = await asked
    expect([status, confidence, ...output.y.data, who.length]).toEqual(['unverified', undefined, 6, 2, 1])
    await predictor.close()
  })

  it('nobody is ejected: every row needs a worker', async () => {
    const { predictor, workers } = await house(7, {
      scheme: { queries: 2, stragglers: 1, byzantine: 1, preset: 'aaai22' },
      verify: { audit: 1 },
    })
    for (let round = 0; round < 3; round++) {
      const predictions = predictor.predictAll([1, 2].map(query))
      for (const worker of workers) worker.calls[0].answer(worker.name === 'w4' ? Float32Array.of(90, -90) : undefined)
      await predictions
    }
    expect(predictor.stats().workers.map(({ suspected, ejections }) => [suspected, ejections])[4]).toEqual([3, 0])
    await predictor.close()
  })
})

describe('callers of the paper’s scheme that leave', () => {
  it('before their group is full make room for others', async () => {
    const heard = new HeardEvents()
    const scheme = { queries: 2, stragglers: 1, preset: 'aaai22' } as const
    const { predictor, workers } = await house(3, { scheme, onEvent: heard.onEvent })
    const controller = new AbortController()
    const gone = predictor.predict(query(9), { signal: controller.signal }).catch(({ code }) => code)
    controller.abort()
    expect(await gone).toBe('ABORTED')
    const stay = [1, 2].map((x) => predictor.predict(query(x)))
    for (const worker of workers) worker.calls[0].answer()
    await Promise.all(stay)
    expect(heard.of('decoded').map(({ queries }) => queries)).toEqual([[2, 3]])
    await predictor.close()
  })
})
