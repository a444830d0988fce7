/** Workers that leave while a predictor serves. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Change, createPredictor, type ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { add, answerAll, code, open } from '../shared/joining-workers'
import { doubling } from '../shared/vectors'

afterEach(() => {
  vi.restoreAllMocks()
})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')
/** Workers that join and leave, and what each may leave behind. */
const CHANGES = 100_000
const BYTES = 40

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
    const free = { signature, free: true, infer: doubling, close: async () => {} }
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
