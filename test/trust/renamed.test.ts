/** A liar is convicted after its name has changed: what it said under the earlier one is neither served nor remembered. */

import { createPredictor, type ModelWorker, type Prediction, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { liars } from '../shared/heard-events'
import { truth } from '../shared/lying-answers'
import { inferring } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

const POPULAR = 40

/** Answers in 5 ms of made time; its identity is a key, whatever it is called. */
class Machine implements ModelWorker {
  readonly signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
  readonly scales = [1]
  readonly identity: string
  onFree: (() => void) | undefined
  free = true
  /** Queries that it answered. */
  heard = 0

  constructor(
    readonly name: string,
    readonly clock: VirtualClock,
    readonly owner = name,
  ) {
    this.identity = `key of ${owner}`
  }

  infer(query: TensorList): Promise<TensorList> {
    this.free = false
    const answer = inferring((row) => (this.owner === 'liar' ? truth(row).map((value) => value + 1) : truth(row)))
    return new Promise((resolve) => {
      this.clock.after(5, () => {
        this.heard++
        this.free = true
        resolve(answer(query))
      })
    })
  }

  async close() {}
}

async function fleet(first: readonly Machine[], clock: VirtualClock, options: PredictorOptions) {
  const feed = new Feed()
  const ejected: string[] = []
  feed.tell(...first.map((worker) => ({ add: worker })))
  const predictor = await createPredictor({
    workers: feed,
    right: 'label',
    testing: { clock, seed: 1, coin: () => 1 },
    onWarning: () => {},
    onEvent: liars(({ identity }) => ejected.push(identity)),
    ...options,
  })
  const ask = async (row: Float32Array): Promise<Prediction> => {
    const given = predictor.predict(row)
    await clock.run(clock.now() + 50)
    return given
  }
  const tell = async (...changes: Parameters<typeof feed.tell>) => {
    feed.tell(...changes)
    await clock.run(clock.now() + 1)
  }
  return { predictor, ejected, ask, tell }
}

const rows = (count: number, seed: number) => {
  const random = seeded(seed)
  return Array.from({ length: count }, () => Float32Array.of(random.gauss(), random.gauss()))
}

const isWrong = (row: Float32Array, { output }: Prediction) => {
  const own = truth(row)
  return output.y.data.some((value, i) => Math.abs(value - own[i]) > 0.01)
}

describe('a liar that is convicted under a name of later', () => {
  it('has none of its answers of before served to equal queries', async () => {
    const clock = new VirtualClock()
    const liar = new Machine('first', clock, 'liar')
    // Of two nobody can say which one lies.
    const options = { reuse: { exact: true }, verify: { audit: 1 }, memory: false } as const
    const { predictor, ejected, ask, tell } = await fleet([liar, new Machine('a', clock)], clock, options)
    const popular = rows(POPULAR, 1)
    let wrong = 0
    for (const row of popular) wrong += Number(isWrong(row, await ask(row)))
    expect(wrong).toBeGreaterThan(POPULAR / 4)
    const others = [new Machine('b', clock), new Machine('c', clock)]
    const joining = [new Machine('second', clock, 'liar'), ...others].map((worker) => ({ add: worker }))
    await tell({ remove: 'first' }, ...joining)
    for (const row of rows(20, 2)) await ask(row)
    expect(ejected).toEqual(['key of liar'])
    wrong = 0
    for (const row of popular) wrong += Number(isWrong(row, await ask(row)))
    expect(wrong).toBe(0)
    await predictor.close()
  })

  it('has taught nothing that is remembered, also where that was learned before a restart', async () => {
    const clock = new VirtualClock()
    const liar = new Machine('first', clock, 'liar')
    const options = { policy: 'auto', verify: { audit: 1 } } as const
    const before = await fleet([liar, new Machine('a', clock)], clock, options)
    for (const row of rows(200, 1)) await before.ask(row)
    expect([liar.heard > 50, before.predictor.stats().memoryPairs > 100]).toEqual([true, true])
    const state = await before.predictor.save()
    await before.predictor.close()
    const again = new Machine('second', clock, 'liar')
    const others = ['a', 'b', 'c'].map((name) => new Machine(name, clock))
    const { predictor, ejected, ask } = await fleet([again, ...others], clock, { ...options, memory: { state } })
    const remembered = predictor.stats().memoryPairs
    while (!ejected.length) await ask(rows(1, again.heard)[0])
    await clock.run(clock.now() + 200) // it is taken out in steps
    expect(remembered - predictor.stats().memoryPairs).toBeGreaterThan(0.8 * liar.heard)
    await predictor.close()
  })
})
