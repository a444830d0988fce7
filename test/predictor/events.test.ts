/** `onEvent`: what is told, in which order, and what a listener may do. */

import { ApproxiferError, createPredictor, type PredictorEvent } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { type HandWorker, house, query, settled, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

/** As short as they are worth reading. */
const short = (told: PredictorEvent) => {
  const { at: _, ...event } = told
  return event
}

describe('events', () => {
  it('tell of a query from its asking to its end, with the workers and the reasons', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(2, { onEvent: heard.onEvent })
    const asked = predictor.predict(query(1), { traceparent: TRACE })
    const [first] = workers.filter(({ calls }) => calls.length)
    first.calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    await turn()
    const [second] = workers.filter(({ calls }) => calls.length)
    second.calls[0].answer()
    const prediction = await asked
    await turn()
    expect(heard.all.filter(({ event }) => event !== 'joined').map(short)).toEqual([
      { event: 'asked', query: 1, kind: 'query', traceparent: TRACE },
      { event: 'began', query: 1, attempt: 0, worker: first.name, why: 'first' },
      { event: 'failed', query: 1, attempt: 0, worker: first.name, ms: expect.any(Number), code: 'WORKER' },
      { event: 'hedged', query: 1, why: 'failed' },
      { event: 'began', query: 1, attempt: 1, worker: second.name, why: 'retry' },
      { event: 'answered', query: 1, attempt: 1, worker: second.name, ms: expect.any(Number), onTime: true },
      {
        ...{ event: 'ended', query: 1, status: 'exact', confidence: 1, workers: [second.name], hedged: false },
        ...{ ms: expect.any(Number), queuedMs: expect.any(Number), ranMs: expect.any(Number), reused: undefined },
      },
    ])
    expect(prediction.query).toBe(1)
    expect(heard.all.every(({ at }, i) => i === 0 || at >= heard.all[i - 1].at)).toBe(true)
    await predictor.close()
  })

  it('tell of a query that is refused, that fails, and that is equal to another', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(1, {
      onEvent: heard.onEvent,
      reuse: { exact: true },
      limits: { queries: 2 },
    })
    const both = [1, 1].map((x) => predictor.predict(query(x)))
    const refused = predictor.predict(query(2))
    await expect(refused).rejects.toMatchObject({ code: 'OVERLOADED' })
    workers[0].calls[0].answer()
    await Promise.all(both)
    const failing = predictor.predict(query(3))
    workers[0].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    await turn()
    for (const call of workers[0].calls) call.fail(new ApproxiferError('WORKER', 'dead'))
    await expect(failing).rejects.toMatchObject({ code: 'WORKER' })
    await turn()
    expect(heard.of('coalesced').map(short)).toEqual([{ event: 'coalesced', query: 2, into: 1 }])
    expect(heard.of('ended').map(({ query, status, reused }) => [query, status, reused])).toEqual([
      [3, 'OVERLOADED', undefined],
      [1, 'exact', undefined],
      [2, 'exact', true],
      [4, 'WORKER', undefined],
    ])
    expect(heard.unended).toBe(0)
    await predictor.close()
  })

  it('carry no inputs and no outputs', async () => {
    const heard = new HeardEvents()
    const { predictor, workers } = await house(3, {
      ...{ onEvent: heard.onEvent, scheme: { queries: 2, stragglers: 1 }, right: 'label', policy: 'recover' },
    })
    const all = predictor.predictAll([4321, 1234].map(query))
    await turn()
    for (const worker of workers) worker.calls[0]?.answer()
    await all
    await turn()
    expect(JSON.stringify(heard.all)).not.toMatch(/4321|8642|1234|2468/)
    await predictor.close()
  })

  it('reach a worker’s calls as the trace of who asks; one that says none has none', async () => {
    const { predictor, workers } = await house(1, {})
    const seen: unknown[] = []
    const { infer } = workers[0]
    workers[0].infer = function (this: HandWorker, row, options) {
      seen.push((options as { traceparent?: string } | undefined)?.traceparent)
      return infer.call(this, row, options)
    }
    for (const options of [{ traceparent: TRACE }, {}]) {
      const asked = predictor.predict(query(1), options)
      workers[0].calls[0].answer()
      await asked
    }
    expect(seen).toEqual([TRACE, undefined])
    await expect(predictor.predict(query(1), { traceparent: 'mine' })).rejects.toThrow(
      /^traceparent: expected a W3C traceparent, as '00-.*', got "mine"$/,
    )
    await predictor.close()
  })

  it('are told in a moment: a listener may ask, and close, and one that throws costs a warning', async () => {
    const warnings: string[] = []
    let closing: Promise<void> | undefined
    const { predictor } = await house(2, {
      onWarning: (text) => warnings.push(text),
      onEvent: ({ event }) => {
        if (event !== 'began') throw new Error('mine')
        closing ??= predictor.close()
      },
    })
    const asked = predictor.predict(query(1))
    await expect(asked).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await settled(closing as Promise<void>)).toBe('answered')
    expect(warnings).toEqual(['onEvent threw: mine'])
  })

  it('tell of workers that join, leave and cannot be reached', async () => {
    vi.useRealTimers()
    const heard = new HeardEvents()
    const { workers: given, ...rest } = await house(2, {})
    await rest.predictor.close()
    const [a, b] = given.map((worker) => Object.assign(worker, { gone: false }))
    const predictor = await createPredictor({ workers: given, onEvent: heard.onEvent })
    Object.assign(b, { capacity: 0, gone: true })
    b.onFree?.()
    Object.assign(b, { capacity: 1, gone: false })
    b.onFree?.()
    await turn()
    expect(heard.all.map(short)).toEqual([
      { event: 'joined', worker: a.name, identity: a.name },
      { event: 'joined', worker: b.name, identity: b.name },
      { event: 'lost', worker: b.name, identity: b.name },
      { event: 'back', worker: b.name, identity: b.name },
    ])
    await predictor.close()
  })
})
