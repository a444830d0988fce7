/** What a predictor reads of callers and workers may call it: every promise settles, and nothing is read for ever. */

import { ApproxiferError, createPredictor, type Predictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'

const boom = () => {
  throw new Error('boom')
}

/** Workers that answer at once. */
const quick = (name: string) => Object.assign(new HandWorker(name), { infer: async (row: TensorList) => doubling(row) })

const kinds: [string, Partial<PredictorOptions>][] = [
  ['no scheme', {}],
  ['a memory', { policy: 'auto' }],
  ['a scheme', { scheme: { queries: 2, stragglers: 1 }, maxWaitMs: 0 }],
  ['liars', { scheme: { queries: 1, byzantine: 1 }, memory: false }],
  ['the paper’s code', { scheme: { preset: 'aaai22', queries: 2, stragglers: 1 } }],
  ['equal queries', { reuse: { exact: true } }],
  ['a rollout', { rollout: { shadow: 0.5 } }],
]

const hands = () => [1, 2, 3, 4].map((i) => new HandWorker(`w${i}`))

async function open(options: Partial<PredictorOptions>, workers = hands(), clock = new VirtualClock()) {
  return createPredictor({ workers, testing: { clock }, right: 'label', onWarning() {}, ...options })
}

/** What is read of a query, each of which may call. */
const queries: [string, (call: () => void) => unknown[]][] = [
  ['its data', (call) => [{ x: { get data() { call(); return Float32Array.of(1, 1) }, shape: [2] } }]], // biome-ignore format: one line
  ['its shape', (call) => [{ x: { data: Float32Array.of(1, 1), get shape() { call(); return [2] } } }]], // biome-ignore format: one line
  ['its names', (call) => [{ get x() { call(); return Float32Array.of(1, 1) } }]], // biome-ignore format: one line
  ...[
    'deadlineMs',
    'policy',
    'minConfidence',
    'atDeadline',
    'onOverload',
    'tenant',
    'priority',
    'weight',
    'signal',
    'ask',
  ].map((name): [string, (call: () => void) => unknown[]] => [
    `its option ${name}`,
    (call) => [query(1), Object.defineProperty({}, name, { get: () => void call(), enumerable: true })],
  ]),
  [
    'a signal that is listened to',
    (call) => {
      const { signal } = new AbortController()
      const listen = signal.addEventListener.bind(signal)
      signal.addEventListener = (...all: Parameters<typeof listen>) => [call(), listen(...all)]
      return [query(1), { signal }]
    },
  ],
]

describe.each(kinds)('with %s, what reads %s of a query', (_, options) => {
  const ask = (predictor: Predictor, given: unknown[]) =>
    (predictor.predict as (...all: unknown[]) => Promise<unknown>).apply(predictor, given)

  it.each(queries)('may close the predictor: %s', async (_, of) => {
    const predictor = await open(options)
    const given = of(() => void predictor.close())
    const asked = ask(predictor, given).catch(({ code }) => code)
    expect(await settled(asked)).toBe('answered') // that is, it has an end
    expect(await asked).toBe('CLOSED')
  })

  it.each(queries)('may ask it: %s', async (_, of) => {
    const clock = new VirtualClock()
    const workers = [1, 2, 3, 4].map((i) => quick(`w${i}`))
    const predictor = await open(options, workers, clock)
    const inner: Promise<unknown>[] = []
    const given = of(() => inner.push(inner.length < 3 ? ask(predictor, [query(2)]) : Promise.resolve()))
    const outer = [ask(predictor, given), ask(predictor, [query(3)])]
    await clock.run(100)
    expect(inner.length).toBeGreaterThan(0)
    expect((await Promise.allSettled([...outer, ...inner])).map(({ status }) => status)).toEqual(expect.not.arrayContaining(['rejected'])) // biome-ignore format: one line
    await predictor.close()
  })

  it.each(queries)('may throw: %s', async (_, of) => {
    const clock = new VirtualClock()
    const workers = [1, 2, 3, 4].map((i) => quick(`w${i}`))
    const predictor = await open(options, workers, clock)
    await expect(ask(predictor, of(boom))).rejects.toThrow()
    const others = [ask(predictor, [query(2)]), ask(predictor, [query(3)])]
    await clock.run(100)
    expect((await Promise.allSettled(others)).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(predictor.stats().open).toBe(0)
    await predictor.close()
  })
})

it.each<[string, Partial<PredictorOptions>]>([
  ['no scheme', { policy: 'auto' }],
  ['a scheme', { scheme: { queries: 2, stragglers: 1 }, maxWaitMs: 0 }],
  ['liars', { scheme: { queries: 1, byzantine: 1 } }],
  ['answers before asking', { reuse: { maxError: 0.05 } }],
])('with %s, what makes features of a query may close the predictor', async (_, options) => {
  let calls = 0
  const features = (row: Float32Array) => {
    if (calls++) void predictor.close()
    return row
  }
  const clock = new VirtualClock()
  const workers = [1, 2, 3, 4].map((i) => quick(`w${i}`))
  const predictor = await open({ ...options, memory: { features } }, workers, clock)
  const asked = Array.from({ length: 20 }, (_, i) => predictor.predict(query(i)).catch(({ code }) => code))
  await clock.run(100)
  expect(calls).toBeGreaterThan(0)
  expect(await settled(Promise.all(asked))).toBe('answered') // that is, each has an end
  await predictor.close()
})

describe('a worker', () => {
  const asks: [string, (predictor: Predictor, worker: HandWorker) => void][] = [
    ['asks for an answer', (predictor) => void predictor.predict(query(9)).catch(() => {})],
    ['says that it is free', (_, worker) => worker.onFree?.()],
    ['closes the predictor', (predictor) => void predictor.close()],
    ['asks for the statistics', (predictor) => void predictor.stats()],
  ]

  it.each(asks)('whose `free` %s is not asked for ever', async (what, act) => {
    const workers = [1, 2, 3, 4].map((i) => quick(`w${i}`))
    let [reads, isOdd] = [0, false]
    Object.defineProperty(workers[0], 'free', {
      get() {
        if (++reads > 5000) throw new Error('for ever')
        if (isOdd) act(predictor, workers[0])
        return true
      },
    })
    const predictor = await open({}, workers)
    isOdd = true
    const asked = [1, 2, 3].map((x) => predictor.predict(query(x)).then(() => 'answered', ({ code }) => code)) // biome-ignore format: one line
    await turn()
    isOdd = false
    for (let i = 0; i < 5; i++) await turn()
    const ends = await Promise.all(asked)
    expect(ends.every((end) => end === 'answered' || (end === 'CLOSED' && what.includes('closes')))).toBe(true)
    expect(reads).toBeLessThan(1000)
    await predictor.close()
  })

  it.each([
    ['always', () => true],
    ['now and then', (i: number) => i % 2 === 0],
  ])(
    'that refuses every call, and says that it is free and %s that it is gone, is not asked for ever',
    async (_, isGone) => {
      let [calls, reads] = [0, 0]
      const odd = Object.defineProperty(new HandWorker('odd'), 'gone', { get: () => isGone(reads++) })
      odd.infer = async () => {
        if (++calls > 500) return doubling([{ data: Float32Array.of(0, 0), shape: [2] }]) // or the test would never end
        throw new ApproxiferError('OVERLOADED', 'busy')
      }
      const predictor = await open({}, [odd, new HandWorker('well')])
      const asked = [1, 2, 3].map((x) => predictor.predict(query(x)).catch(({ code }) => code))
      for (let i = 0; i < 5; i++) await turn()
      expect(calls).toBeLessThan(100)
      await predictor.close()
      await Promise.all(asked)
    },
  )
})
