/** Workers that come and go while a predictor serves, and those that cannot be reached. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ApproxiferError, type Change, createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Evidence } from '../../src/trust/evidence'
import { Feed, HandWorker, query, settled, turn } from '../shared/house'
import { MoodyWorker } from '../shared/moody-worker'
import { until } from '../shared/patience'

afterEach(() => {
  vi.restoreAllMocks()
})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')
/** Workers that join and leave, and what each may leave behind. */
const CHANGES = process.env.CI ? 1_000_000 : 100_000
const BYTES = 40

const hand = (...names: string[]) => names.map((name) => new HandWorker(name))
const add = (worker: ModelWorker): Change => ({ add: worker })
const systematic = { queries: 1, stragglers: 0, code: 'systematic' } as const

/** A predictor that hand-settled workers have joined, in made time. */
async function open(names: (string | HandWorker)[], options: Omit<PredictorOptions, 'workers'> = {}) {
  const feed = new Feed()
  const clock = new VirtualClock()
  const workers = names.map((name) => (typeof name === 'string' ? new HandWorker(name) : name))
  const warnings: string[] = []
  feed.tell(...workers.map(add))
  const own = {
    testing: { clock },
    verify: { audit: 0 },
    hangMs: 1000,
    deadlineMs: 60_000,
    scheme: systematic,
    policy: 'retry' as const,
  }
  const onWarning = (text: string) => warnings.push(text)
  const predictor = await createPredictor({ ...own, onWarning, ...options, workers: feed })
  await turn()
  /** Tells changes and lets them be taken. */
  const tell = async (...changes: Change[]) => {
    feed.tell(...changes)
    await turn()
  }
  const listed = () => predictor.stats().workers.map(({ worker }) => worker)
  return { feed, clock, workers, warnings, predictor, tell, listed }
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error) => error.code,
  )
const message = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error) => error.message,
  )
/** Answers all that the workers have, until they have nothing more. */
async function answerAll(workers: readonly HandWorker[]): Promise<void> {
  while (workers.some(({ calls }) => calls.length)) {
    for (const { calls } of workers) for (const call of [...calls]) call.answer()
    await turn()
  }
}

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
      scheme,
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
    await expect(createPredictor({ workers: feed, scheme, memory: { state: Uint8Array.of(1) } })).rejects.toThrow(
      'state',
    )
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
      'a worker was refused: add: expected a ModelWorker, got Object',
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
    expect(predictor.stats().remembered).toBeGreaterThan(10)
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
    expect([listed(), c.closed, d.closed, predictor.stats().remembered]).toEqual([['c'], 0, 1, 0])
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

  it('all with another model than before: what was learned is forgotten, and queries under way are rejected', async () => {
    const opened = await open(['a'], { memory: {} })
    const { predictor, workers, tell, listed } = opened
    await taught(opened)
    const under = message(predictor.predict(query(1)))
    await tell({ model: 'y' })
    expect([await under, predictor.stats().remembered]).toEqual(['the model of the workers was replaced', 0])
    expect(predictor.tenants).toEqual([''])
    const [[b], [c]] = [of('y', 'b'), of('x', 'c')]
    await tell(add(b), add(c))
    expect(listed()).toEqual(['a', 'b'])
    const next = predictor.predict(query(1))
    await answerAll([...workers, b])
    expect((await next).status).toBe('exact')
    await predictor.close()
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

describe('leaving', () => {
  it('remove: its calls go elsewhere, and are not held against the query', async () => {
    const { predictor, workers, tell, listed } = await open(['a', 'b', 'c', 'd'])
    const given = predictor.predict(query(1))
    for (let removals = 0; removals < 3; removals++) {
      const at = workers.find(({ calls }) => calls.length) as HandWorker
      await tell({ remove: at.name })
      expect(at.closed).toBe(1)
    }
    await answerAll(workers)
    expect((await given).status).toBe('exact')
    expect(listed().length).toBe(1)
    await predictor.close()
    expect(workers.map(({ closed }) => closed)).toEqual([1, 1, 1, 1])
  })

  it('a row that was behind the one it is at work on goes elsewhere, too', async () => {
    const { predictor, workers, tell } = await open(['a', 'b'])
    for (const worker of workers) Object.assign(worker, { takesNext: true, capacity: 2 })
    const first = [1, 2].map((x) => predictor.predict(query(x)))
    await answerAll(workers)
    await Promise.all(first)
    const given = [1, 2, 3, 4, 5, 6].map((x) => predictor.predict(query(x)))
    expect(workers.map(({ calls }) => calls.length)).toEqual([2, 2])
    await tell({ remove: workers[0].name })
    await answerAll(workers)
    const answers = await Promise.all(given)
    expect(answers.map(({ output }) => output.y.data[0])).toEqual([2, 4, 6, 8, 10, 12])
    expect(new Set(answers.flatMap(({ workers }) => workers))).toEqual(new Set(['b']))
    await predictor.close()
  })

  it('drain: it gets no more rows; those that it has are answered, also the one behind, and then it is closed', async () => {
    const { predictor, workers, tell, listed } = await open(['a', 'b'])
    for (const worker of workers) Object.assign(worker, { takesNext: true, capacity: 2 })
    const first = [1, 2].map((x) => predictor.predict(query(x)))
    await answerAll(workers)
    await Promise.all(first)
    const given = [1, 2, 3, 4, 5, 6].map((x) => predictor.predict(query(x)))
    const [a, b] = workers
    await tell({ drain: 'a' })
    expect([a.calls.length, a.closed, listed()]).toEqual([2, 0, ['b']])
    for (const call of [...a.calls]) call.answer()
    await turn()
    expect([a.calls.length, a.closed, a.onFree]).toEqual([0, 1, undefined])
    await answerAll([b])
    const names = (await Promise.all(given)).flatMap(({ workers }) => workers)
    expect(names.filter((name) => name === 'a').length).toBe(2)
    await predictor.close()
    expect([a.closed, b.closed]).toEqual([1, 1])
  })

  it('drain while it hangs: the row goes elsewhere when it is found, and it is closed', async () => {
    const { predictor, workers, tell, clock } = await open(['a', 'b'])
    const given = predictor.predict(query(1))
    const at = workers.findIndex(({ calls }) => calls.length)
    await tell({ drain: workers[at].name })
    await clock.run(999)
    expect(workers[at].closed).toBe(0)
    await clock.run(1100)
    expect([workers[at].closed, workers[1 - at].calls.length]).toEqual([1, 1])
    await answerAll([workers[1 - at]])
    expect((await given).workers).toEqual([workers[1 - at].name])
    await predictor.close()
  })

  it('drain, then remove: what it still has goes elsewhere', async () => {
    const { predictor, workers, tell } = await open(['a', 'b'])
    const given = predictor.predict(query(1))
    const [at, other] = workers[0].calls.length ? workers : [workers[1], workers[0]]
    await tell({ drain: at.name }, { remove: at.name })
    expect([at.closed, other.calls.length]).toEqual([1, 1])
    await answerAll([other])
    await given
    await predictor.close()
    expect(at.closed).toBe(1)
  })

  it('one that drains gives up its name at once; who takes it is another, and remove is for both', async () => {
    const { predictor, workers, tell, listed } = await open(['a', 'b'])
    const given = [1, 2].map((x) => predictor.predict(query(x)))
    const again = new HandWorker('a')
    await tell({ drain: 'a' }, add(again))
    expect([workers[0].closed, listed()]).toEqual([0, ['b', 'a']])
    workers[0].calls[0].answer()
    await turn()
    expect([workers[0].closed, again.closed, listed()]).toEqual([1, 0, ['b', 'a']])
    const third = predictor.predict(query(3))
    await tell({ drain: 'a' }, { remove: 'a' })
    expect(again.closed).toBe(1)
    await answerAll(workers)
    await Promise.all([...given, third])
    await predictor.close()
  })

  it('one whose call nobody wants any more, or that is down, leaves at once', async () => {
    for (const how of ['remove', 'drain'] as const) {
      const { predictor, workers, tell } = await open(['a', 'b'])
      const abort = new AbortController()
      const left = predictor.predict(query(1), { signal: abort.signal })
      const [at, down] = workers[0].calls.length ? workers : [workers[1], workers[0]]
      expect(at.calls[0].signal).toBeDefined()
      abort.abort()
      expect(await code(left)).toBe('ABORTED')
      down.capacity = 0
      down.onFree?.()
      await tell({ [how]: at.name } as Change, { [how]: down.name } as Change)
      expect([at.closed, down.closed]).toEqual([1, 1])
      await predictor.close()
    }
  })

  it('one that drains is closed when nobody wants its call any more, though it may be at work on it', async () => {
    const { predictor, workers, tell } = await open(['a'])
    const abort = new AbortController()
    const left = code(predictor.predict(query(1), { signal: abort.signal }))
    expect(workers[0].calls[0].signal).toBeDefined()
    await tell({ drain: 'a' })
    abort.abort()
    await turn()
    expect([await left, workers[0].closed]).toEqual(['ABORTED', 1])
    await predictor.close()
  })

  it('one that never ends its close keeps nobody else from leaving', async () => {
    const { predictor, workers, tell, clock } = await open(['a', 'b', 'c'])
    workers[0].close = () => new Promise(() => {})
    await tell({ remove: 'a' }, { remove: 'b' })
    expect(workers[1].closed).toBe(1)
    const closed = predictor.close()
    expect(await settled(closed)).toBe('open')
    await clock.run()
    await closed
  })

  it('a fast one that left makes no other seem slow', async () => {
    const { predictor, workers, tell, clock } = await open(['fast', 'slow'])
    const [fast, slow] = workers
    const both = [1, 2].map((x) => predictor.predict(query(x)))
    await clock.run(1)
    fast.calls[0].answer()
    await clock.run(50)
    slow.calls[0].answer()
    await Promise.all(both)
    await turn()
    await tell({ remove: 'fast' })
    void predictor.predict(query(1)).catch(() => {})
    expect(slow.calls.length).toBe(1) // it does not wait for the other
    await predictor.close()
  })

  it('any number that come and go take no room, and leave no trace', async () => {
    const clock = new VirtualClock()
    const { signature } = new HandWorker('')
    const free = { signature, free: true, infer: async (row: Float32Array) => row, close: async () => {} }
    const stays: ModelWorker = { name: 'stays', onFree: undefined, ...free }
    const used: number[] = []
    async function* churn(): AsyncGenerator<Change> {
      yield add(stays)
      for (let told = 0; told <= CHANGES; told++) {
        const name = `w${told}`
        yield add({ name, onFree: undefined, ...free })
        stays.onFree?.() // it says so again and again
        yield told % 2 ? { remove: name } : { drain: name }
        if (told % 20 === 0) await new Promise<void>((resolve) => clock.after(20, resolve)) // cancelled timers leave the clock
        if (told !== CHANGES / 5 && told !== CHANGES) continue
        collectGarbage()
        used.push(process.memoryUsage().heapUsed)
      }
    }
    const predictor = await createPredictor({ workers: churn(), testing: { clock }, hedge: false, memory: false })
    await clock.run()
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(['stays'])
    expect(used[1] - used[0]).toBeLessThan(0.8 * CHANGES * BYTES)
    await predictor.close()
  })
})

describe('a name that comes back', () => {
  it('of those that left only what is held against them is kept, of so many', () => {
    const evidence = new Evidence()
    for (let i = 0; i < 3000; i++) {
      for (const name of [`liar ${i}`, `honest ${i}`]) {
        evidence.join(name)
        evidence.proven(name, Float32Array.of(i))
        if (name.startsWith('l')) evidence.lied(name)
        evidence.leave(name)
      }
    }
    expect(evidence.workers.length).toBe(1000)
    expect([evidence.isTrusted('liar 2999'), evidence.isTrusted('liar 0'), evidence.isTrusted('honest 2999')]).toEqual([false, true, true]) // biome-ignore format: one line
  })

  it('what one that left taught can be forgotten', async () => {
    const options = { scheme: { queries: 1, stragglers: 1 }, policy: 'auto' as const }
    const { predictor, workers, clock, tell } = await open(['a', 'b', 'c'], options)
    for (let i = 0; i < 40; i++) {
      const given = predictor.predict(query(i))
      await turn()
      await clock.run(clock.now() + 6)
      await answerAll(workers)
      await given
    }
    const { remembered } = predictor.stats()
    await tell({ remove: 'a' })
    predictor.forget('a')
    await clock.run(clock.now() + 100)
    expect(predictor.stats().remembered).toBeLessThan(remembered)
    await predictor.close()
  })

  /** Workers that answer at once; the liars' answers are wrong. */
  class Honest extends MoodyWorker {
    lies = false
    override async infer(row: Float32Array): Promise<Float32Array> {
      const answer = await super.infer(row)
      return this.lies ? answer.map((x) => x + 5) : answer
    }
  }

  async function ejected() {
    const clock = new VirtualClock()
    const feed = new Feed()
    const workers = [0, 1, 2, 3, 4].map((i) => new Honest(i, clock, seeded(i)))
    feed.tell(...workers.map(add))
    const scheme = { queries: 1, stragglers: 1, byzantine: 1, code: 'systematic' as const }
    const predictor = await createPredictor({
      workers: feed,
      testing: { clock },
      scheme,
      memory: false,
      onWarning: () => {},
    })
    await clock.run()
    workers[0].lies = true
    const ask = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const given = predictor.predict(Float32Array.of(i, 1))
        await clock.run()
        expect((await given).status).toBe('exact')
      }
    }
    const of = (name: string) => predictor.stats().workers.find(({ worker }) => worker === name)
    while (!of('w0')?.ejections) await ask(1)
    expect(of('w0')).toMatchObject({ ejections: 1, rightAnswersLeft: expect.toSatisfy((left) => left > 0) })
    return { clock, feed, predictor, ask, of }
  }

  it('who was ejected and comes back under its name is ejected as before, and can end it', async () => {
    const { clock, feed, predictor, ask, of } = await ejected()
    feed.tell({ remove: 'w0' })
    await ask(5)
    expect(of('w0')).toBeUndefined()
    const again = new Honest(0, clock, seeded(9))
    feed.tell(add(again))
    await clock.run()
    expect(of('w0')).toMatchObject({ ejections: 1, onTime: 0, rightAnswersLeft: expect.toSatisfy((left) => left > 0) })
    await ask(10)
    expect(of('w0')?.onTime).toBe(0)
    await ask(60)
    expect(of('w0')).toMatchObject({ ejections: 1, rightAnswersLeft: 0 })
    await ask(20)
    expect(of('w0')?.onTime).toBeGreaterThan(0)
    await predictor.close()
  })

  it('the paper’s code: a group that still fills is none the worse for a worker that leaves', async () => {
    const scheme = { queries: 2, stragglers: 1, byzantine: 1, code: 'berrut' as const }
    const names = Array.from({ length: 12 }, (_, i) => `w${i}`)
    const { predictor, workers, clock, tell } = await open(names, { scheme, policy: undefined as never })
    const given = [1, 2, 1, 2, 1, 2, 1].map((x) => predictor.predict(query(x))) // the last group has one
    await tell({ remove: 'w0' })
    await clock.run(clock.now() + 6)
    await answerAll(workers)
    expect((await Promise.all(given)).length).toBe(7)
    await predictor.close()
  })

  it('what is told of a worker after it has left is not held against the next of its name', async () => {
    const scheme = { queries: 1, stragglers: 1, byzantine: 1, code: 'systematic' as const }
    const { predictor, workers, tell } = await open(['a', 'b', 'c', 'd'], { scheme, policy: undefined as never })
    const given = predictor.predict(query(1))
    const at = workers.find(({ calls }) => calls.length) as HandWorker
    await tell({ drain: at.name })
    at.calls[0].fail(new ApproxiferError('WORKER', 'shut down'))
    await turn()
    const again = new HandWorker(at.name)
    await tell(add(again))
    await answerAll([...workers, again])
    expect((await given).status).toBe('exact')
    expect(predictor.stats().workers.map(({ silent }) => silent)).toEqual([0, 0, 0, 0])
    await predictor.close()
  })

  it('a worker that is ejected can be drained and removed, also while it is on trial', async () => {
    for (const how of ['remove', 'drain'] as const) {
      const { clock, feed, predictor, ask, of } = await ejected()
      const given = predictor.predict(Float32Array.of(1, 1)) // its proof goes to the one that is on trial as well
      feed.tell({ [how]: 'w0' } as Change)
      await clock.run()
      expect((await given).status).toBe('exact')
      expect(of('w0')).toBeUndefined()
      await ask(5)
      await predictor.close()
    }
  })
})

describe('no worker that can be reached', () => {
  const schemes: [string, Omit<PredictorOptions, 'workers'>][] = [
    ['no scheme', {}],
    ['retry', { scheme: { queries: 4, stragglers: 1 }, policy: 'retry', maxWaitMs: 10_000 }],
    ['auto', { scheme: { queries: 4, stragglers: 1 }, policy: 'auto', maxWaitMs: 10_000 }],
    ['recover', { scheme: { queries: 4, stragglers: 1 }, policy: 'recover', maxWaitMs: 10_000 }],
    ['paper', { scheme: { queries: 2, stragglers: 1, code: 'berrut' }, policy: undefined as never }],
    [
      'paper, liars',
      { scheme: { queries: 1, stragglers: 1, byzantine: 1, code: 'berrut' }, policy: undefined as never },
    ],
    [
      'verified',
      { scheme: { queries: 1, stragglers: 1, byzantine: 1, code: 'systematic' }, policy: undefined as never },
    ],
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
  const sentence = 'no worker may take a query: 5 of 5 cannot be reached for now'

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
    const none = 'no worker is left: all were removed or drained'
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
      scheme: { queries: 1, stragglers: 1, byzantine: 1, code: 'systematic' as const },
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

  it('the paper’s code below its quorum: the group fails at once, also when a worker leaves under way', async () => {
    const options = {
      scheme: { queries: 1, stragglers: 1, byzantine: 1, code: 'berrut' as const },
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

it('whoever comes, goes, hangs, dies or vanishes: every query settles, right, and nobody is left behind', async () => {
  for (let seed = 1; seed <= 24; seed++) {
    const random = seeded(seed)
    const clock = new VirtualClock()
    const feed = new Feed()
    let made = 0
    const present: Changing[] = []
    const all: Changing[] = []
    const join = () => {
      const worker = new Changing(made++, clock, seeded(seed + made))
      all.push(worker)
      present.push(worker)
      feed.tell(add(worker))
    }
    const E = Number(seed % 3 === 0)
    const scheme = [{ queries: 1 + random.below(4), stragglers: 1, byzantine: 0 }, undefined][seed % 2]
    const chosen = E
      ? { queries: 1, stragglers: 1, byzantine: 1, code: seed % 2 ? ('berrut' as const) : ('systematic' as const) }
      : scheme
    for (let i = 0; i < 7; i++) join()
    const predictor = await createPredictor({ workers: feed, testing: { clock }, hangMs: 300, deadlineMs: 2000, onWarning() {}, ...(chosen && { scheme: chosen }) }) // biome-ignore format: one line
    for (let i = 0; i < 100; i++) {
      clock.after(20 * i, () => {
        const what = random.next()
        if (what < 0.4) join()
        else if (present.length) {
          const at = random.below(present.length)
          const worker = present[at]
          if (what < 0.8) feed.tell(what < 0.6 ? { remove: worker.name } : { drain: worker.name })
          if (what < 0.8) present.splice(at, 1)
          else if (what < 0.9) worker.vanish(500 * random.next())
          else worker.mood = random.next() < 0.5 ? 'silent' : 'rejects'
        }
      })
    }
    const ended: string[] = []
    for (let i = 0; i < 300; i++) {
      const ask = async () => {
        const start = clock.now()
        try {
          const { output, status } = await predictor.predict(Float32Array.of(i, 1))
          if (status === 'exact') expect(output.y.data[0]).toBe(2 * i)
          ended.push('answered')
        } catch (error) {
          ended.push((error as ApproxiferError).code)
        }
        expect(clock.now() - start).toBeLessThan(2050)
      }
      clock.after(2000 * random.next(), () => void ask())
    }
    await clock.run(6000)
    expect({ seed, ended: ended.length }).toEqual({ seed, ended: 300 })
    expect(ended.filter((how) => how === 'answered').length).toBeGreaterThan(30)
    expect(predictor.stats().open).toBe(0)
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(present.map(({ name }) => name))
    const closed = predictor.close()
    await clock.run()
    await closed
    expect(all.filter(({ closes }) => closes !== 1).map(({ name }) => name)).toEqual([])
  }
})

/** Nobody can restart it; it may be out of reach for a while. */
class Changing extends MoodyWorker {
  closes = 0
  gone = false
  readonly #clock: VirtualClock

  constructor(index: number, clock: VirtualClock, random: ReturnType<typeof seeded>) {
    super(index, clock, random)
    this.#clock = clock
    if (index % 2) Object.assign(this, { restart: undefined })
  }

  vanish(ms: number) {
    this.gone = true
    MoodyWorker.prototype.restart.call(this, 'out of reach')
    this.mood = 'dead'
    this.onFree?.()
    this.#clock.after(ms + 30, () => {
      this.gone = false
      this.mood = 'well'
      this.onFree?.()
    })
  }

  override async close() {
    this.closes++
    await super.close()
  }
}
