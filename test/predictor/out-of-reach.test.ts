/** Workers that cannot be reached, or that nobody can restart, and the end of all changes. */

import { ApproxiferError, type Change, createPredictor, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { add, answerAll, code, hand, message, open, systematic } from '../shared/joining-workers'
import { Feed } from '../shared/worker-changes'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('no worker that can be reached', () => {
  const schemes: [string, Omit<PredictorOptions, 'workers'>][] = [
    ['no scheme', {}],
    ['retry', { scheme: { queries: 4, stragglers: 1 }, policy: 'retry', maxWaitMs: 10_000 }],
    ['auto', { scheme: { queries: 4, stragglers: 1 }, policy: 'auto', maxWaitMs: 10_000 }],
    ['recover', { scheme: { queries: 4, stragglers: 1 }, policy: 'recover', maxWaitMs: 10_000 }],
    ['paper', { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' }, policy: undefined as never }],
    [
      'paper, liars',
      { scheme: { queries: 1, stragglers: 1, byzantine: 1, preset: 'aaai22' }, policy: undefined as never },
    ],
    ['verified', { scheme: { queries: 1, stragglers: 1, byzantine: 1 }, policy: undefined as never }],
  ]
  const names = ['a', 'b', 'c', 'd', 'e']
  const vanish = (worker: HandWorker) => {
    Object.assign(worker, { capacity: 0, gone: true })
    for (const call of [...worker.calls]) call.fail(new ApproxiferError('WORKER', 'the connection was lost'))
    worker.onFree?.()
  }
  const comeBack = (worker: HandWorker) => {
    Object.assign(worker, { capacity: 1, gone: false })
    worker.onFree?.()
  }
  /** What those get that are at work when the first few are gone, and have too few left. */
  const lost = 'results: expected >= . of .'
  const sentence = 'no worker may take a query: 5 of 5 cannot be reached, or have another model, for now'

  it.each(schemes)('%s: a query fails at once, and the next is answered when they are back', async (_, options) => {
    const { predictor, workers, clock } = await open(names, options)
    workers.forEach(vanish)
    const failed = predictor.predict(query(1))
    const said = await Promise.race([message(failed), turn().then(turn)])
    expect(said).toBe(sentence)
    await expect(failed).rejects.toMatchObject({ code: 'WORKER' })
    workers.forEach(comeBack)
    const given = predictor.predict(query(2))
    await clock.run(clock.now() + 6)
    await answerAll(workers)
    expect((await given).output.y.data[0]).toBeCloseTo(4)
    await predictor.close()
  })

  it.each(schemes)('%s: those that wait or are under way fail when the last is gone', async (_, options) => {
    const { predictor, workers } = await open(names, options)
    const given = Array.from({ length: 22 }, (_, i) => message(predictor.predict(query(i))))
    await turn()
    workers.forEach(vanish)
    const all = await Promise.race([Promise.all(given), turn().then(turn)])
    expect(all).toEqual(Array.from({ length: 22 }, () => expect.stringMatching(new RegExp(`${lost}|${sentence}`)))) // biome-ignore format: one line
    expect((all as string[]).slice(-10)).toEqual(Array.from({ length: 10 }, () => sentence))
    await predictor.close()
  })

  it.each(schemes)('%s: those that wait fail when the last is removed', async (_, options) => {
    const { predictor, workers, tell, clock } = await open(names, options)
    const given = Array.from({ length: 22 }, (_, i) => message(predictor.predict(query(i))))
    await turn()
    await tell(...workers.map(({ name }) => ({ remove: name })))
    const all = await Promise.race([Promise.all(given), turn().then(turn)])
    const none = 'no worker is left: all were removed or drained, or have another model'
    expect(all).toEqual(Array.from({ length: 22 }, () => expect.stringMatching(new RegExp(`${lost}|${none}`))))
    const next = message(predictor.predict(query(1)))
    expect(await Promise.race([next, turn().then(turn)])).toBe(none)
    const again = hand(...names)
    await tell(...again.map(add))
    const anew = predictor.predict(query(2))
    await clock.run(clock.now() + 6)
    await answerAll(again)
    expect((await anew).output.y.data[0]).toBeCloseTo(4)
    await predictor.close()
  })

  it('a worker that starts again is waited for', async () => {
    const { predictor, workers, clock } = await open(['a', 'b'])
    for (const worker of workers) worker.capacity = 0
    workers[0].gone = true
    const given = predictor.predict(query(1))
    await clock.run(50_000)
    expect(await settled(given)).toBe('open')
    workers[1].capacity = 1
    workers[1].onFree?.()
    await answerAll(workers)
    expect((await given).workers).toEqual(['b'])
    await predictor.close()
  })

  it('one that is idle and then gone is found by the next query', async () => {
    const { predictor, workers } = await open(['a', 'b'])
    for (const worker of workers) Object.assign(worker, { capacity: 0, gone: true })
    expect(await Promise.race([code(predictor.predict(query(1))), turn()])).toBe('WORKER')
    await predictor.close()
  })

  it('one that gave the query up twice, and others that cannot be reached: it fails at once with the reason', async () => {
    const { predictor, workers } = await open(['a', 'b'])
    const given = predictor.predict(query(1))
    const [at, other] = workers[0].calls.length ? workers : [workers[1], workers[0]]
    vanish(other)
    at.calls[0].fail(new ApproxiferError('WORKER', 'out of memory'))
    await turn()
    at.calls[0].fail(new ApproxiferError('WORKER', 'out of memory'))
    const why = '1 workers failed on the query in 2 tries: out of memory'
    expect(await Promise.race([message(given), turn()])).toBe(why)
    await predictor.close()
  })

  it('proof that takes two workers of which one can be reached: the query fails at once', async () => {
    const options = {
      scheme: { queries: 1, stragglers: 1, byzantine: 1 },
      policy: undefined as never,
    }
    const { predictor, workers } = await open(['a', 'b', 'c', 'd'], options)
    for (const worker of workers.slice(1)) vanish(worker)
    await turn()
    const given = code(predictor.predict(query(1)))
    await turn()
    await answerAll(workers)
    expect(await Promise.race([given, turn()])).toBe('QUORUM')
    await predictor.close()
  })

  it('the paper’s scheme below its quorum: the group fails at once, also when a worker leaves under way', async () => {
    const options = {
      scheme: { queries: 1, stragglers: 1, byzantine: 1, preset: 'aaai22' as const },
      policy: undefined as never,
    }
    const { predictor, workers, tell } = await open(['a', 'b', 'c', 'd', 'e'], options)
    const counts = [1, 2].map((x) => code(predictor.predict(query(x))))
    await turn()
    await tell({ remove: 'a' })
    expect(predictor.stats().failed).toEqual({}) // four are enough
    await tell({ remove: 'b' })
    expect(await Promise.race([Promise.all(counts), turn()])).toEqual(['QUORUM', 'QUORUM'])
    expect(await Promise.race([code(predictor.predict(query(3))), turn()])).toBe('QUORUM')
    await answerAll(workers)
    await predictor.close()
  })
})

describe('workers that nobody can restart', () => {
  it('one that hangs: its call is given up and goes elsewhere; it gets no row until it was heard of, and is slow', async () => {
    const { predictor, workers, clock } = await open(['a', 'b'])
    for (const worker of workers) worker.restart = undefined
    for (let i = 0; i < 6; i++) {
      const quick = predictor.predict(query(i))
      await turn()
      await answerAll(workers)
      await quick
    }
    const given = predictor.predict(query(1))
    const [at, other] = workers[0].calls.length ? workers : [workers[1], workers[0]]
    at.capacity = 9 // it would take more
    await clock.run(1100)
    expect([at.calls[0].signal?.aborted, other.calls.length]).toEqual([true, 1])
    await answerAll([other])
    expect((await given).workers).toEqual([other.name])
    const stats = predictor.stats().workers.find(({ worker }) => worker === at.name)
    expect(stats).toMatchObject({ failed: 1, expectedMs: Number.POSITIVE_INFINITY }) // though its last answers were quick
    await predictor.close()
  })

  it('one that ignores the abort gets no row until its answer comes after all, or it says that it is free', async () => {
    for (const how of ['answers', 'says so']) {
      const { predictor, workers, clock } = await open(['a'])
      const [worker] = workers
      Object.assign(worker, { restart: undefined, interruptible: false, capacity: 9 })
      const lost = code(predictor.predict(query(1), { deadlineMs: 5000 }))
      await clock.run(1100)
      const given = predictor.predict(query(2))
      await clock.run(1500)
      expect(worker.calls.length).toBe(1)
      if (how === 'answers') worker.calls[0].answer()
      else worker.onFree?.()
      await turn()
      expect(worker.calls.some(({ row }) => row[0] === 2)).toBe(true)
      await answerAll(workers)
      expect((await given).output.y.data[0]).toBe(4)
      expect(await lost).toBe('WORKER')
      await predictor.close()
    }
  })

  it('one that answers 502 at once is not fast', async () => {
    const { predictor, workers, clock } = await open(['good', 'proxy'], { hedge: false })
    const [good, proxy] = workers
    let asked = 0
    proxy.infer = async () => {
      asked++
      throw new ApproxiferError('WORKER', '502 Bad Gateway')
    }
    for (let i = 0; i < 500; i++) {
      const given = predictor.predict(query(i))
      await clock.run(clock.now() + 5)
      await answerAll([good])
      await given
    }
    expect(asked).toBeLessThan(15) // the first, and probes
    expect(predictor.stats().workers[1].expectedMs).toBe(Number.POSITIVE_INFINITY)
    await predictor.close()
  })
})

describe('the end of it', () => {
  it('an iterable that throws, or ends, later: it is told of, and the pool goes on with what it has', async () => {
    for (const error of [new Error('NXDOMAIN'), undefined]) {
      const { predictor, workers, feed, warnings } = await open(['a'])
      feed.end(error)
      await turn()
      const told = 'workers: nobody comes or goes any more, since the changes ended with an error: NXDOMAIN'
      expect(warnings).toEqual(error ? [told] : [])
      const given = predictor.predict(query(1))
      await answerAll(workers)
      expect((await given).status).toBe('exact')
      await predictor.close()
    }
  })

  it('a worker that comes when the predictor is closed is closed, and calls of one that drains end', async () => {
    const { predictor, workers, feed, tell } = await open(['a'])
    const given = code(predictor.predict(query(1)))
    await tell({ drain: 'a' })
    await predictor.close()
    expect([await given, workers[0].closed, feed.returned]).toEqual(['CLOSED', 1, 1])
    const [late] = hand('late')
    await tell(add(late))
    expect(late.closed).toBe(1)
  })

  it('an iterable that throws when it is left keeps no worker from being closed', async () => {
    const [worker] = hand('a')
    const feed = new Feed()
    feed.tell(add(worker))
    const leave = () => {
      throw new Error('it cannot be left')
    }
    const workers = { [Symbol.asyncIterator]: () => ({ ...feed[Symbol.asyncIterator](), return: leave }) }
    const predictor = await createPredictor({ workers, scheme: systematic })
    await predictor.close()
    expect(worker.closed).toBe(1)
  })

  it('a generator that waits for a change does not keep the predictor from closing', async () => {
    async function* forever(): AsyncGenerator<Change> {
      yield add(hand('a')[0])
      await new Promise(() => {})
    }
    const predictor = await createPredictor({ workers: forever() })
    await predictor.close()
  })
})
