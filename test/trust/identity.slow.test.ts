/** A worker is who it says it is, whatever object stands for it and however often it leaves and comes back. */

import { type Change, createPredictor, type ModelWorker, type Prediction } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { liars } from '../shared/heard-events'
import { inferring } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

const truth = (row: Float32Array) => Float32Array.of(Math.sin(3 * row[0]) + row[1], Math.cos(2 * row[1]) - row[0])
const lie = (row: Float32Array) => Float32Array.of(truth(row)[1] + 1, truth(row)[0])

/** Answers in simulated time. */
class Machine implements ModelWorker {
  readonly signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
  onFree: (() => void) | undefined
  free = true

  constructor(
    readonly name: string,
    readonly clock: VirtualClock,
    readonly ms: () => number,
    readonly answer: (row: Float32Array) => Float32Array,
    readonly identity?: string,
  ) {}

  infer(query: TensorList): Promise<TensorList> {
    this.free = false
    return new Promise((resolve) => {
      this.clock.after(this.ms(), () => {
        this.free = true
        resolve(inferring(this.answer)(query))
      })
    })
  }

  async close() {}
}

interface Told {
  exact: number
  /** Of these, answers that are not the model's own. */
  wrong: number
  ejected: string[]
}

/** Queries, one every 20 ms, through workers that a feed tells of. */
async function ask(queries: number, seed: number, clock: VirtualClock, workers: AsyncIterable<Change>): Promise<Told> {
  const random = seeded(seed)
  const ejected = new Set<string>()
  const predictor = await createPredictor({
    scheme: { queries: 1, byzantine: 1 },
    memory: false, // every answer is proven
    workers,
    testing: { clock, seed },
    onWarning: () => {},
    onEvent: liars(({ worker }) => ejected.add(worker)),
  })
  const told: Told = { exact: 0, wrong: 0, ejected: [] }
  const hear = (row: Float32Array, { status, output }: Prediction) => {
    if (status !== 'exact') return
    told.exact++
    const own = truth(row)
    if (Math.hypot(own[0] - output.y.data[0], own[1] - output.y.data[1]) > 0.01) told.wrong++
  }
  for (let i = 0; i < queries; i++) {
    const row = Float32Array.of(random.gauss(), random.gauss())
    clock.after(20 * i, () => void predictor.predict(row).then((prediction) => hear(row, prediction)))
  }
  await clock.run()
  await predictor.close()
  return { ...told, ejected: [...ejected] }
}

/** Answers of the first one before it begins to lie: by then all others are known to be slower than one that has just come. */
const HONEST = 20

/** Five machines of which the first lies, quickly, and now and then leaves when it has answered, to come back at once. */
function rejoining(queries: number, seed: number, share: number, how: 'drain' | 'remove'): Promise<Told> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const feed = new Feed()
  let answers = 0
  const liar = (): Machine =>
    new Machine(
      'w0',
      clock,
      () => 1,
      (row) => {
        const comeBack = () => feed.tell({ [how]: 'w0' } as Change, { add: liar() })
        if (++answers <= HONEST) return truth(row)
        if (random.next() < share) clock.after(0, comeBack)
        return lie(row)
      },
    )
  const honest = (name: string) => new Machine(name, clock, () => 4 + 2 * random.next(), truth)
  feed.tell(...[liar(), ...['w1', 'w2', 'w3', 'w4'].map(honest)].map((add) => ({ add })))
  return ask(queries, seed, clock, feed)
}

const cases = [1, 0.5, 0.02].flatMap((share) => (['drain', 'remove'] as const).map((how) => ({ share, how })))

describe('a liar that leaves and comes back under its own name', () => {
  it.each(cases)('is one liar, not two, and takes no honest worker with it: $share, $how', async ({ share, how }) => {
    expect(await rejoining(5000, 1, share, how)).toEqual({ exact: 5000, wrong: 0, ejected: ['w0'] })
  })
})

describe('two workers of one machine', () => {
  /** Five machines of two workers each; the first one lies. */
  const machines = (clock: VirtualClock, identity: (name: string) => string | undefined) => {
    const random = seeded(1)
    const ms = (name: string) => () => (name === 'a' ? 1 : 4) + random.next()
    const workers = ['a', 'b', 'c', 'd', 'e'].flatMap((name) =>
      [1, 2].map((i) => new Machine(`${name}${i}`, clock, ms(name), name === 'a' ? lie : truth, identity(name))),
    )
    const feed = new Feed()
    feed.tell(...workers.map((add) => ({ add })))
    return feed
  }

  it('have one vote, and are ejected together', async () => {
    const clock = new VirtualClock()
    const { exact, wrong, ejected } = await ask(
      500,
      1,
      clock,
      machines(clock, (name) => name),
    )
    expect({ exact, wrong, ejected }).toEqual({ exact: 500, wrong: 0, ejected: [expect.stringMatching(/^a[12]$/)] })
  })

  it('where they say that they are two machines, two may lie alike: the test above can fail', async () => {
    const clock = new VirtualClock()
    const { wrong } = await ask(
      500,
      1,
      clock,
      machines(clock, () => undefined),
    )
    expect(wrong).toBeGreaterThan(100)
  })
})
