/** Where workers may lie: an answer is given when enough of them agree. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import { house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('where workers may lie', () => {
  const liars = { queries: 1, byzantine: 1 } as const

  it('with liars expected, an answer waits until another worker gives the same; a third tells who of two lies', async () => {
    const heard = new HeardEvents()
    const { onEvent } = heard
    const { predictor, workers } = await house(8, { scheme: liars, memory: false, onWarning: () => {}, onEvent })
    const asked = predictor.predict(query(1))
    const [liar, honest] = workers.filter(({ calls }) => calls.length)
    liar.calls[0].answer(Float32Array.of(90, -90))
    expect(await settled(asked)).toBe('open')
    honest.calls[0].answer()
    expect(await settled(asked)).toBe('open')
    workers.find(({ calls }) => calls.length)?.calls[0].answer()
    const { status, confidence, output } = await asked
    await turn()
    expect([status, confidence, output.y.data[0]]).toEqual(['exact', 1, 2])
    expect(heard.of('lied').map(({ worker }) => worker)).toEqual([liar.name])
    expect(heard.of('ejected')).toMatchObject([{ worker: liar.name, why: 'lied' }])
    expect(predictor.stats().workers.flatMap(({ worker, ejections }) => (ejections ? worker : []))).toEqual([liar.name])
    expect(liar.restarts).toEqual(['gave an answer that was proven wrong'])
    await predictor.close()
  })

  it('at the deadline one worker’s answer is given unverified, where that is asked for, rather than an error', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(4, { scheme: liars, memory: false })
    await vi.advanceTimersByTimeAsync(7) // what is told is how long the query waited, not since when there is a predictor
    const [taken, not] = (['give', 'fail'] as const).map((atDeadline) =>
      predictor.predict(query(1), { atDeadline, deadlineMs: 50 }),
    )
    not.catch(() => {})
    for (const worker of [workers[0], workers[2]]) worker.calls[0].answer()
    await vi.advanceTimersByTimeAsync(50)
    expect(await taken).toMatchObject({ status: 'unverified', confidence: undefined, workers: ['w0'] })
    await expect(not).rejects.toMatchObject({
      code: 'DEADLINE',
      message: 'answers: expected 2 workers to agree, got 1 answers in 50 ms',
    })
    expect(predictor.stats()).toMatchObject({ unverified: 1, failed: { DEADLINE: 1 } })
    await predictor.close()
  })

  it('an answer that was given unverified is still compared: who lied is found out', async () => {
    vi.useFakeTimers()
    const heard = new HeardEvents()
    const { onEvent } = heard
    const { predictor, workers } = await house(6, { scheme: liars, memory: false, onWarning: () => {}, onEvent })
    const asked = predictor.predict(query(1), { atDeadline: 'give', deadlineMs: 50 })
    const [liar, honest] = workers.filter(({ calls }) => calls.length)
    liar.calls[0].answer(Float32Array.of(90, -90))
    await vi.advanceTimersByTimeAsync(50)
    expect(await asked).toMatchObject({ status: 'unverified', workers: [liar.name] })
    honest.calls[0].answer()
    await turn()
    for (const { calls } of workers) calls[0]?.answer()
    await turn()
    expect(heard.of('lied').map(({ worker }) => worker)).toEqual([liar.name])
    await predictor.close()
  })

  it('no answer at the deadline: an error, whatever is asked for', async () => {
    vi.useFakeTimers()
    const { predictor } = await house(4, { scheme: liars, memory: false })
    const lost = predictor.predict(query(1), { atDeadline: 'give', deadlineMs: 50 })
    lost.catch(() => {})
    await vi.advanceTimersByTimeAsync(50)
    await expect(lost).rejects.toMatchObject({ code: 'DEADLINE' })
    await predictor.close()
  })

  it('where too few workers can be reached to agree, a query fails when the last has answered, not at its deadline', async () => {
    const { predictor, workers } = await house(4, { scheme: liars, memory: false })
    const [left, ...others] = workers
    for (const worker of others) {
      Object.assign(worker, { gone: true, capacity: 0 })
      worker.onFree?.()
    }
    await turn() // whoever asked before was told
    const asked = predictor.predict(query(1), { deadlineMs: 60_000 })
    asked.catch(() => {})
    expect(await settled(asked)).toBe('open')
    left.calls[0].answer()
    expect(await settled(asked)).toBe('failed')
    await expect(asked).rejects.toMatchObject({ code: 'QUORUM' })
    await predictor.close()
  })

  it('fewer workers than could outvote the liars are refused', async () => {
    await expect(house(5, { scheme: { ...liars, byzantine: 2, stragglers: 1 } })).rejects.toThrow(
      'workers: expected >= 6, got 5',
    )
  })
})
