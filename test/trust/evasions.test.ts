/** Ways to lie that were not seen: by shape, by length, in rows that are no query, in time; each with what is found. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import type { Signature, TensorList } from '../../src/base/tensor'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { Change, ModelWorker } from '../../src/workers/worker'
import { recalls, together, verdicts } from '../shared/heard-events'

type Infer = (query: TensorList) => TensorList | Error
const pair: Signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const twice: Infer = ([{ data, shape }]) => [{ data: (data as Float32Array).map((x) => 2 * x), shape: [...shape] }]
const wrong: Infer = ([{ data }]) => [{ data: Float32Array.of(2 * Number(data[0]) + 1000, 2 * Number(data[1]) - 1000), shape: [2] }] // biome-ignore format: one line

interface Made extends Partial<Pick<ModelWorker, 'trusted' | 'identity' | 'fingerprint'>> {
  signature?: Signature
  infer?: Infer
  ms?: () => number
}

/** A worker in made time. */
function workerOf(
  name: string,
  clock: VirtualClock,
  { infer = twice, ms = () => 10, signature = pair, ...rest }: Made = {},
): ModelWorker {
  const worker: { -readonly [K in keyof ModelWorker]: ModelWorker[K] } = {
    ...{ name, signature, free: true, onFree: undefined, scales: [], ...rest },
    infer(query) {
      worker.free = false
      const own = query.map((tensor) => ({ ...tensor, data: tensor.data.slice() })) as TensorList
      return new Promise((resolve, reject) => {
        clock.after(ms(), () => {
          const answer = infer(own)
          worker.free = true
          if (answer instanceof Error) reject(answer)
          else resolve(answer)
          worker.onFree?.()
        })
      })
    },
    async close() {},
  }
  return worker
}

/** A predictor, who was convicted, and which of the answers were recalled. */
async function house(clock: VirtualClock, random: { next(): number }, options: PredictorOptions) {
  const convicted: { name: string; at: number }[] = []
  const recalled = new Set<number>()
  const predictor = await createPredictor({
    ...{ memory: false, right: 'label', onWarning() {}, testing: { clock, coin: random.next } },
    onEvent: together(
      verdicts(({ worker }) => convicted.push({ name: worker, at: clock.now() })),
      recalls(({ ids }) => ids.forEach((id) => void recalled.add(id))),
    ),
    ...options,
  })
  return { predictor, convicted, recalled }
}

describe.each<[string, Partial<PredictorOptions>]>([
  ['byzantine', { scheme: { queries: 1, byzantine: 1 } }],
  ['sampled', { verify: { mode: 'sampled' } }],
])('%s', (mode, options) => {
  it('who turns the shape of an answer round is found', async () => {
    const [clock, random] = [new VirtualClock(), seeded(1)]
    const signature: Signature = { inputs: [{ name: 'x', shape: [-1, -1] }], outputs: [{ name: 'y', shape: [-1, -1] }] }
    const turned: Infer = (query) => (twice(query) as TensorList).map(({ data, shape }) => ({ data, shape: [...shape].reverse() })) as TensorList // biome-ignore format: one line
    const workers = ['own', 'a', 'b', 'c', 'liar'].map(
      (name) =>
      workerOf(name, clock, { signature, ms: () => 5 + 10 * random.next(), trusted: mode === 'sampled' && name === 'own', ...(name === 'liar' && { infer: turned }) }), // biome-ignore format: one line
    )
    const { predictor, convicted } = await house(clock, random, { workers, ...options, right: undefined })
    let given = 0
    for (let i = 0; i < 600; i++) {
      const data = Float32Array.from({ length: 15 }, () => random.next())
      void predictor.predict({ data, shape: [3, 5] }).then(({ output, status }) => {
        given += Number(String(output.y.shape) !== '3,5' && (status === 'exact' || i > 500))
      }, () => {}) // biome-ignore format: one line
      await clock.run(clock.now() + 8)
    }
    await clock.run(clock.now() + 1000)
    expect([given, convicted.map(({ name }) => name)]).toEqual([0, ['liar']])
    await predictor.close()
  })

  it('one machine of many names does not take over from all others with a model of its own', async () => {
    const [clock, random] = [new VirtualClock(), seeded(2)]
    const made = { ms: () => 5 + 10 * random.next(), fingerprint: 'A' }
    const honest = ['own', 'a', 'b', 'c'].map((name) => workerOf(name, clock, { ...made, trusted: mode === 'sampled' && name === 'own' })) // biome-ignore format: one line
    const evil = Array.from({ length: 8 }, (_, i) => workerOf(`evil ${i}`, clock, { ...made, fingerprint: 'B', identity: 'one', infer: wrong })) // biome-ignore format: one line
    async function* changes(): AsyncGenerator<Change> {
      for (const add of [...honest, ...evil]) yield { add }
      await new Promise(() => {})
    }
    const { predictor } = await house(clock, random, { workers: changes(), rollout: {}, ...options })
    await clock.run(1000)
    expect(predictor.modelVersions().map(({ id, state, workers }) => [id, state, workers])).toEqual([
      ['A', 'serving', 4],
      ['B', 'gathering', 8],
    ])
    expect(() => predictor.promote('B')).toThrow(/expected one of >= 2 machines|one of them yours/)
    await predictor.close()
  })
})

it('sampled: who always answers that there is nothing is convicted, though lengths alone prove nothing', async () => {
  const [clock, random] = [new VirtualClock(), seeded(3)]
  const signature: Signature = { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'boxes', shape: [-1, 4] }] }
  const boxes: Infer = ([{ data }]) => [{ data: Float32Array.from([...(data as Float32Array), ...(data as Float32Array)]), shape: [2, 4] }] // biome-ignore format: one line
  const nothing: Infer = () => [{ data: new Float32Array(0), shape: [0, 4] }]
  // One of a hundred answers of an honest one lacks a box that is at the edge.
  const edgy: Infer = (query) => (random.next() < 0.01 ? [{ data: Float32Array.from(query[0].data as Float32Array), shape: [1, 4] }] : boxes(query)) // biome-ignore format: one line
  const made = { signature, ms: () => 5 + 10 * random.next() }
  const workers = [
    workerOf('own', clock, { ...made, infer: boxes, trusted: true }),
    workerOf('honest', clock, { ...made, infer: edgy }),
    workerOf('liar', clock, { ...made, infer: nothing }),
  ]
  const { predictor, convicted } = await house(clock, random, {
    workers,
    verify: { mode: 'sampled' },
    right: undefined,
  })
  for (let i = 0; i < 4000; i++) {
    predictor.predict(Float32Array.from({ length: 4 }, () => random.next())).catch(() => {})
    await clock.run(clock.now() + 5)
  }
  expect(convicted.map(({ name }) => name)).toEqual(['liar'])
  await predictor.close()
})

describe('sampled, with a code', () => {
  /** Groups of two, of which the second query is recovered where it is late. @returns wrong recoveries, of whom, and how many were never recalled */
  async function recovered(seed: number, isLie: (now: number, isAgain: boolean) => boolean, fails: number) {
    const [clock, random] = [new VirtualClock(), seeded(seed)]
    const failed = new Set<number>()
    const late = (ms: number) => () => (random.next() < 0.2 ? 100 : ms)
    const flaky: Infer = (query) => {
      if (random.next() >= fails) return twice(query)
      failed.add(Number(query[0].data[0]))
      return new Error('died')
    }
    const liar: Infer = (query) => (isLie(clock.now(), failed.has(Number(query[0].data[0]))) ? wrong : twice)(query)
    const workers = [
      workerOf('own', clock, { trusted: true, ms: () => 6 }),
      ...['a', 'b', 'c', 'd'].map((name) => workerOf(name, clock, { infer: flaky, ms: late(7) })),
      workerOf('liar', clock, { infer: liar, ms: () => 6 }),
    ]
    const { predictor, convicted, recalled } = await house(clock, random, {
      workers,
      ...{ scheme: { queries: 2, stragglers: 1 }, hedge: { budget: 0 }, verify: { mode: 'sampled', rate: 0.1 } },
    })
    const lies: { workers: string[]; id: number | undefined }[] = []
    for (let i = 0; i < 800 && !(convicted.length && clock.now() > convicted[0].at + 300); i++) {
      for (const policy of ['auto', 'recover'] as const) {
        const x = Float32Array.of(random.next(), random.next())
        predictor.predict(x, { policy }).then(({ output, status, workers, id }) => {
          const isOff = Math.abs(Number(output.y.data[0]) - 2 * x[0]) > 100
          if (status === 'recovered' && isOff) lies.push({ workers, id })
        }, () => {}) // biome-ignore format: one line
      }
      await clock.run(clock.now() + 10)
    }
    await clock.run(clock.now() + 10_000)
    await predictor.close()
    const left = lies.filter(({ id }) => id === undefined || !recalled.has(id))
    return { convicted: convicted.length, unnamed: lies.filter(({ workers }) => !workers.includes('liar')).length, left: left.length, lies: lies.length } // biome-ignore format: one line
  }

  it('no recovery that is made of a convict’s answer is left: neither given after it was convicted, nor made of its answer to a second attempt', async () => {
    let lies = 0
    for (let seed = 1; seed <= 30; seed++) {
      for (const [isLie, fails] of [
        [(now: number) => now > 1000, 0],
        [(now: number, isAgain: boolean) => now > 500 && (isAgain || now > 6000), 0.3],
      ] as const) {
        const found = await recovered(seed, isLie, fails)
        expect({ seed, fails, ...found }).toMatchObject({ convicted: 1, unnamed: 0, left: 0 })
        lies += found.lies
      }
    }
    expect(lies).toBeGreaterThan(0)
  })

  it('who lies where a row is no query, but a mix of several, is convicted', async () => {
    const [clock, random] = [new VirtualClock(), seeded(4)]
    const isMixed = (query: TensorList) => (query[0].data as Float32Array).some((x) => x !== 0 && x !== 1)
    const workers = [
      workerOf('own', clock, { trusted: true }),
      ...['a', 'b', 'c', 'd'].map((name) => workerOf(name, clock, { ms: () => (random.next() < 0.1 ? 300 : 10) })),
      workerOf('liar', clock, { infer: (query) => (isMixed(query) ? wrong : twice)(query) }),
    ]
    const verify = { mode: 'sampled', rate: 0.2 } as const
    const { predictor, convicted } = await house(clock, random, { workers, scheme: { queries: 4, stragglers: 1 }, policy: 'recover', verify }) // biome-ignore format: one line
    for (let i = 0; i < 3000 && !convicted.length; i++) {
      predictor.predict(Float32Array.of(Number(random.next() < 0.5), Number(random.next() < 0.5))).catch(() => {})
      if (i % 4 === 3) await clock.run(clock.now() + 40)
    }
    expect(convicted.map(({ name }) => name)).toEqual(['liar'])
    await predictor.close()
  })
})
