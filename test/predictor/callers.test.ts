import { spawnSync } from 'node:child_process'
import { createPredictor, type ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { HandWorker, house, query, settled } from '../shared/hand-predictor'
import { PATIENCE_MS } from '../shared/waiting'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

it('callers that abort before their group is sent leave no worker taken: the next query is answered', async () => {
  const { predictor, workers } = await house(5, { scheme: { queries: 4, stragglers: 1 } })
  for (let i = 0; i < 10; i++) {
    const abort = new AbortController()
    const given = predictor.predict(query(i), { signal: abort.signal })
    abort.abort()
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
    for (const worker of workers) for (const call of [...worker.calls]) call.answer()
  }
  const last = predictor.predict(query(99))
  for (const worker of workers) for (const call of [...worker.calls]) call.answer()
  expect((await last).status).toBe('exact')
  await predictor.close()
})

describe('aborts', () => {
  it('a waiting query leaves; the others do not notice', async () => {
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const controller = new AbortController()
    const gone = predictor.predict(query(1), { signal: controller.signal })
    controller.abort()
    await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
    const rest = predictor.predictAll([2, 3].map(query))
    expect(workers[0].calls.length).toBe(1)
    for (const worker of workers) worker.calls[0].answer()
    expect((await rest).length).toBe(2)
    await expect(predictor.predict(query(1), { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    await predictor.close()
  })

  it('a query under way rejects at once; its group goes on, until no caller is left', async () => {
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const [one, two] = [new AbortController(), new AbortController()]
    const first = predictor.predict(query(1), { signal: one.signal })
    const second = predictor.predict(query(2), { signal: two.signal })
    one.abort()
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
    expect(workers[0].calls[0].signal?.aborted).toBe(false)
    two.abort()
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
    expect(workers[0].calls[0].signal?.aborted).toBe(true)
    await Promise.resolve()
    expect(predictor.stats().workers[0].failed).toBe(0) // not the worker's fault
    await predictor.close()
  })

  it('many queries on one signal draw no warning', async () => {
    const { predictor } = await house(2, { scheme: { queries: 1, stragglers: 1, preset: 'aaai22' } })
    const warned = vi.fn()
    process.on('warning', warned)
    const controller = new AbortController()
    const all = predictor.predictAll(
      Array.from({ length: 30 }, (_, i) => query(i)),
      { signal: controller.signal },
    )
    controller.abort()
    await expect(all).rejects.toMatchObject({ code: 'ABORTED' })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warned)
    expect(warned).not.toHaveBeenCalled()
    await predictor.close()
  })
})

it('an abort from inside of a worker’s infer is heard', async () => {
  const { predictor, workers } = await house(1, { scheme: { queries: 1 } })
  const controller = new AbortController()
  workers[0].infer = () => {
    controller.abort()
    return new Promise(() => {})
  }
  await expect(predictor.predict(query(1), { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  expect(predictor.stats().open).toBe(0)
  await predictor.close()
})

describe('back-pressure', () => {
  it('beyond maxQueries predict rejects at once; predictAll waits for room', async () => {
    const { predictor, workers } = await house(3, {
      scheme: { queries: 2, stragglers: 1, preset: 'aaai22' },
      limits: { queries: 2 },
    })
    const all = predictor.predictAll([1, 2, 3, 4].map(query))
    await expect(predictor.predict(query(9))).rejects.toMatchObject({ code: 'OVERLOADED' })
    for (const worker of workers) worker.calls[0].answer()
    await settled(all)
    for (const worker of workers) worker.calls[0].answer()
    expect((await all).map(({ output }) => Math.round(output.y.data[0]))).toEqual([2, 4, 6, 8])
    await predictor.close()
  })
})

describe('close', () => {
  it('settles what waits and what is under way, twice if asked, and leaves no timer', async () => {
    vi.useFakeTimers()
    const { predictor, workers } = await house(3, { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } })
    const open = [1, 2, 3].map((x) => predictor.predict(query(x)))
    for (const prediction of open) prediction.catch(() => {})
    await Promise.all([predictor.close(), predictor.close()])
    for (const prediction of open) await expect(prediction).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(predictor.predict(query(1))).rejects.toMatchObject({ code: 'CLOSED' })
    expect(workers.map((worker) => worker.closed)).toEqual([1, 1, 1])
    expect(vi.getTimerCount()).toBe(0)
  })
})

it('after close a worker that hangs does not keep the process alive', () => {
  const script = `
    import { createPredictor } from 'approxifer'
    const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
    const hanging = (name) => ({ name, signature, free: true, busy: true, infer: () => new Promise(() => {}), restart() {}, async close() {} })
    const predictor = await createPredictor({ scheme: { queries: 2, stragglers: 1 }, workers: ['a', 'b', 'c'].map(hanging), hangMs: 3_600_000 })
    predictor.predict(new Float32Array(2)).catch(({ code }) => console.log(code))
    await predictor.close()`
  const options = { encoding: 'utf8', timeout: PATIENCE_MS } as const // a watch of an hour is set
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options)
  expect([status, stdout.trim()]).toEqual([0, 'CLOSED'])
})

describe('callers that misbehave', () => {
  const scheme = { queries: 1, stragglers: 1, preset: 'aaai22' } as const

  it('a signal that is none is a TypeError, and no timer is left', async () => {
    vi.useFakeTimers()
    const { predictor } = await house(2, { scheme })
    const wrong = { signal: new AbortController() as unknown as AbortSignal }
    await expect(predictor.predict(query(1), wrong)).rejects.toThrow(
      'signal: expected an AbortSignal, got AbortController',
    )
    expect(vi.getTimerCount()).toBe(0)
    await predictor.close()
  })

  it('several predictAll wait for room, one gives up: the others still get it', async () => {
    const { predictor, workers } = await house(2, { scheme, limits: { queries: 1 } })
    const first = predictor.predict(query(1))
    const bad = predictor.predictAll([Float32Array.of(Number.NaN, 1)])
    const good = predictor.predictAll([query(2)])
    bad.catch(() => {})
    for (const worker of workers) worker.calls[0].answer()
    await first
    await expect(bad).rejects.toThrow('NaN')
    await settled(good)
    for (const worker of workers) worker.calls[0].answer()
    expect((await good).length).toBe(1)
    await predictor.close()
  })

  it('predictAll ends on close, on abort and on the first error, whatever is left to ask', async () => {
    const endless = function* () {
      while (true) yield query(1)
    }
    const { predictor } = await house(2, { scheme, limits: { queries: 1 } })
    const open = predictor.predict(query(1))
    open.catch(() => {})
    const controller = new AbortController()
    const abortable = predictor.predictAll(endless(), { signal: controller.signal })
    const closable = predictor.predictAll(endless())
    for (const each of [abortable, closable]) each.catch(() => {})
    controller.abort()
    await expect(abortable).rejects.toMatchObject({ code: 'ABORTED' })
    await predictor.close()
    await expect(closable).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(predictor.predictAll(endless())).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('a worker twice, or none, is refused', async () => {
    const [w] = [new HandWorker('w0')]
    await expect(createPredictor({ scheme, workers: [w, w] })).rejects.toThrow('workers[1]: expected a name of its own')
    const none = [w, {}] as unknown as ModelWorker[]
    await expect(createPredictor({ scheme, workers: none })).rejects.toThrow(
      'workers[1].infer: expected a function, got undefined',
    )
  })
})
