/** Workers of one's own making need not tell how large answers are: some are asked a query that no caller chose. */

import { type Change, createPredictor, type ModelWorker, type PredictorOptions, type TensorList } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { vectorOf } from '../../src/base/payload'
import { probeQuery } from '../../src/base/probe-query'
import { seeded } from '../../src/base/random'
import { liars } from '../shared/heard-events'
import { Feed } from '../shared/worker-changes'

const signature = { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'y', shape: [4] }] }
const probe = vectorOf(probeQuery(signature))
const random = seeded(3)
const query = (size: number) => Float32Array.from({ length: 4 }, () => size * random.gauss())
const isProbe = (x: Float32Array) => x.every((value, i) => value === probe[i])

interface Way {
  trusted?: boolean
  /** Of what it answers to a query, and to the probe query. */
  lie?: (answer: Float32Array) => Float32Array
  probed?: (answer: Float32Array) => Float32Array
}

/** Twice the query; how often each was asked the probe query is kept. */
class Fleet {
  readonly probes: string[] = []
  factor = 2

  worker(name: string, { trusted = false, lie = (y) => y, probed = (y) => y }: Way = {}): ModelWorker {
    return {
      ...{ name, trusted, signature, free: true, onFree: undefined, close: async () => {} },
      infer: async ([{ data }]: TensorList) => {
        await new Promise(setImmediate) // or the first ones would answer everything
        const x = data as Float32Array
        const y = x.map((value) => this.factor * value)
        if (isProbe(x)) this.probes.push(name)
        return [{ data: isProbe(x) ? probed(y) : lie(y), shape: [4] }]
      },
    }
  }

  /** A worker that answers nothing until it is released. */
  late(name: string) {
    let release = () => {}
    const busy = new Promise<void>((resolve) => {
      release = resolve
    })
    const late = this.worker(name)
    const { infer } = late
    late.infer = (query, ...rest) => busy.then(() => infer(query, ...rest))
    return { late, release }
  }
}

async function serve(workers: PredictorOptions['workers'], options: PredictorOptions = {}) {
  const ejected: string[] = []
  const predictor = await createPredictor({
    ...{ workers, right: { within: 0.1 }, memory: false, onWarning() {} },
    onEvent: liars(({ worker }) => ejected.push(worker)),
    ...options,
  })
  return { predictor, ejected }
}

const many = (count: number, size: number) => Array.from({ length: count }, () => query(size))
const byzantine = { scheme: { queries: 1, byzantine: 1 } }

it('a neighbour’s inputs, 255 times too large, let no lie of a tenth of the deviation pass in a sampled fleet', async () => {
  const fleet = new Fleet()
  let isLying = false
  const lie = (y: Float32Array) => (isLying ? y.map((value) => value + 0.2) : y)
  const workers = [fleet.worker('own', { trusted: true }), fleet.worker('a'), fleet.worker('liar', { lie })]
  const { predictor, ejected } = await serve(workers, { verify: { mode: 'sampled', rate: 0.2 } })
  await predictor.predictAll(many(1000, 255))
  isLying = true
  for (let i = 0; i < 50; i++) await predictor.predictAll(many(10, 1))
  expect([ejected, fleet.probes]).toEqual([['liar'], ['own']]) // own ones alone decide
  await predictor.close()
})

describe('of a thousand machines', () => {
  it('2E + 1 are asked, and no two of them are one', async () => {
    const fleet = new Fleet()
    const workers = Array.from({ length: 1000 }, (_, i) => fleet.worker(`w${i}`))
    const { predictor } = await serve(workers, { scheme: { queries: 1, byzantine: 2 } })
    for (let i = 0; i < 3; i++) await predictor.predictAll(many(100, 1))
    expect([fleet.probes.length, new Set(fleet.probes).size]).toEqual([5, 5])
    await predictor.close()
  })

  it('none is asked before answers are compared', async () => {
    const fleet = new Fleet()
    const { predictor } = await serve(
      [0, 1, 2].map((i) => fleet.worker(`w${i}`)),
      { hedge: false },
    )
    await predictor.predictAll(many(300, 1))
    expect(fleet.probes).toEqual([])
    await predictor.close()
  })
})

const nothing = (): never => {
  throw new Error('it would not')
}

it.each([
  ['1e30 times as large', 5, (y: Float32Array) => y.map((value) => 1e30 * value)],
  ['tiny', 5, (y: Float32Array) => y.map((value) => 1e-30 * value)],
  ['nothing', 5, nothing],
  ['nothing', 3, nothing],
  ['that it tells nothing', 3, undefined],
])('a liar that says %s to the probe query is found out, one of %d, and nobody else is', async (_, count, probed) => {
  const fleet = new Fleet()
  const liar = fleet.worker('liar', { probed, lie: (y) => y.map((value) => value + 0.2) })
  if (!probed) Object.assign(liar, { scales: [] })
  const others = Array.from({ length: count - 1 }, (_, i) =>
    fleet.worker(`w${i}`, { lie: (y) => y.map((value) => value * (1 + 2e-6 * i)) }),
  )
  const { predictor, ejected } = await serve([liar, ...others], byzantine)
  for (let i = 0; i < 30; i++) {
    const queries = [...many(5, 1), ...many(5, 1e-6)]
    for (const [n, { output, status }] of (await predictor.predictAll(queries)).entries()) {
      expect(status).toBe('exact')
      expect(output.y.data[0] as number).toBeCloseTo(2 * queries[n][0], 4)
    }
  }
  expect(ejected).toEqual(['liar'])
  await predictor.close()
})

it('of three machines one that tells how large answers are does not decide while the others have not answered', async () => {
  const fleet = new Fleet()
  const lie = (y: Float32Array) => y.map((value) => value + 5)
  const liar = Object.assign(fleet.worker('liar', { lie }), { scales: [1e30] })
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const honest = ['a', 'b'].map((name) => {
    const worker = fleet.worker(name)
    const { infer } = worker
    return Object.assign(worker, {
      slots: 2,
      infer: async (query: TensorList) => {
        if (isProbe(vectorOf(query))) await released
        return infer(query)
      },
    })
  })
  const { predictor } = await serve([liar, ...honest], { ...byzantine, policy: 'retry' })
  for (let i = 0; i < 10; i++) {
    const row = query(1)
    const { output, status } = await predictor.predict(row)
    expect([status, output.y.data[0]]).toEqual(['exact', expect.closeTo(2 * row[0], 4)])
  }
  expect(fleet.probes).toEqual([])
  release()
  await predictor.close()
})

it('a machine that comes later is asked where fewer were there than it takes, and all anew where the model is another', async () => {
  const fleet = new Fleet()
  const changes = new Feed<Change>()
  const made = serve(changes, { ...byzantine, policy: 'retry' })
  for (const name of ['a', 'b', 'c']) changes.tell({ add: fleet.worker(name) })
  const { predictor, ejected } = await made
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.toSorted()).toEqual(['a', 'b', 'c'])
  changes.tell({ add: fleet.worker('d') })
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.length).toBe(3)
  changes.tell({ remove: 'a' })
  await new Promise(setImmediate)
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.slice(3)).toEqual(['d'])
  fleet.factor = 2e6
  changes.tell({ model: 'another' })
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.slice(4).toSorted()).toEqual(['b', 'c', 'd'])
  expect(ejected).toEqual([])
  await predictor.close()
})

it('who has answered is not asked again while another that is to be asked is busy', async () => {
  const fleet = new Fleet()
  const { late, release } = fleet.late('c')
  const { predictor } = await serve([fleet.worker('a'), fleet.worker('b'), late], { ...byzantine, policy: 'retry' })
  const answers = predictor.predictAll(many(20, 1))
  for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate)
  release()
  await answers
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.toSorted()).toEqual(['a', 'b', 'c'])
  await predictor.close()
})

it('a question that is answered meanwhile is taken back: whoever it waited for is not asked when it is free', async () => {
  const fleet = new Fleet()
  const changes = new Feed<Change>()
  const made = serve(changes, { ...byzantine, policy: 'retry', deadlineMs: 60_000 })
  const { late, release } = fleet.late('c')
  for (const worker of [fleet.worker('a'), fleet.worker('b'), late]) changes.tell({ add: worker })
  const { predictor } = await made
  const first = predictor.predictAll(many(20, 1))
  for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate)
  expect(fleet.probes.toSorted()).toEqual(['a', 'b'])
  changes.tell({ add: Object.assign(fleet.worker('d'), { scales: [2] }) })
  await predictor.predictAll(many(20, 1))
  release()
  await first
  await predictor.predictAll(many(20, 1))
  expect(fleet.probes.toSorted()).toEqual(['a', 'b'])
  await predictor.close()
})

describe('an anchor that is asked', () => {
  const liar = (fleet: Fleet, name: string) => fleet.worker(name, { lie: (y) => y.map((value) => value + 0.2) })
  const sampled = { verify: { mode: 'sampled', rate: 1 } } as const

  it('is asked though others come and go all the time, and no audit is spent before it has answered', async () => {
    const fleet = new Fleet()
    const changes = new Feed<Change>()
    const made = serve(changes, sampled)
    for (const worker of [fleet.worker('own', { trusted: true }), liar(fleet, 'a'), liar(fleet, 'b')]) changes.tell({ add: worker }) // biome-ignore format: one line
    const { predictor, ejected } = await made
    for (let i = 0; i < 60; i++) {
      void predictor.predictAll(many(4, 1))
      changes.tell(i % 2 ? { remove: `c${i - 1}` } : { add: fleet.worker(`c${i}`) })
      await new Promise(setImmediate)
    }
    await predictor.predictAll(many(20, 1))
    expect([ejected.toSorted(), fleet.probes]).toEqual([['a', 'b'], ['own']])
    await predictor.close()
  })

  it('has answered once only what came at once: its audits are made all the same', async () => {
    const fleet = new Fleet()
    const { predictor, ejected } = await serve([fleet.worker('own', { trusted: true }), liar(fleet, 'a')], sampled)
    await predictor.predictAll(many(6, 1))
    while (!ejected.length) await new Promise(setImmediate)
    expect(ejected).toEqual(['a'])
    await predictor.close()
  })

  it('is asked again where it fails, also where another is out of reach', async () => {
    let times = 0
    const failing = (y: Float32Array) => (times++ ? y : nothing())
    for (const second of [undefined, { gone: true, free: false }]) {
      times = 0
      const fleet = new Fleet()
      const own = fleet.worker('own', { trusted: true, probed: failing })
      const others = second ? [Object.assign(fleet.worker('other', { trusted: true }), second)] : []
      const { predictor, ejected } = await serve([own, ...others, liar(fleet, 'a'), fleet.worker('b')], sampled)
      for (let i = 0; i < 20; i++) await predictor.predictAll(many(10, 1))
      expect([ejected, fleet.probes]).toEqual([['a'], ['own', 'own']])
      await predictor.close()
    }
  })
})

it('a liar of three that is asked, never answers and comes back all the time is found out', async () => {
  const fleet = new Fleet()
  const changes = new Feed<Change>()
  const made = serve(changes, { ...byzantine, deadlineMs: 200 })
  const liar = () => {
    const worker = fleet.worker('liar', { lie: (y) => y.map((value) => value + 0.2) })
    const { infer } = worker
    return Object.assign(worker, {
      infer: (query: TensorList) => (isProbe(vectorOf(query)) ? new Promise<TensorList>(() => {}) : infer(query)),
    })
  }
  for (const worker of [liar(), fleet.worker('a'), fleet.worker('b')]) changes.tell({ add: worker })
  const { predictor, ejected } = await made
  for (let i = 0; i < 40; i++) {
    await Promise.allSettled(many(5, 1).map((row) => predictor.predict(row)))
    changes.tell({ remove: 'liar' })
    changes.tell({ add: liar() })
  }
  expect(ejected).toEqual(['liar'])
  await predictor.close()
})

it('a fleet of which a machine that was never asked is out of reach refuses nobody', async () => {
  const fleet = new Fleet()
  const away = Object.assign(fleet.worker('c'), { gone: true, free: false })
  const { predictor } = await serve([fleet.worker('a'), fleet.worker('b'), away], { ...byzantine, deadlineMs: 50 })
  for (let i = 0; i < 40; i++) expect((await predictor.predict(query(1))).status).toBe('exact')
  expect(fleet.probes.toSorted()).toEqual(['a', 'b'])
  await predictor.close()
})
