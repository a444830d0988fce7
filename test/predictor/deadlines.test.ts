import { afterEach, describe, expect, it, vi } from 'vitest'
import { house, query } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('deadlines', () => {
  it('below the quorum: QUORUM, for the query whose deadline it is; the other still gets its answer', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const hurried = predictor.predict(query(1), { deadlineMs: 20 })
    const patient = predictor.predict(query(2), { deadlineMs: 200 })
    hurried.catch(() => {})
    workers[0].calls[0].answer()
    await vi.advanceTimersByTimeAsync(20)
    await expect(hurried).rejects.toMatchObject({ code: 'QUORUM' })
    workers[1].calls[0].answer()
    expect((await patient).status).toBe('recovered')
    await predictor.close()
  })

  it('shorter than maxWaitMs: the query does not wait for others that long', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(9, {
      scheme: { queries: 8, stragglers: 1, preset: 'aaai22' },
      maxWaitMs: 50,
    })
    const prediction = predictor.predict(query(3), { deadlineMs: 20 })
    await vi.advanceTimersByTimeAsync(10)
    workers.find((worker) => worker.calls.length)?.calls[0].answer()
    expect((await prediction).status).toBe('exact')
    await predictor.close()
  })

  it('a short group needs no more free workers than it has rows', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(9, { scheme: { queries: 8, stragglers: 1, preset: 'aaai22' } })
    for (const worker of workers.slice(0, 5)) worker.capacity = 0
    const prediction = predictor.predict(query(3))
    await vi.advanceTimersByTimeAsync(5)
    workers.find((worker) => worker.calls.length)?.calls[0].answer()
    expect((await prediction).status).toBe('exact')
    await predictor.close()
  })

  it('no worker ever free: DEADLINE', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    for (const worker of workers) worker.capacity = 0
    const prediction = predictor.predict(query(1), { deadlineMs: 20 })
    prediction.catch(() => {})
    await vi.advanceTimersByTimeAsync(20)
    await expect(prediction).rejects.toMatchObject({
      code: 'DEADLINE',
      message: 'waited 20 ms for workers, 0 of 3 free',
    })
    await predictor.close()
  })

  it("the predictor's own: each query has it to the full, whoever before it was answered", async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(3, {
      scheme: { queries: 1 },
      deadlineMs: 20,
      policy: 'retry',
    })
    const ends: (string | number)[][] = []
    const ask = (x: number) =>
      predictor.predict(query(x)).then(
        () => ends.push([x, 'answered', Date.now() - start]),
        ({ code }) => ends.push([x, code, Date.now() - start]),
      )
    const start = Date.now()
    void ask(1)
    for (const x of [2, 3]) {
      await vi.advanceTimersByTimeAsync(5)
      void ask(x)
    }
    workers.find(({ calls }) => calls[0]?.row[0] === 1)?.calls[0].answer()
    await vi.advanceTimersByTimeAsync(100)
    expect(ends).toEqual([
      [1, 'answered', 10],
      [2, 'DEADLINE', 25],
      [3, 'DEADLINE', 30],
    ])
    expect(vi.getTimerCount()).toBe(workers.length) // those that watch for hangs
    await predictor.close()
  })

  it('a call longer than hangMs fails and its worker is restarted', async () => {
    vi.useFakeTimers()
    const heard = new HeardEvents()
    const { predictor, workers } = await house(3, {
      scheme: { queries: 2, stragglers: 1, preset: 'aaai22' },
      hangMs: 100,
      onEvent: heard.onEvent,
    })
    const predictions = predictor.predictAll([1, 2].map(query))
    workers[0].calls[0].answer()
    workers[1].calls[0].answer()
    await predictions
    await vi.advanceTimersByTimeAsync(100)
    expect(heard.attempts).toEqual(['w0 onTime', 'w1 onTime', 'w2 WORKER'])
    expect(workers.map((worker) => worker.restarts)).toEqual([[], [], ['hung for 100 ms']])
    workers[2].calls[0].answer() // far too late: nobody is there to hear it
    await predictor.close()
  })
})
