/** Workers that join: at the start, and while a predictor serves. */

import { ApproxiferError, createPredictor } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { add, answerAll, code, hand, open } from '../shared/joining-workers'
import { until } from '../shared/waiting'
import { Feed } from '../shared/worker-changes'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the start', () => {
  const scheme = { queries: 2, stragglers: 1 }

  it('waits until as many workers have joined as the scheme needs; more join later', async () => {
    const feed = new Feed()
    const starting = createPredictor({ workers: feed, scheme })
    const [a, b, c, d] = hand('a', 'b', 'c', 'd')
    feed.tell(add(a), add(b))
    expect(await settled(starting)).toBe('open')
    feed.tell(add(c), add(d))
    const predictor = await starting
    await turn()
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(['a', 'b', 'c', 'd'])
    await predictor.close()
    expect([a, b, c, d].map(({ closed }) => closed)).toEqual([1, 1, 1, 1])
    expect(feed.returned).toBe(1)
  })

  it('that takes long: a warning says what is waited for, again and again until it is there', async () => {
    const feed = new Feed()
    const clock = new VirtualClock()
    const warnings: string[] = []
    const starting = createPredictor({
      workers: feed,
      scheme: { queries: 3 },
      right: 'label',
      testing: { clock },
      onWarning: (text) => warnings.push(text),
    })
    const [a, b, c] = hand('a', 'b', 'c')
    feed.tell(add(a))
    await until(() => clock.pending > 0) // the core is loaded
    await clock.run(2999)
    expect(warnings).toEqual([])
    await clock.run(3000)
    feed.tell(add(b))
    await clock.run(70_000)
    const waits = (joined: number) => `waits for workers: ${joined} of the 3 workers that the scheme needs have joined`
    expect(warnings).toEqual([waits(1), waits(2)])
    feed.tell(add(c))
    await turn()
    await (await starting).close()
    await clock.run(1e6)
    expect(warnings.length).toBe(2)
  })

  it('goes on without S of them that do not come within four seconds; they join later', async () => {
    const feed = new Feed()
    const clock = new VirtualClock()
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const starting = createPredictor({
      workers: feed,
      scheme,
      right: 'label',
      testing: { clock },
      onWarning,
    })
    const [a, b, c] = hand('a', 'b', 'c')
    feed.tell(add(a))
    await until(() => clock.pending > 0)
    await clock.run(6000)
    expect(await settled(starting)).toBe('open') // one is too few
    feed.tell(add(b))
    const predictor = await starting
    expect(warnings.at(-1)).toBe(
      'starts with 2 of the 3 workers that the scheme needs: the others join when they are there',
    )
    const given = [1, 2].map((n) => predictor.predict(query(n)))
    await answerAll([a, b])
    expect((await Promise.all(given)).map(({ status }) => status)).toEqual(['exact', 'exact'])
    feed.tell(add(c))
    await turn()
    expect(predictor.stats().workers.length).toBe(3)
    await predictor.close()
    expect(clock.pending).toBe(0)
  })

  it('loses none that joins in the very turn in which it goes on', async () => {
    const feed = new Feed()
    const clock = new VirtualClock()
    const starting = createPredictor({ workers: feed, scheme, testing: { clock }, onWarning: () => {} })
    await until(() => clock.pending > 0)
    await clock.run(6000)
    feed.tell(...hand('a', 'b', 'c', 'd').map(add))
    const predictor = await starting
    await turn()
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(['a', 'b', 'c', 'd'])
    await predictor.close()
  })

  it('waits for every one with the paper’s code, whose rows need a worker each', async () => {
    const feed = new Feed()
    const clock = new VirtualClock()
    const paper = { ...scheme, preset: 'aaai22' } as const
    const starting = createPredictor({ workers: feed, scheme: paper, testing: { clock }, onWarning: () => {} })
    feed.tell(...hand('a', 'b').map(add))
    await until(() => clock.pending > 0)
    await clock.run(60_000)
    expect(await settled(starting)).toBe('open')
    feed.tell(...hand('c').map(add))
    await (await starting).close()
  })

  it('where liars are expected machines count, since workers of one lie together', async () => {
    const feed = new Feed()
    const on = (machine: string, ...names: string[]) => hand(...names).map((worker) => Object.assign(worker, { identity: machine })) // biome-ignore format: one line
    const verified = { queries: 1, byzantine: 1 }
    const starting = createPredictor({ workers: feed, scheme: verified })
    feed.tell(...[...on('m', 'a', 'b'), ...on('n', 'c', 'd')].map(add))
    expect(await settled(starting)).toBe('open')
    feed.tell(...hand('e').map(add))
    await (await starting).close()
    const ready = createPredictor({ workers: [...on('m', 'a', 'b'), ...on('n', 'c', 'd')], scheme: verified })
    await expect(ready).rejects.toThrow('workers: expected >= 3 machines, got 2 (4 workers)')
    const honest = await createPredictor({ workers: on('m', 'a', 'b', 'c'), scheme })
    await honest.close()
  })

  it('one that leaves before there are enough does not count, and is closed', async () => {
    const feed = new Feed()
    const starting = createPredictor({ workers: feed, scheme })
    const [a, b, c, d] = hand('a', 'b', 'c', 'd')
    feed.tell(add(a), add(b), { remove: 'a' }, { drain: 'nobody' }, add(c))
    await until(() => a.closed > 0)
    expect(await settled(starting)).toBe('open')
    feed.tell(add(d))
    await (await starting).close()
  })

  it.each([
    ['ends', undefined, 'the changes ended'],
    ['throws', new TypeError('no such name'), 'no such name'],
    ['throws an error of ours', new ApproxiferError('MODEL', 'no such model'), 'no such model'],
  ])(
    'an iterable that %s before there are enough: a WORKER error, and those that came are closed',
    async (_, error, why) => {
      const feed = new Feed()
      const workers = hand('a', 'b')
      feed.tell(...workers.map(add))
      feed.end(error)
      await expect(createPredictor({ workers: feed, scheme })).rejects.toMatchObject({
        code: 'WORKER',
        message: `workers: expected >= 3 to join, got 2: ${why}`,
      })
      expect(workers.map(({ closed }) => closed)).toEqual([1, 1])
    },
  )

  it('changes without end that bring nobody keep nothing else from its turn', async () => {
    async function* vain() {
      let hadTurn = false
      setTimeout(() => {
        hadTurn = true
      })
      for (let i = 0; !hadTurn && i < 1e5; i++) yield { remove: 'nobody' }
      if (!hadTurn) throw new Error('nothing else had a turn')
      yield* hand('a', 'b', 'c').map(add)
    }
    const predictor = await createPredictor({ workers: vain(), scheme })
    await predictor.close()
  })

  it('a predictor that cannot be made closes the workers, and leaves the iterable', async () => {
    const feed = new Feed()
    const workers = hand('a', 'b', 'c')
    feed.tell(...workers.map(add))
    const features = () => new Float32Array(0)
    await expect(createPredictor({ workers: feed, scheme, memory: { features } })).rejects.toThrow('features')
    expect([workers.map(({ closed }) => closed), feed.returned]).toEqual([[1, 1, 1], 1])
  })

  it('options of local workers beside an iterable are refused', async () => {
    const workers = new Feed()
    await expect(createPredictor({ workers, model: 'x.onnx' })).rejects.toThrow('model: expected none beside ready')
  })
})

describe('joining', () => {
  it('a row that waits goes to the worker that joins', async () => {
    const { predictor, workers, tell } = await open(['a'])
    const [first, second] = [predictor.predict(query(1)), predictor.predict(query(2))]
    const [b] = hand('b')
    await tell(add(b))
    expect(b.calls.map(({ row }) => row[0])).toEqual([2])
    await answerAll([...workers, b])
    expect((await Promise.all([first, second])).map(({ workers: [name] }) => name)).toEqual(['a', 'b'])
    await predictor.close()
  })

  it('predictAll keeps as many queries under way as there are workers for by then', async () => {
    const { predictor, workers, tell } = await open(['a'])
    const all = predictor.predictAll(Array.from({ length: 100 }, (_, i) => query(i)))
    expect(predictor.stats().open).toBe(5)
    const others = hand('b', 'c')
    await tell(...others.map(add))
    expect(predictor.stats().open).toBe(13)
    await answerAll([...workers, ...others])
    expect((await all).length).toBe(100)
    await predictor.close()
  })

  it('one of another model, without a name of its own, or that is none is refused, closed, and told of', async () => {
    const { predictor, warnings, workers, tell, listed } = await open(['a'])
    const [odd, twice, alike, silent, other] = hand('odd', 'a', 'alike', 'silent', 'other') // silent about its model
    Object.assign(odd, { signature: { ...odd.signature, outputs: [{ name: 'z', shape: [2] }] } })
    Object.assign(alike, { fingerprint: 'x' })
    Object.assign(other, { fingerprint: 'y' })
    await tell(add(odd), add(twice), add(alike), add(silent), add(other), add({ name: 'none' } as never), {
      ad: 1,
    } as never)
    expect(listed()).toEqual(['a', 'alike', 'silent'])
    expect([odd, twice, other, alike, workers[0]].map(({ closed }) => closed)).toEqual([1, 1, 1, 0, 0])
    expect(warnings).toEqual([
      expect.stringMatching(/^a worker was refused: odd: signature: expected .*"y".*, got .*"z"/),
      'a worker was refused: a: name: expected one that no other worker has, got it again',
      "a worker was refused: other: fingerprint: expected the model's, x, got y",
      'a worker was refused: add.infer: expected a function, got undefined',
      'workers: expected changes of the form { add }, { remove }, { drain } or { model }, got Object',
    ])
    await predictor.close()
  })

  /** Answers queries until some are remembered. */
  async function taught({ predictor, workers, clock }: Awaited<ReturnType<typeof open>>): Promise<void> {
    for (let x = 0; x < 40; x++) {
      const given = predictor.predict(query(x))
      await answerAll(workers)
      await given
      await clock.run(clock.now() + 100)
    }
    expect(predictor.stats().memoryPairs).toBeGreaterThan(10)
  }
  const of = (fingerprint: string, ...names: string[]) => hand(...names).map((worker) => Object.assign(worker, { fingerprint })) // biome-ignore format: one line

  it('when none is left: its model is the predictor’s, with a warning, and what was learned is forgotten', async () => {
    const opened = await open(of('x', 'a'), { memory: {} })
    const { predictor, warnings, tell, listed } = opened
    const [[b, c], [d]] = [of('y', 'b', 'c'), of('x', 'd')]
    await taught(opened)
    await tell(add(b))
    expect([listed(), b.closed]).toEqual([['a'], 1]) // one is left
    await tell({ remove: 'a' }, add(c), add(d))
    expect([listed(), c.closed, d.closed, predictor.stats().memoryPairs]).toEqual([['c'], 0, 1, 0])
    expect(warnings.slice(1)).toEqual([
      'workers: none is left with the model x: from here on it is that of c, y; what was learned of the one before is forgotten',
      "a worker was refused: d: fingerprint: expected the model's, y, got x",
    ])
    const given = predictor.predict(query(1))
    c.calls[0].answer()
    expect((await given).status).toBe('exact')
    await predictor.close()
  })

  it('when none is left, with other outputs: refused, and it is said that a predictor’s are fixed', async () => {
    const { predictor, warnings, tell, listed } = await open(['a'])
    const [odd] = hand('odd')
    Object.assign(odd, { signature: { ...odd.signature, outputs: [{ name: 'z', shape: [2] }] } })
    await tell({ remove: 'a' }, add(odd))
    expect([listed(), odd.closed]).toEqual([[], 1])
    expect(warnings).toEqual([expect.stringMatching(/"z".*; a predictor's is fixed: start another one$/)])
    expect(await code(predictor.predict(query(1)))).toBe('WORKER')
    await predictor.close()
  })

  it('all with another model than before: what was learned is forgotten, and who waits asks again', async () => {
    const opened = await open(['a'], { memory: {} })
    const { predictor, workers, tell, listed } = opened
    await taught(opened)
    const under = predictor.predict(query(1))
    const [before] = workers[0].calls
    await tell({ model: 'y' })
    expect(predictor.stats().memoryPairs).toBe(0)
    expect(before.signal?.aborted).toBe(true)
    expect(predictor.tenants).toEqual([''])
    const [[b], [c]] = [of('y', 'b'), of('x', 'c')]
    await tell(add(b), add(c))
    expect(listed()).toEqual(['a', 'b'])
    await opened.clock.run(opened.clock.now())
    await answerAll([...workers, b])
    expect(await under).toMatchObject({ status: 'exact', workers: [expect.stringMatching(/a|b/)] })
    await predictor.close()
  })

  it('who waits to ask another model again may leave, is due, and gets CLOSED as ever', async () => {
    const { predictor, clock, tell } = await open(['a'])
    const leaving = new AbortController()
    const gone = code(predictor.predict(query(1), { signal: leaving.signal }))
    const due = code(predictor.predict(query(2), { deadlineMs: 100 }))
    const open2 = code(predictor.predict(query(3)))
    await tell({ model: 'y' })
    leaving.abort()
    expect(await gone).toBe('ABORTED')
    await clock.run(clock.now() + 100)
    expect(await due).toBe('DEADLINE')
    await tell({ model: 'z' })
    const closing = predictor.close()
    expect(await open2).toBe('CLOSED')
    await closing
    expect(predictor.stats().open).toBe(0)
  })

  it('one that is in use already, here or elsewhere, is refused but not closed', async () => {
    const { predictor, workers, tell, listed } = await open(['a'])
    const [b] = hand('b')
    const elsewhere = await createPredictor({ workers: [b] })
    await tell(add(workers[0]), add(b))
    expect([listed(), workers[0].closed, b.closed]).toEqual([['a'], 0, 0])
    await predictor.close()
    await elsewhere.close()
  })

  it('5,000 that join at once hold nobody up for long, and none is looked through for a query', async () => {
    const { predictor, clock, tell, listed } = await open(['a'])
    const workers = Array.from({ length: 5000 }, (_, i) => new HandWorker(`w${i}`))
    const looked = workers.map((worker) => vi.spyOn(worker, 'free', 'get'))
    await tell(...workers.map(add))
    expect(listed().length).toBeLessThan(200) // then all others had their turn
    await clock.run()
    expect(listed().length).toBe(5001)
    for (const spy of looked) spy.mockClear()
    const given = predictor.predict(query(1))
    expect(looked.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBeLessThan(50)
    expect(await settled(given)).toBe('open')
    const closed = predictor.close()
    expect(await code(given)).toBe('CLOSED')
    await closed
  })
})
