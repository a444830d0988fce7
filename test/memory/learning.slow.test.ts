import { ApproxiferError, createPredictor } from 'approxifer'
import { loadCore, Memory } from 'approxifer/codec'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/base/clock'
import { HandWorker, house, settled } from '../shared/hand-predictor'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** All answers take the same time here, so that some would be late by nothing: none is asked for twice. */
const lone: typeof house = (count, options) => house(count, { hedge: false, ...options })

describe('memory', () => {
  const scheme = { queries: 2 } // no redundancy at all
  const x = (i: number) => Float32Array.of(Math.sin(i), Math.cos(i))

  beforeEach(() => vi.useFakeTimers())

  /** All after 5 ms, so that nobody seems slow; each is remembered before the next come. */
  const answerAll = async (workers: readonly HandWorker[], model?: (row: Float32Array) => Float32Array) => {
    await vi.advanceTimersByTimeAsync(5)
    const calls = workers.flatMap((worker) => worker.calls)
    for (const call of calls) call.answer(model?.(call.row))
    for (const _ of calls) await vi.advanceTimersByTimeAsync(1)
  }

  /** Teaches a predictor on two workers. */
  const teach = async ({ predictor, workers }: Awaited<ReturnType<typeof lone>>, queries: number, from = 0) => {
    for (let i = from; i < from + queries; i += 2) {
      const both = predictor.predictAll([x(i), x(i + 1)])
      await answerAll(workers)
      await both
    }
  }

  it('recovers an answer that misses its deadline, and one that is lost for certain', async () => {
    const { predictor, workers } = await lone(2, { scheme, policy: 'recover' })
    await teach({ predictor, workers }, 200)
    expect(predictor.stats()).toMatchObject({ exact: 200, memoryPairs: 200 })
    const late = predictor.predict(x(1000), { deadlineMs: 20 })
    const lost = predictor.predict(x(1001))
    const [first, second] = workers
    second.calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    const { status, output, confidence } = await lost
    expect(status).toBe('recovered')
    expect(output.y.data[0]).toBeCloseTo(2 * Math.sin(1001), 1)
    expect(confidence).toBeGreaterThan(0.5) // by the memory's own reckoning
    expect(await settled(late)).toBe('open') // its own answer may come yet
    await vi.advanceTimersByTimeAsync(20)
    expect((await late).status).toBe('recovered')
    await answerAll([first]) // late, and the model's own: remembered
    expect(predictor.stats().memoryPairs).toBe(201)
    expect(predictor.stats().agreements).toMatchObject([{ source: 'memory', graded: 1, agreed: 1 }])
    await predictor.close()
  })

  it('forgets what a worker taught, what waits to be learned included, and goes on learning', async () => {
    const { predictor, workers } = await lone(2, { scheme, policy: 'recover' })
    await teach({ predictor, workers }, 400)
    const { memoryPairs } = predictor.stats()
    predictor.forget('nobody')
    expect(predictor.stats().memoryPairs).toBe(memoryPairs)
    const last = predictor.predictAll([x(400), x(401)])
    await vi.advanceTimersByTimeAsync(5)
    for (const call of workers.flatMap((worker) => worker.calls)) call.answer()
    await last
    predictor.forget(workers[0].name)
    for (let i = 0; i < 10_000 && predictor.stats().memoryPairs < 130; i++) await vi.advanceTimersByTimeAsync(10)
    const left = predictor.stats().memoryPairs
    expect(left).toBeGreaterThan(0.4 * memoryPairs)
    expect(left).toBeLessThan(0.6 * memoryPairs)
    await teach({ predictor, workers }, 100, 1000)
    expect(predictor.stats().memoryPairs).toBeGreaterThan(left + 40)
    expect(() => predictor.forget(3 as never)).toThrow('identity: expected that of a worker, got 3')
    await predictor.close()
  })

  it('without parities a late answer needs no deadline to be recovered, if it is sure and few are late', async () => {
    const { predictor, workers } = await lone(2, { scheme })
    await teach({ predictor, workers }, 300)
    const late = predictor.predict(x(1000))
    const stranger = predictor.predict(Float32Array.of(5, -9))
    await vi.advanceTimersByTimeAsync(1)
    expect([await settled(late), await settled(stranger)]).toEqual(['open', 'open'])
    await vi.advanceTimersByTimeAsync(20)
    const { status, confidence, output } = await late
    expect([status, output.y.data[0]]).toEqual(['recovered', expect.closeTo(2 * Math.sin(1000), 1)])
    expect(confidence).toBeGreaterThan(0.9)
    expect(await settled(stranger)).toBe('open') // like nothing that is remembered: its own answer is waited for
    await answerAll(workers)
    expect((await stranger).status).toBe('exact')
    let recovered = 0
    for (let i = 2000; i < 2200; i += 2) {
      const both = predictor.predictAll([x(i), x(i + 1)])
      await vi.advanceTimersByTimeAsync(50) // all are late: the pool is slow as a whole
      await answerAll(workers)
      recovered += (await both).filter(({ status }) => status === 'recovered').length
    }
    expect(recovered).toBeLessThan(0.1 * 200 + 0.1 * 500) // the share of the budget, and what was saved up
    await predictor.close()
  })

  it('remembering holds up neither the caller nor, after a pause, the queries that follow', async () => {
    let spent = 0
    vi.spyOn(performance, 'now').mockImplementation(() => Date.now() + spent) // made time, and what features take
    const features = (query: Float32Array) => {
      spent += 30 // ms
      return query
    }
    const { predictor, workers } = await lone(2, { scheme, memory: { features } })
    // Of a pause 20 ms are saved up; then half of the time, as long as the memory cannot help.
    const paced = async (queries: number, from = 0) => {
      const [start, begun] = [performance.now(), spent]
      await teach({ predictor, workers }, queries, from)
      expect(spent - begun).toBeLessThan(20 + 0.5 * (performance.now() - start) + 2 * 30)
      return predictor.stats().memoryPairs
    }
    const first = await paced(128)
    expect(first).toBeGreaterThan(5)
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(await paced(50, 128)).toBeGreaterThan(first)
    await predictor.close()
  })

  it('what was learned is saved, and taken up by another predictor', async () => {
    const first = await lone(2, { scheme })
    await teach(first, 200)
    const state = await first.predictor.save()
    await first.predictor.close()
    const { predictor, workers } = await lone(2, { scheme, memory: { state }, policy: 'recover' })
    expect(predictor.stats().memoryPairs).toBe(200)
    const both = [1000, 1001].map((i) => predictor.predict(x(i)))
    workers[0].calls[0].answer()
    workers[1].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    expect((await both[1]).status).toBe('recovered')
    await predictor.close()
    const read = await lone(2, { scheme, memory: { state: Buffer.from(state) } }) // as readFileSync gives it
    expect(read.predictor.stats().memoryPairs).toBe(200)
    await read.predictor.close()
  })

  it('of a state that does not fit nothing is taken, and a warning says why', async () => {
    const first = await lone(2, { scheme })
    await teach(first, 200)
    const torn = (await first.predictor.save()).slice(0, -1)
    await first.predictor.close()
    const short = new Memory(await loadCore(), { shape: [2], outputs: 2 }).save()
    for (const [state, why] of [
      [torn, 'expected checksum'],
      [short, 'expected what save() of a predictor gave, got that of a memory'],
    ] as const) {
      const onWarning = vi.fn()
      const { predictor } = await lone(2, { scheme, memory: { state }, onWarning })
      expect(predictor.stats().memoryPairs).toBe(0)
      const warning = `nothing is taken over from what was learned before: state: ${why}`
      expect(onWarning.mock.calls).toEqual([[expect.stringContaining(warning)]])
      await predictor.close()
    }
  })

  it('features that throw cost the memory, not the queries; a warning says so once', async () => {
    const onWarning = vi.fn()
    let calls = 0
    const features = (query: Float32Array) => {
      if (++calls > 3) throw new Error('out of features')
      return query
    }
    const { predictor, workers } = await lone(2, { scheme, memory: { features }, onWarning })
    await teach({ predictor, workers }, 200)
    expect(onWarning.mock.calls).toEqual([['the memory is off from here on: out of features']])
    expect(predictor.stats()).toMatchObject({ exact: 200, memoryPairs: 0 })
    await predictor.close()
  })

  it('one value has no label: it is recovered if surely within the tolerance, else asked for again', async () => {
    const workers = [0, 1].map((i) => new HandWorker(`w${i}`))
    const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [1] }] }
    for (const worker of workers) Object.assign(worker, { signature })
    const predictor = await createPredictor({
      workers,
      scheme,
      right: { within: 0.07 },
      maxWaitMs: 60_000,
      hedge: false,
      testing: { clock: { ...systemClock } }, // whose memory is in this thread
    })
    const sine = (row: Float32Array) => row.slice(0, 1)
    for (let i = 0; i < 200; i += 2) {
      const both = predictor.predictAll([x(i), x(i + 1)])
      await answerAll(workers, sine)
      await both
    }
    const { tolerance } = predictor.stats()
    expect(tolerance).toBeCloseTo(0.1 * Math.SQRT1_2, 2) // a tenth of the deviation of a sine
    const ask = async (first: Float32Array) => {
      const both = [first, x(1001)].map((row) => predictor.predict(row))
      workers.find(({ calls }) => calls[0].row[0] === first[0])?.calls[0].fail(new ApproxiferError('WORKER', 'dead'))
      await settled(both[0])
      await answerAll(workers, sine)
      await answerAll(workers, sine) // what was asked again
      return both[0]
    }
    const near = await ask(x(1000))
    expect(near.status).toBe('recovered')
    expect(near.confidence).toBeGreaterThan(0.9)
    expect(Math.abs(near.output.y.data[0] - Math.sin(1000))).toBeLessThan(tolerance as number)
    expect((await ask(Float32Array.of(3, 3))).status).toBe('exact') // like nothing that is remembered
    await predictor.close()
  })

  it('with a code that asks for no query itself it has nothing to learn from, and says so', async () => {
    const onWarning = vi.fn()
    const { predictor } = await lone(3, {
      scheme: { queries: 2, stragglers: 1, preset: 'aaai22' },
      memory: {},
      onWarning,
    })
    expect(onWarning).toHaveBeenCalledWith(expect.stringContaining('nothing to learn from'))
    await predictor.close()
  })

  it('can be turned off', async () => {
    const { predictor, workers } = await lone(2, { scheme, memory: false })
    await teach({ predictor, workers }, 10)
    expect(predictor.stats().memoryPairs).toBe(0)
    await predictor.close()
  })

  it('while it is empty a loss is a loss', async () => {
    const { predictor, workers } = await lone(2, { scheme, policy: 'recover', memory: {} })
    const both = [1, 2].map((i) => predictor.predict(x(i)))
    for (const each of both) each.catch(() => {})
    workers[1].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    workers[0].calls[0].answer()
    expect((await both[0]).status).toBe('exact')
    await expect(both[1]).rejects.toMatchObject({ code: 'WORKER' })
    await predictor.close()
  })

  it('is refused where answers may be lies', async () => {
    const options = { scheme: { queries: 2, byzantine: 1, preset: 'aaai22' }, memory: {} } as const
    await expect(lone(6, options)).rejects.toThrow('memory: expected byzantine 0')
  })
})
