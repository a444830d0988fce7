/** One machine may lend any number of workers that never answer: what it holds up goes by the machine, not by its names. */

import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { aborted, abortOf, onAbort } from '../../src/base/abort'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { doubling } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** A worker that announced itself, as one on NATS does: its machine proves a key. */
class Announced implements ModelWorker {
  readonly signature = signature
  readonly signed = true
  readonly scales = []
  onFree: (() => void) | undefined
  calls = 0
  #open = 0

  constructor(
    readonly name: string,
    readonly identity: string,
    readonly slots: number,
    readonly infers: (query: TensorList) => Promise<TensorList>,
    readonly interruptible?: boolean,
  ) {}

  get free() {
    return this.#open < this.slots
  }

  infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    this.calls++
    this.#open++
    const abort = abortOf(options)
    const stopped = new Promise<never>((_, reject) => onAbort(abort, () => abort && reject(aborted(abort))))
    const end = () => {
      this.#open--
      this.onFree?.()
    }
    const answer = Promise.race([this.infers(query), stopped])
    answer.then(end, end)
    return answer
  }

  async close() {}
}

const never = () => new Promise<never>(() => {})

interface Fleet {
  honest: number
  /** Names of the silent machine. */
  names: number
  slots?: number
  queries: number
  /** Share of the honest workers' time. */
  load?: number
  interruptible?: boolean
  /** Whether the silent one's names leave, and others come, while queries are under way. */
  rejoins?: boolean
  options?: Partial<PredictorOptions>
}

async function lent({ honest, names, slots = 1, queries, load = 0.5, interruptible, rejoins, options }: Fleet) {
  const clock = new VirtualClock()
  const random = seeded(7)
  const well = (query: TensorList) =>
    new Promise<TensorList>((resolve) => clock.after(5 + 10 * random.next(), () => resolve(doubling(query))))
  const feed = new Feed()
  const silent = Array.from({ length: names }, (_, i) => new Announced(`s${i}`, 'silent', slots, never, interruptible))
  for (let i = 0; i < honest; i++) feed.tell({ add: new Announced(`h${i}`, `machine ${i}`, 1, well) })
  const first = rejoins ? silent.slice(0, 10) : silent
  for (const worker of first) feed.tell({ add: worker })
  const predictor = await createPredictor({
    workers: feed,
    deadlineMs: 2000,
    onWarning: () => {},
    testing: { clock },
    ...options,
  })
  const outcomes: string[] = []
  await clock.run(1000)
  const everyMs = 10 / honest / load
  for (let i = 0; i < queries; i++) {
    clock.after(i * everyMs, () => {
      predictor.predict(Float32Array.of(i, 1)).then(
        () => outcomes.push('answered'),
        ({ code }) => outcomes.push(code),
      )
      const next = rejoins ? silent[10 + i] : undefined
      if (next) feed.tell({ drain: silent[i].name }, { add: next })
    })
  }
  await clock.run(clock.now() + queries * everyMs + 3000)
  await predictor.close()
  const answered = outcomes.filter((outcome) => outcome === 'answered').length
  const asked = silent.reduce((sum, { calls }) => sum + calls, 0)
  return { queries: outcomes.length, lost: queries - answered, asked }
}

it.each([
  ['100 silent names beside nine machines', { honest: 9, names: 100, queries: 1000 }],
  ['500 beside five', { honest: 5, names: 500, queries: 1000 }],
  ['500 beside five, forty queries', { honest: 5, names: 500, queries: 40 }],
  ['one name that announces 1,000 slots', { honest: 9, names: 1, slots: 1000, queries: 1000 }],
  ['100 that an abort frees', { honest: 9, names: 100, interruptible: true, queries: 1000 }],
  ['1,000 that come and go', { honest: 9, names: 1000, interruptible: true, rejoins: true, queries: 900 }],
  ['100, where all else is at work', { honest: 9, names: 100, interruptible: true, load: 0.9, queries: 1000 }],
  ['10,000 beside nine', { honest: 9, names: 10_000, queries: 1000 }],
] satisfies [string, Fleet][])('one machine lends %s: at most one query in a hundred is lost', async (_, fleet) => {
  const { queries, lost, asked } = await lent(fleet)
  expect(queries).toBe(fleet.queries)
  expect({ lost, asked }).toEqual({
    lost: expect.toSatisfy((n) => n <= 0.01 * queries),
    asked: expect.toSatisfy((n) => n <= 20),
  })
})
