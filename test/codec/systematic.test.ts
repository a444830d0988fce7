import { ApproxiferError } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { house, query, settled, turn } from '../shared/house'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('the systematic code', () => {
  const scheme = { queries: 4, stragglers: 1, code: 'systematic' } as const

  it('a query leaves at once, its answer is the model’s own and does not wait for a group', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    const prediction = predictor.predict(query(3))
    const [worker] = workers.filter((each) => each.calls.length)
    expect([...worker.calls[0].row]).toEqual([3, 1])
    worker.calls[0].answer(Float32Array.of(0.1, 0.2))
    const { status, output, group } = await prediction
    expect([status, output.y.data]).toEqual(['exact', Float32Array.of(0.1, 0.2)])
    await vi.advanceTimersByTimeAsync(5) // its group closes: nothing is missing, nothing is sent
    expect(workers.every((each) => !each.calls.length)).toBe(true)
    expect(await group).toMatchObject({ queries: 1, outcome: 'decoded', rows: [{ row: 0, outcome: 'onTime' }] })
    await predictor.close()
  })

  it('a parity goes out when the group closes, of what is unanswered then; it recovers the one that is lost', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme, policy: 'recover' })
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x)))
    const asked = workers.filter((worker) => worker.calls.length)
    expect(asked.length).toBe(3)
    asked[0].calls[0].answer()
    expect((await predictions[0]).status).toBe('exact')
    await vi.advanceTimersByTimeAsync(5)
    const [parity] = workers.filter((worker) => worker.calls.length && !asked.includes(worker))
    expect([...parity.calls[0].row]).toEqual([2.5, 1])
    parity.calls[0].answer()
    asked[1].calls[0].answer()
    expect((await predictions[1]).status).toBe('exact')
    const { status, output, group } = await predictions[2]
    expect(status).toBe('recovered')
    expect(Math.abs(output.y.data[0] - 6)).toBeLessThan(0.5)
    asked[2].calls[0].answer()
    expect((await group).rows.map((row) => row.outcome)).toEqual(['onTime', 'onTime', 'late', 'onTime'])
    expect(predictor.stats()).toMatchObject({ exact: 2, recovered: 1, groups: 1 })
    await predictor.close()
  })

  it('the last one missing is asked for again, and exact', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    const prediction = predictor.predict(query(7))
    const [first] = workers.filter((worker) => worker.calls.length)
    await vi.advanceTimersByTimeAsync(5)
    const [second] = workers.filter((worker) => worker.calls.length && worker !== first)
    second.calls[0].answer()
    const { status, output } = await prediction
    expect([status, ...output.y.data]).toEqual(['exact', 14, 2])
    first.calls[0].answer()
    await predictor.close()
  })

  it('too many lost: what came is delivered, the others get QUORUM', async () => {
    const { predictor, workers } = await house(5, { scheme, policy: 'recover' })
    const predictions = [1, 2, 3, 4].map((x) => predictor.predict(query(x)))
    for (const prediction of predictions) prediction.catch(() => {})
    const dead = new ApproxiferError('WORKER', 'dead')
    const [a, b, c, d, parity] = workers
    a.calls[0].fail(dead)
    b.calls[0].fail(dead)
    for (const worker of [c, d, parity]) worker.calls[0].answer()
    const outcomes = await Promise.allSettled(predictions)
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled').length).toBe(2)
    const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(failed.map((outcome) => outcome.reason.code)).toEqual(['QUORUM', 'QUORUM'])
    await predictor.close()
  })

  it('under load a silent worker costs nobody an answer: parities and retries go before new queries', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme, policy: 'recover' })
    const silent = workers[0]
    const open = new Set<Promise<unknown>>()
    let lost = 0
    for (let i = 0; i < 200; i++) {
      while (open.size < 30) {
        const prediction: Promise<unknown> = predictor.predict(query(i + open.size), { deadlineMs: 100 })
        open.add(prediction)
        prediction.catch(() => lost++).finally(() => open.delete(prediction))
      }
      for (const worker of workers) if (worker !== silent || i < 5) worker.calls[0]?.answer()
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(lost).toBe(0)
    const { recovered, hedges } = predictor.stats()
    expect(recovered + hedges.won).toBeGreaterThan(0)
    const gone = [...open].map((prediction) => prediction.catch(() => {}))
    await predictor.close()
    await Promise.all(gone)
  })

  it('what is lost is asked again, at once; the others’ own answers are waited for', async () => {
    const { predictor, workers } = await house(6, { scheme, policy: 'retry' })
    const predictions = [1, 2, 3, 4].map((x) => predictor.predict(query(x)))
    workers[0].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    await turn()
    expect(workers.map(({ calls }) => calls.map(({ row }) => row[0]))).toEqual([[], [2], [3], [4], [1], []])
    for (const worker of workers) worker.calls[0]?.answer()
    expect((await Promise.all(predictions)).map(({ status }) => status)).toEqual(new Array(4).fill('exact'))
    await predictor.close()
  })

  it('queries wait for a worker, not for a group; DEADLINE when none gets free', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    for (const worker of workers) worker.capacity = 0
    const late = predictor.predict(query(1), { deadlineMs: 20 })
    const patient = predictor.predict(query(2))
    late.catch(() => {})
    await vi.advanceTimersByTimeAsync(20)
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE', message: expect.stringContaining('0 of 5 free') })
    workers[3].capacity = 1
    workers[3].onFree?.()
    workers[3].calls[0].answer()
    expect([...(await patient).output.y.data]).toEqual([4, 2])
    await predictor.close()
  })

  it('aborted, closed, and with no timer left', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    const controller = new AbortController()
    const gone = predictor.predict(query(1), { signal: controller.signal })
    const [worker] = workers.filter((each) => each.calls.length)
    controller.abort()
    await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
    expect(worker.calls[0].signal?.aborted).toBe(true)
    const open = [2, 3].map((x) => predictor.predict(query(x)))
    for (const prediction of open) prediction.catch(() => {})
    await predictor.close()
    for (const prediction of open) await expect(prediction).rejects.toMatchObject({ code: 'CLOSED' })
    await vi.advanceTimersByTimeAsync(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('with liars expected, an answer waits until another worker gives the same; a third tells who of two lies', async () => {
    const liars = { ...scheme, queries: 3, stragglers: 0, byzantine: 1 }
    const { predictor, workers } = await house(8, { scheme: liars, memory: false, onWarning: () => {} })
    const asked = predictor.predict(query(1))
    const [liar, honest] = workers.filter(({ calls }) => calls.length)
    liar.calls[0].answer(Float32Array.of(90, -90))
    expect(await settled(asked)).toBe('open')
    honest.calls[0].answer()
    expect(await settled(asked)).toBe('open')
    workers.find(({ calls }) => calls.length)?.calls[0].answer()
    const { status, confidence, output, group } = await asked
    expect([status, confidence, output.y.data[0]]).toEqual(['exact', 1, 2])
    expect((await group).rows.filter(({ suspected }) => suspected).map(({ worker }) => worker)).toEqual([liar.name])
    expect(predictor.stats().workers.flatMap(({ worker, ejections }) => (ejections ? worker : []))).toEqual([liar.name])
    expect(liar.restarts).toEqual(['gave an answer that was proven wrong'])
    await predictor.close()
  })

  it('deliver at the deadline: one worker’s answer, unverified, rather than an error', async () => {
    vi.useFakeTimers()
    const liars = { queries: 2, byzantine: 1, code: 'systematic' } as const
    const { predictor, workers } = await house(4, { scheme: liars, memory: false })
    const [taken, not] = (['deadline', 'located'] as const).map((deliver) =>
      predictor.predict(query(1), { deliver, deadlineMs: 50 }),
    )
    not.catch(() => {})
    for (const worker of [workers[0], workers[2]]) worker.calls[0].answer()
    await vi.advanceTimersByTimeAsync(50)
    expect(await taken).toMatchObject({ status: 'unverified', confidence: undefined })
    await expect(not).rejects.toThrow('answers: expected 2 workers to agree, got 1 answers in 50 ms')
    await predictor.close()
    const early = { scheme: { queries: 2, stragglers: 1, code: 'systematic' }, deliver: 'deadline' } as const
    await expect(house(3, early)).rejects.toThrow("deliver: expected 'located' | 'early' where answers are not proven")
  })

  it('fewer workers than could outvote the liars are refused', async () => {
    const liars = { queries: 1, byzantine: 2, stragglers: 1, code: 'systematic' } as const
    await expect(house(5, { scheme: liars })).rejects.toThrow('workers: expected >= 6, got 5')
  })

  it('deliver early: an answer is handed out at once, unverified; the report says later who lied', async () => {
    const scheme = { queries: 2, byzantine: 1, code: 'systematic' } as const
    const { predictor, workers } = await house(6, { scheme, deliver: 'early', onWarning: () => {} })
    const asked = predictor.predict(query(1))
    const [liar, honest] = workers.filter(({ calls }) => calls.length)
    liar.calls[0].answer(Float32Array.of(90, -90))
    expect(await asked).toMatchObject({ status: 'unverified', confidence: undefined })
    honest.calls[0].answer()
    await settled(asked)
    workers.find(({ calls }) => calls.length)?.calls[0].answer()
    const { rows } = await (await asked).group
    expect(rows.filter(({ suspected }) => suspected).map(({ worker }) => worker)).toEqual([liar.name])
    await predictor.close()
  })
})
