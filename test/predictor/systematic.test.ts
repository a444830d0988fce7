import { ApproxiferError, createPredictor } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { HandWorker, house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('the systematic code', () => {
  const scheme = { queries: 4, stragglers: 1 } as const

  it('a query leaves at once, its answer is the model’s own and does not wait for a group', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    const prediction = predictor.predict(query(3))
    const [worker] = workers.filter((each) => each.calls.length)
    expect([...worker.calls[0].row]).toEqual([3, 1])
    worker.calls[0].answer(Float32Array.of(0.1, 0.2))
    const { status, output } = await prediction
    expect([status, output.y.data]).toEqual(['exact', Float32Array.of(0.1, 0.2)])
    await vi.advanceTimersByTimeAsync(5) // its group closes: nothing is missing, nothing is sent
    expect(workers.every((each) => !each.calls.length)).toBe(true)
    await predictor.close()
  })

  it('a parity goes out when the group closes, of what is unanswered then; it recovers the one that is lost', async () => {
    vi.useFakeTimers()
    const heard = new HeardEvents()
    const { predictor, workers } = await house(5, { scheme, policy: 'recover', onEvent: heard.onEvent })
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
    const { status, output, recovery } = await predictions[2]
    expect([status, recovery?.source]).toEqual(['recovered', 'code'])
    expect(Math.abs(output.y.data[0] - 6)).toBeLessThan(0.5)
    asked[2].calls[0].answer()
    await turn()
    expect(heard.attempts.map((each) => each.split(' ')[1])).toEqual(['onTime', 'onTime', 'onTime', 'late'])
    expect(heard.of('asked').at(-1)).toMatchObject({ kind: 'parity', mixes: [2, 3] })
    expect(heard.unended).toBe(0)
    expect(predictor.stats()).toMatchObject({ exact: 2, recovered: 1 })
    await predictor.close()
  })

  it('rows are not lost together: none shares a worker with another, in its other slot, while one has none', async () => {
    vi.useFakeTimers()
    const wide = () => Object.assign(new HandWorker('wide'), { slots: 4, capacity: 4 })
    const workers = [...['a', 'b', 'c', 'd'].map((name) => new HandWorker(name)), wide()]
    const predictor = await createPredictor({
      workers,
      scheme: { queries: 3, stragglers: 2 },
      policy: 'recover',
      verify: { audit: 0 },
    })
    const others = [7, 8, 9].map((x) => predictor.predict(query(x), { policy: 'retry' }))
    const [a, b, c] = workers
    expect(workers.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 0, 0])
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x)))
    await vi.advanceTimersByTimeAsync(5) // the parities follow
    expect(workers.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 1, 1])
    for (const { calls } of [a, b, c]) calls[0].answer()
    await Promise.all(others)
    expect(workers.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 1, 1])
    for (const { calls } of workers.slice(3)) calls[0].fail(new ApproxiferError('WORKER', 'it died'))
    for (const { calls } of [a, b, c]) calls[0].answer()
    for (const prediction of predictions) expect((await prediction).status).toMatch(/^(exact|recovered)$/)
    await predictor.close()
  })

  it('who only takes recoveries and is alone in a group has a second worker asked: its answer is exact', async () => {
    vi.useFakeTimers()
    const heard = new HeardEvents()
    const { predictor, workers } = await house(5, { scheme, policy: 'recover', onEvent: heard.onEvent })
    const prediction = predictor.predict(query(7))
    const [first] = workers.filter((worker) => worker.calls.length)
    await vi.advanceTimersByTimeAsync(5)
    const [second] = workers.filter((worker) => worker.calls.length && worker !== first)
    second.calls[0].answer()
    const { status, output } = await prediction
    expect([status, ...output.y.data]).toEqual(['exact', 14, 2])
    first.calls[0].answer()
    await turn()
    expect(heard.attempts).toEqual([`${second.name} onTime`, `${first.name} late`])
    await predictor.close()
  })

  it('who may be asked again and is alone in a group has nobody else asked ahead', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme })
    const prediction = predictor.predict(query(7))
    await vi.advanceTimersByTimeAsync(5)
    expect(workers.map(({ calls }) => calls.length)).toEqual([1, 0, 0, 0, 0])
    workers[0].calls[0].answer()
    expect((await prediction).status).toBe('exact')
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
})

describe('a caller that leaves while its group fills', () => {
  it('takes its attempt with it; those of others go on', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme: { queries: 4, stragglers: 1 } })
    const controller = new AbortController()
    const gone = predictor.predict(query(1), { signal: controller.signal })
    const other = predictor.predict(query(2))
    const [first, second] = workers.filter(({ calls }) => calls.length)
    controller.abort()
    await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
    expect([first, second].map(({ calls }) => calls[0].signal?.aborted)).toEqual([true, false])
    second.calls[0].answer()
    expect((await other).status).toBe('exact')
    await predictor.close()
  })
})

describe('a query that is lost is recovered when as many rows were answered as the group has queries', () => {
  const dead = new ApproxiferError('WORKER', 'dead')

  /**
   * A group of three with two parities of which the third query is lost: what becomes of it.
   *
   * @param others    what the workers of the other two queries do: answer, fail, or nothing yet
   * @param parities  the same of those that have the parities
   */
  async function lost(others: string, parities: string) {
    const scheme = { queries: 3, stragglers: 2 } as const
    const { predictor, workers } = await house(5, { scheme, policy: 'recover' })
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x)))
    for (const prediction of predictions) prediction.catch(() => {})
    const settle = (what: string, from: number) =>
      [...what].forEach((does, i) => {
        const [call] = workers[from + i].calls
        if (does === 'a') call.answer()
        if (does === 'f') call.fail(dead)
      })
    workers[2].calls[0].fail(dead)
    settle(others, 0)
    settle(parities, 3)
    await turn()
    const state = await settled(predictions[2])
    await predictor.close()
    const [status, code] = await predictions[2].then(({ status }) => [status], ({ code }) => ['', code]) // biome-ignore format: one line
    return state === 'open' ? 'open' : status || code
  }

  it.each([
    ['--', '--', 'open'],
    ['aa', '--', 'open'],
    ['aa', 'a-', 'recovered'],
    ['aa', '-a', 'recovered'],
    ['aa', 'f-', 'open'],
    ['aa', 'ff', 'QUORUM'],
    ['aa', 'fa', 'recovered'],
    ['a-', 'a-', 'open'],
    ['a-', 'aa', 'recovered'],
    ['a-', 'af', 'open'],
    ['af', 'a-', 'open'],
    ['af', 'aa', 'recovered'],
    ['af', 'af', 'QUORUM'],
    ['ff', '--', 'QUORUM'],
    ['-f', 'ff', 'QUORUM'],
    ['-f', 'a-', 'open'],
    ['--', 'ff', 'QUORUM'],
    ['--', 'aa', 'open'],
  ])('others %s, parities %s: %s', async (others, parities, becomes) => {
    expect(await lost(others, parities)).toBe(becomes)
  })
})

describe('a group', () => {
  it('is of the queries of one turn where nobody waits for others', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(4, {
      scheme: { queries: 3, stragglers: 1 },
      maxWaitMs: 0,
      policy: 'recover',
      onEvent: heard.onEvent,
    })
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x)))
    expect(heard.of('asked').length).toBe(0)
    await turn()
    expect(heard.of('asked').at(-1)).toMatchObject({ kind: 'parity', mixes: [1, 2, 3] })
    for (const worker of workers) worker.calls[0].answer()
    await Promise.all(predictions)
    await predictor.close()
  })
})
