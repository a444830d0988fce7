import { ApproxiferError, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type HandWorker, house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('policies: what becomes of a query whose answer is missing', () => {
  const scheme = { queries: 3, stragglers: 1 } as const
  const dead = new ApproxiferError('WORKER', 'dead')
  /** A group of which all rows but the third query are answered. */
  const group = async (options: Partial<PredictorOptions>, predict = {}) => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme, ...options })
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x), predict))
    for (const prediction of predictions) prediction.catch(() => {})
    const late = workers[2].calls[0]
    for (const i of [0, 1, 3]) workers[i].calls[0]?.answer() // the fourth has the parity, if there is one
    await turn()
    /** Calls that ask for the third query again. */
    const again = () => workers.flatMap((worker) => worker.calls.filter((call) => call !== late && call.row[0] === 3))
    return { predictor, workers, late, again, lost: predictions[2] }
  }

  it('auto, never sure: it is not given, nobody else is asked yet; where the worker fails another one is, at once', async () => {
    const heard = new HeardEvents()
    const { predictor, late, again, lost } = await group({ minConfidence: 1, onEvent: heard.onEvent })
    expect([await settled(lost), again()]).toEqual(['open', []])
    late.fail(dead)
    await turn()
    expect(again().length).toBe(1)
    again()[0].answer()
    const { status, confidence, output, workers: who, hedged } = await lost
    expect([status, confidence, ...output.y.data, who, hedged]).toEqual(['exact', 1, 6, 2, ['w4'], false])
    expect(heard.attempts).toEqual(['w0 onTime', 'w1 onTime', 'w3 onTime', 'w2 WORKER', 'w4 onTime'])
    expect([heard.of('hedged').length, heard.of('decoded').length]).toEqual([1, 1])
    expect(predictor.stats().agreements).toMatchObject([{ source: 'code', missing: 1, graded: 1, agreed: 1 }])
    await predictor.close()
  })

  it('auto, never sure: its own answer, late as it may be, grades the recovery', async () => {
    const { predictor, late, lost } = await group({}, { minConfidence: 1 })
    late.answer()
    expect((await lost).status).toBe('exact')
    expect(predictor.stats()).toMatchObject({ exact: 3, recovered: 0, agreements: [{ graded: 1 }] })
    await predictor.close()
  })

  it('retry: one that fails is tried elsewhere, until the fault must be its own', async () => {
    const { predictor, late, again, lost } = await group({ policy: 'retry' })
    late.fail(dead)
    for (let asked = 1; asked < 4; asked++) {
      expect(await settled(lost)).toBe('open')
      again()[0].fail(dead)
    }
    await expect(lost).rejects.toMatchObject({ code: 'WORKER', message: '4 workers failed on the query: dead' })
    expect(again()).toEqual([])
    await predictor.close()
  })

  it.each([1, 2])(
    'a transient failure where nobody else is left: a worker is asked again, once (of %d)',
    async (count) => {
      for (const isOver of [true, false]) {
        const { predictor, workers } = await house(count, {
          scheme: { queries: 1 },
          policy: 'retry',
        })
        const given = predictor.predict(query(1))
        given.catch(() => {})
        const asked = () => workers.flatMap(({ calls }) => calls)
        for (let tries = 0; tries < count; tries++) {
          asked()[0].fail(dead)
          await turn()
        }
        expect(asked().length).toBe(1)
        if (isOver) asked()[0].answer()
        else asked()[0].fail(dead)
        const message = `all ${count} workers failed on the query in ${count + 1} tries: dead`
        if (isOver) expect((await given).status).toBe('exact')
        else await expect(given).rejects.toMatchObject({ code: 'WORKER', message })
        await predictor.close()
      }
    },
  )

  it('a QUORUM text tells nobody what workers said of another caller’s query', async () => {
    const two = { scheme: { queries: 2, stragglers: 1 }, policy: 'recover' } as const
    const { predictor, workers } = await house(3, two)
    const lost = [1, 2].map((x) => predictor.predict(query(x)).catch((error) => error))
    const said = ['no room for Ann', 'no room for Bob', 'no room for Ann plus Bob']
    for (const [i, worker] of workers.entries()) {
      worker.calls[0]?.fail(new ApproxiferError('WORKER', said[i]))
      await turn()
    }
    for (const [i, other] of [1, 0].entries()) {
      const { code, message } = await lost[i]
      expect(code).toBe('QUORUM')
      expect(message).toContain(`w${other}: WORKER`)
      expect(message).not.toContain(said[other])
      expect(message).not.toContain(said[2])
    }
    await predictor.close()
  })

  it('answers that are none, and silence of a worker that nobody restarts, are no transient failures', async () => {
    const alone = { scheme: { queries: 1 }, policy: 'retry', hangMs: 100 } as const
    const garbled = await house(1, alone)
    const wrong = garbled.predictor.predict(query(1))
    wrong.catch(() => {})
    garbled.workers[0].calls[0].answer(Float32Array.of(Number.NaN, 1))
    await expect(wrong).rejects.toMatchObject({ code: 'WORKER', message: /all 1 workers failed on the query: / })
    await garbled.predictor.close()
    vi.useFakeTimers()
    const silent = await house(1, alone)
    silent.workers[0].restart = undefined
    const lost = silent.predictor.predict(query(1))
    lost.catch(() => {})
    await vi.advanceTimersByTimeAsync(200)
    await expect(lost).rejects.toMatchObject({ code: 'WORKER' })
    await silent.predictor.close()
  })

  it('retry: exact or an error; auto: no recovery that is not confident, unless it is asked for', async () => {
    const none = { policy: 'retry' as const, message: 'no answer within 50 ms' }
    const why = 'no answer within 50 ms; what was recovered is not confident enough'
    for (const { message, ...choices } of [none, { policy: 'auto' as const, message: why }]) {
      const { predictor, lost } = await group(choices, { deadlineMs: 50 })
      expect(await settled(lost)).toBe('open')
      await vi.advanceTimersByTimeAsync(50)
      const error = await lost.catch((reason) => reason)
      expect(error).toMatchObject({ code: 'DEADLINE', message })
      const shape = { output: { y: { data: expect.any(Float32Array), shape: [2] } }, confidence: undefined }
      expect(error.recovery).toEqual(choices.policy === 'auto' ? shape : undefined)
      await predictor.close()
      expect(vi.getTimerCount()).toBe(0)
    }
    const { predictor, lost } = await group({ policy: 'auto', atDeadline: 'give' }, { deadlineMs: 50 })
    await vi.advanceTimersByTimeAsync(50)
    expect(await lost).toMatchObject({ status: 'recovered', confidence: undefined, workers: ['w0', 'w1', 'w3'] })
    await predictor.close()
  })

  it('retry: waits for a worker to be free, and is dropped when its caller goes', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(4, { scheme, policy: 'retry' })
    const controller = new AbortController()
    const { signal } = controller
    const predictions = [1, 2, 3].map((x) => predictor.predict(query(x), x === 3 ? { signal } : {}))
    for (const prediction of predictions) prediction.catch(() => {})
    const late = workers[2].calls[0]
    for (const worker of workers) worker.capacity = 0
    for (const i of [0, 1]) workers[i].calls[0].answer()
    late.fail(dead)
    await turn()
    expect(workers.reduce((sum, worker) => sum + worker.calls.length, 0)).toBe(0)
    expect(await settled(predictions[2])).toBe('open')
    controller.abort()
    await expect(predictions[2]).rejects.toMatchObject({ code: 'ABORTED' })
    await predictor.close()
  })

  it('too many lost: auto and retry ask again, where recover gives up', async () => {
    const { predictor, workers } = await house(5, { scheme })
    const predictions = predictor.predictAll([1, 2, 3].map(query))
    workers[0].calls[0].fail(dead)
    workers[1].calls[0].fail(dead)
    for (let i = 0; i < 5; i++) {
      await turn()
      for (const worker of workers) worker.calls[0]?.answer()
    }
    expect((await predictions).map(({ status }) => status)).toEqual(['exact', 'exact', 'exact'])
    await predictor.close()
  })

  it('auto: recovers once late answers have shown that recovered ones can be believed', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(5, { scheme, hedge: { budget: 0 } })
    const statuses: string[] = []
    for (let round = 0; round < 60; round++) {
      const spot = (i: number) => Float32Array.of(3 + Math.sin(round + i), 1) // the label is always the first
      const predictions = [0, 1, 2].map((i) => predictor.predict(spot(i)))
      const silent = workers.find((worker) => worker.calls[0]?.row[0] === spot(0)[0]) as HandWorker
      await vi.advanceTimersByTimeAsync(6) // what an answer takes
      for (let i = 0; i < 3; i++) {
        for (const worker of workers) if (worker !== silent) worker.calls[0]?.answer()
        await turn()
      }
      await vi.advanceTimersByTimeAsync(5) // it is late: recovered by now, if it is
      silent.calls[0].answer()
      statuses.push((await Promise.all(predictions)).map(({ status }) => status).join())
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(statuses[0]).toBe('exact,exact,exact')
    expect(statuses.at(-1)).toBe('recovered,exact,exact')
    const [{ source, missing, graded, agreed }] = predictor.stats().agreements
    expect([source, missing, agreed]).toEqual(['code', 1, graded])
    expect(graded).toBeGreaterThan(30) // not all 60: parities are no longer made for a while that saved nobody yet
    await predictor.close()
  })

  it('only where one answer proves something, and where there is time', async () => {
    const liars = { queries: 3, byzantine: 1, preset: 'aaai22' } as const
    await expect(house(8, { scheme: liars, policy: 'auto' })).rejects.toThrow(
      "policy: expected 'recover' with byzantine",
    )
    const { predictor } = await house(5, { scheme })
    const bad = predictor.predict(query(1), { minConfidence: 90 })
    await expect(bad).rejects.toThrow('minConfidence: expected a probability from 0 to 1, got 90')
    await predictor.close()
  })
})
