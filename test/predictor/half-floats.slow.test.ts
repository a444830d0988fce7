/** A memory of models that take and give float16 or float64: what is remembered is float32, what is given is of the model's type. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ElementType, filled, isHeldAs, realsOf, type TensorData } from '../../src/base/element'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'
import { onnx, types } from '../shared/onnx'

type Real = 'float16' | 'float64'
const KINDS: Real[] = ['float16', 'float64']

const random = seeded(3)
/** Two classes, far apart: which of two numbers is larger. */
function drawn(type: Real) {
  const larger = random.next() < 0.5 ? 0 : 1
  const values = [0, 1].map((i) => (i === larger ? 3 : 1) + 0.3 * random.gauss())
  return { larger, query: { x: { data: filled(type, 2, (i) => values[i]) as never, shape: [2] } } }
}

/** Which of two is larger, of an answer that has to be held as its type says. */
function labelOf(type: Real, { data, ...rest }: { data: TensorData; type?: ElementType }): number {
  expect([rest.type, isHeldAs(type, data)]).toEqual([type, true])
  const [a, b] = Array.from(realsOf(type, data))
  return a > b ? 0 : 1
}

/** Gives what it gets. */
class RealWorker implements ModelWorker {
  readonly signature
  readonly free = true
  onFree: (() => void) | undefined
  isLost = false
  constructor(
    readonly name: string,
    type: Real,
  ) {
    const spec = { shape: [2], type }
    this.signature = { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'logits', ...spec }] }
  }
  async infer([{ data, shape, type }]: TensorList): Promise<TensorList> {
    if (this.isLost) throw new Error('lost')
    return [{ data: data.slice() as TensorData, shape, type }]
  }
  async close() {}
}

async function predictorOf(type: Real, options: Partial<PredictorOptions> = {}) {
  const workers = [new RealWorker('a', type), new RealWorker('b', type)]
  const clock = new VirtualClock()
  const predictor = await createPredictor({ workers, policy: 'auto', right: 'label', onWarning() {}, testing: { clock }, ...options }) // biome-ignore format: one line
  onTestFinished(() => predictor.close())
  const turn = () => clock.run(clock.now() + 1)
  for (let n = 0; predictor.stats().memoryPairs < 128; n++) {
    if (n > 5000) throw new Error(`${predictor.stats().memoryPairs} are remembered`)
    await predictor.predict(drawn(type).query)
    await turn()
  }
  return { predictor, workers, turn }
}

describe.each(KINDS)('%s', (type) => {
  it('is recovered from memory when every worker is lost, and goes on from what was saved', async () => {
    const { predictor, workers, turn } = await predictorOf(type)
    expect(predictor.abilities).toMatchObject({ memory: 'vector', coding: false, why: `input 'x' is ${type}, and only float32 can be mixed` }) // biome-ignore format: one line
    for (const worker of workers) worker.isLost = true
    const { larger, query } = drawn(type)
    const asked = predictor.predict(query, { minConfidence: 0.5 })
    await turn()
    const { status, output } = await asked
    expect([status, labelOf(type, output.logits)]).toEqual(['recovered', larger])
    const state = await predictor.save()
    const again = await predictorOf(type, { memory: { state } })
    expect(again.predictor.stats().memoryPairs).toBe(predictor.stats().memoryPairs)
  })

  it('is answered before asking, within a budget of errors', async () => {
    const { predictor, turn } = await predictorOf(type, { reuse: { maxError: 0.05 } })
    const counts = { exact: 0, remembered: 0, wrong: 0 }
    for (let n = 0; n < 800; n++) {
      const { larger, query } = drawn(type)
      const { status, output } = await predictor.predict(query)
      counts[status as 'exact']++
      if (labelOf(type, output.logits) !== larger) counts.wrong++
      await turn()
    }
    expect(counts.remembered).toBeGreaterThan(100)
    expect(counts.wrong).toBeLessThan(20 + 0.05 * 800)
  })

  it('a query or an answer that is not finite is the model’s business, is not remembered and spoils nothing', async () => {
    const { predictor, workers, turn } = await predictorOf(type)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const data = filled(type, 2, () => value)
      const { status, output } = await predictor.predict({ x: { data: data as never, shape: [2] } })
      expect([status, ...Array.from(realsOf(type, output.logits.data))]).toEqual(['exact', value, value])
      await turn()
    }
    expect(predictor.stats()).toMatchObject({ failed: {}, workers: [{ failed: 0 }, { failed: 0 }] })
    for (const worker of workers) worker.isLost = true
    const { larger, query } = drawn(type)
    const asked = predictor.predict(query, { minConfidence: 0.5 })
    await turn()
    const { output } = await asked
    expect(labelOf(type, output.logits)).toBe(larger)
  })
})

it('float16 that ONNX Runtime answered in threads is answered before asking, in float16', async () => {
  const type = types.float16
  const model = onnx(
    [{ name: 'x', shape: ['N', 2], type }],
    [{ name: 'probabilities', shape: ['N', 2], type }],
    [
      { op: 'Cast', inputs: ['x'], outputs: ['wide'], ints: { to: types.float32 } },
      { op: 'Softmax', inputs: ['wide'], outputs: ['p'], ints: { axis: 1 } },
      { op: 'Cast', inputs: ['p'], outputs: ['probabilities'], ints: { to: type } },
    ],
  )
  const predictor = await createPredictor({ model, workers: 1, reuse: { maxError: 0.05 } })
  onTestFinished(() => predictor.close())
  const counts = { exact: 0, remembered: 0, wrong: 0 }
  for (let n = 0; n < 5000 && counts.remembered < 200; n++) {
    const { larger, query } = drawn('float16')
    const { status, output } = await predictor.predict(query)
    counts[status as 'exact']++
    if (labelOf('float16', output.probabilities) !== larger) counts.wrong++
  }
  expect(counts.remembered).toBe(200)
  expect(counts.wrong).toBeLessThan(20 + 0.05 * (counts.exact + counts.remembered))
})
