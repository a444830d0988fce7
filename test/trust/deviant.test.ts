/** A worker whose answers are off by more than rounding and less than a lie: what it costs, and who cannot be made to look like one. */

import { createPredictor, type ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import type { TensorList, TensorSpec } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { findingOf } from '../../src/trust/equality'
import { Evidence } from '../../src/trust/evidence'
import { verdicts } from '../shared/heard-events'
import { inferring, payloadOf } from '../shared/vectors'

const CLASSES = 10
const model = (row: Float32Array) =>
  Float32Array.from({ length: CLASSES }, (_, i) => 3 + 0.5 * (Math.sin(3 * row[0] + i) + Math.cos((i + 1) * row[1])))

/** Answers in about 10 ms of made time, each value times 1 + `off`, and rounded. */
class Machine implements ModelWorker {
  readonly signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'logits', shape: [CLASSES] }] }
  readonly scales = [3]
  readonly name: string
  readonly #random
  onFree: (() => void) | undefined
  free = true
  heard = 0

  constructor(
    index: number,
    readonly clock: VirtualClock,
    readonly off: () => number,
  ) {
    this.name = `w${index}`
    this.#random = seeded(index + 1)
  }

  infer(query: TensorList): Promise<TensorList> {
    this.free = false
    this.heard++
    const off = this.off()
    const answer = inferring((row) => model(row).map((value) => value * (1 + off) + 1e-6 * this.#random.gauss()))
    return new Promise((resolve) => {
      this.clock.after(9 + 2 * this.#random.next(), () => {
        this.free = true
        resolve(answer(query))
      })
    })
  }

  async close() {}
}

/** Queries, one every 5 ms, of which two workers have to agree. @returns inferences a query in the second half, and what was told of whom */
async function stream(seed: number, queries: number, off: readonly (() => number)[]) {
  const [clock, random] = [new VirtualClock(), seeded(seed)]
  const workers = off.map((each, i) => new Machine(i, clock, each))
  const judged: string[] = []
  const warnings: string[] = []
  const predictor = await createPredictor({
    ...{ workers, scheme: { queries: 1, byzantine: 1 }, right: 'label', memory: false, testing: { clock, seed } },
    onWarning: (text) => warnings.push(text),
    onEvent: verdicts(({ worker, kind }) => judged.push(`${worker} ${kind}`)),
  })
  const heard = () => workers.reduce((sum, each) => sum + each.heard, 0)
  const half = async () => {
    const before = heard()
    for (let i = 0; i < queries / 2; i++) {
      clock.after(5 * i, () => void predictor.predict(Float32Array.of(random.gauss(), random.gauss())))
    }
    await clock.run()
    return (heard() - before) / (queries / 2)
  }
  await half()
  const inferences = await half()
  const { workers: told, exact } = predictor.stats()
  await predictor.close()
  expect(exact).toBe(queries)
  return { inferences, verdicts: judged, warnings, lies: told.reduce((sum, { lies }) => sum + lies, 0) }
}

const right = () => 0
const pool = (...others: (() => number)[]) => [...others, ...Array.from({ length: 9 - others.length }, () => right)]

describe('a bias that is no lie, with E = 1', () => {
  it.each([
    { count: 1, percent: 0.15 },
    { count: 2, percent: 0.08 },
  ])(
    'of $count in 9 workers, $percent per cent, costs a third inference for a while, not for ever',
    async ({ count, percent }) => {
      const biased = Array.from({ length: count }, (_, i) => () => (percent / 100) * (i % 2 ? -1 : 1))
      const { inferences, verdicts, warnings, lies } = await stream(1, 1200, pool(...biased))
      expect(verdicts.sort()).toEqual(biased.map((_, i) => `w${i} deviant`))
      expect([lies, warnings.length, warnings.every((text) => /unlike the others/.test(text))]).toEqual([
        0,
        count,
        true,
      ])
      expect(inferences).toBeLessThan(2.2)
    },
  )

  it('in four answers of ten is found as well', async () => {
    const random = seeded(4)
    const { verdicts } = await stream(
      2,
      1600,
      pool(() => (random.next() < 0.4 ? 0.0015 : 0)),
    )
    expect(verdicts[0]).toBe('w0 deviant')
  })

  it('that ends is forgiven: after twenty answers like the others’ it has queries again', async () => {
    let left = 60
    const { verdicts, inferences } = await stream(
      3,
      1200,
      pool(() => (left-- > 0 ? 0.0015 : 0)),
    )
    expect(verdicts).toEqual(['w0 deviant', 'w0 readmitted'])
    expect(inferences).toBeLessThan(2.1)
  })
})

it('honest runtimes that round alike all the time, up to the tolerance, are never passed over', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const off = Array.from({ length: 9 }, (_, i) => () => ((i % 3) - 1) * 3.5e-5)
    const random = seeded(seed)
    const noisy = Array.from({ length: 9 }, () => () => 3e-5 * random.gauss()) // two in a hundred pairs differ
    expect((await stream(seed, 600, seed % 2 ? off : noisy)).verdicts).toEqual([])
  }
})

it('a liar between two runtimes cannot have an honest one stand apart', () => {
  const outputs: TensorSpec[] = [{ name: 'y', shape: [2] }]
  const equality = { criterion: criterionOf(outputs), outputs, rounding: 0.01, scales: [1] }
  const of = (value: number) => payloadOf(Float32Array.of(value, -value))
  const [one, liar, other] = [of(1), of(0.992), of(1.008)]
  expect(findingOf(liar, [one, one], equality)).toBe('right')
  expect(findingOf(other, [liar, one], equality)).toBe('unclear') // it is too far from the first alone
  expect(findingOf(of(1.05), [liar, one], equality)).toBe('deviant')
  expect(findingOf(of(2), [liar, one], equality)).toBe('lie')
})

describe('what is known of one whose answers deviate', () => {
  const deviant = () => {
    const evidence = new Evidence()
    let count = 1
    while (!evidence.deviated('odd')) count++
    evidence.passOver('odd')
    return { evidence, count }
  }

  it('adds up, unless most of its answers are like the others’', () => {
    expect(deviant().count).toBe(9)
    const evidence = new Evidence()
    const random = seeded(1)
    for (let i = 0; i < 300_000; i++) {
      if (random.next() < 0.1) expect(evidence.deviated('honest')).toBe(false)
      else evidence.proven('honest')
    }
  })

  it('is kept when it leaves, and with a saved state', () => {
    const { evidence } = deviant()
    evidence.leave('odd')
    const again = new Evidence()
    again.load(JSON.parse(JSON.stringify(evidence.save())))
    expect([evidence, again].map((each) => each.isTrusted('odd'))).toEqual([false, false])
  })

  it('is no verdict of lying: a lie is one yet, and what is right must come in a row', () => {
    const { evidence } = deviant()
    for (let i = 0; i < 19; i++) evidence.proven('odd')
    expect(evidence.deviated('odd')).toBe(false)
    expect(evidence.of('odd')).toMatchObject({ rightAnswersLeft: 20, ejections: 0, lies: 0, deviating: 10 })
    expect([evidence.lied('odd'), evidence.lied('odd')]).toEqual([true, false])
    expect(evidence.of('odd')).toMatchObject({ rightAnswersLeft: 20, ejections: 1, deviation: 0 })
    const isBack = Array.from({ length: 20 }, () => evidence.proven('odd'))
    expect([isBack.indexOf(true), evidence.isTrusted('odd')]).toEqual([19, true])
  })
})
