/** A predictor on local workers: real ONNX models in real threads or Web Workers. */

import { createPredictor, localWorkers, type ModelWorker, type PredictorOptions } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { accuracy, type Digits, digits } from '../shared/digits'
import { onnx, types } from '../shared/onnx'
import { LENET, modelFile } from './here'

/** In WebKit, and on a busy machine, a worker takes seconds to start. */
const startMs = 240_000
/** Queries after which hedges know what is late. */
const WARM_UP = 24
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

describe('LeNet on five workers', () => {
  let five: ModelWorker[] = []
  let data: Digits
  let logits: number[][]
  beforeAll(async () => {
    five = await localWorkers({ model: LENET, workers: 5, startMs })
    data = digits(await modelFile('mnist-digits.npy'), await modelFile('mnist-labels.npy'))
    logits = []
    for (const image of data.images.slice(0, 8)) {
      const [{ data }] = await five[0].infer([{ data: image, shape: [1, 28, 28] }])
      logits.push([...(data as Float32Array)])
    }
  }, startMs)
  afterAll(() => Promise.all(five.map((worker) => worker.close())))

  type Faults = ConstructorParameters<typeof FaultyWorker>[1]
  /**
   * A predictor on the first workers, as many as there are faults, which begin when the predictor knows how long an answer takes. Closing
   * it leaves the workers for the next test.
   */
  async function predictorWith(faults: Faults[], options: PredictorOptions = {}) {
    const workers = faults.map((_, i) => new FaultyWorker(kept(five[i]), {}, i))
    const predictor = await createPredictor({ workers, onWarning() {}, ...options })
    ends.push(() => predictor.close())
    if (faults.some((own) => Object.keys(own).length))
      await predictor.predictAll(images(WARM_UP), { deadlineMs: startMs })
    for (const [i, own] of faults.entries()) workers[i].faults = own
    return predictor
  }
  const images = (count: number) => data.images.slice(0, count)
  const valuesOf = (answers: { output: Record<string, { data: ArrayLike<unknown> }> }[]) =>
    answers.map(({ output }) => Array.from(output.logits.data))

  it('the bundled model reads real digits, and every answer is the model’s own', async () => {
    const predictor = await predictorWith([{}, {}])
    const answers = await predictor.predictAll(images(80))
    expect(accuracy(answers, data.labels)).toBeGreaterThan(0.95)
    expect(valuesOf(answers.slice(0, 8))).toEqual(logits)
    expect(new Set(answers.map(({ status, confidence }) => `${status} ${confidence}`))).toEqual(new Set(['exact 1']))
  })

  it('an answer names its worker, its outputs and its times', async () => {
    const predictor = await predictorWith([{}])
    const { output, workers, ranMs, queuedMs, hedged } = await predictor.predict(data.images[0])
    expect([Object.keys(output), [...output.logits.shape], workers]).toEqual([['logits'], [10], [five[0].name]])
    expect([ranMs >= 0, queuedMs >= 0, hedged]).toEqual([true, true, false])
  })

  it('predictAll keeps the order, also of more queries than limits.queries', async () => {
    const predictor = await predictorWith([{}, {}], { limits: { queries: 3 } })
    expect(valuesOf(await predictor.predictAll(images(8)))).toEqual(logits)
    expect(await predictor.predictAll([])).toEqual([])
  })

  it('a straggler of ten seconds delays no query for so long', async () => {
    const predictor = await predictorWith([{}, {}, { delayMs: 10_000 }], { deadlineMs: 60_000 })
    const before = performance.now()
    expect(valuesOf(await predictor.predictAll(images(8)))).toEqual(logits)
    expect(performance.now() - before).toBeLessThan(10_000)
  })

  it('a worker that hangs costs no answer', async () => {
    const predictor = await predictorWith([{}, {}, { hang: 1 }])
    expect(valuesOf(await predictor.predictAll(images(8)))).toEqual(logits)
  })

  it('a worker that crashes costs no answer', async () => {
    const predictor = await predictorWith([{}, {}, { crash: 1 }])
    expect(valuesOf(await predictor.predictAll(images(8)))).toEqual(logits)
  })

  it('a worker that answers NaN costs no answer', async () => {
    const predictor = await predictorWith([{}, {}, { garbage: 1 }])
    expect(valuesOf(await predictor.predictAll(images(8)))).toEqual(logits)
  })

  it('a liar is found, and no answer of its is given', async () => {
    const predictor = await predictorWith([{}, {}, {}, { lie: 1, attack: 'gauss:30' }, {}], {
      scheme: { queries: 4, byzantine: 1 },
    })
    const answers = await predictor.predictAll(images(80))
    expect(accuracy(answers, data.labels)).toBeGreaterThan(0.95)
    const ejected = predictor.stats().workers.filter(({ ejections }) => ejections)
    expect(ejected.map(({ worker }) => worker)).toEqual([five[3].name])
  })

  it('four coded queries on five workers, one of which hangs: all are answered', async () => {
    const hung = [{}, {}, { hang: 1 }, {}, {}]
    const predictor = await predictorWith(hung, { scheme: { queries: 4, stragglers: 1 }, deadlineMs: 60_000 })
    expect(accuracy(await predictor.predictAll(images(40)), data.labels)).toBeGreaterThan(0.8)
    expect(predictor.stats().core).toBe('wasm')
  })

  it('the paper’s code recovers what a hung worker owes', async () => {
    const hung = [{}, {}, { hang: 1 }, {}, {}]
    const predictor = await predictorWith(hung, { scheme: { queries: 4, stragglers: 1, preset: 'aaai22' } })
    const answers = await predictor.predictAll(images(4))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['recovered']))
  })

  it('where all crash, the error is WORKER', async () => {
    const predictor = await predictorWith([{ crash: 1 }])
    // Two start again before the query is blamed: in WebKit, beside busy processes, more than ten seconds.
    const query = predictor.predict(data.images[0], { deadlineMs: 120_000 })
    await expect(query).rejects.toMatchObject({ name: 'ApproxiferError', code: 'WORKER' })
  })

  it('where all hang, a query fails by its deadline', async () => {
    const predictor = await predictorWith([{ hang: 1 }])
    await expect(predictor.predict(data.images[0], { deadlineMs: 100 })).rejects.toMatchObject({ code: 'DEADLINE' })
  })

  it('an abort ends a query before it is sent and while it runs', async () => {
    const predictor = await predictorWith([{ hang: 1 }])
    const abort = new AbortController()
    const open = predictor.predict(data.images[0], { signal: abort.signal })
    abort.abort()
    const late = predictor.predict(data.images[0], { signal: abort.signal })
    for (const query of [open, late]) await expect(query).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError' })
  })

  it('more queries than limits.queries are refused', async () => {
    const predictor = await predictorWith([{ hang: 1 }], { limits: { queries: 1 } })
    const open = predictor.predict(data.images[0])
    await expect(predictor.predict(data.images[1])).rejects.toMatchObject({ code: 'OVERLOADED' })
    await predictor.close()
    await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('close may be called twice, and a later query fails with CLOSED', async () => {
    const predictor = await predictorWith([{}])
    await Promise.all([predictor.close(), predictor.close()])
    await expect(predictor.predict(data.images[0])).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('a query of the wrong length, type or name is refused with what was expected', async () => {
    const predictor = await predictorWith([{}])
    for (const [query, text] of [
      [new Float32Array(3), /expected .*784.*got .*3/],
      [new Float64Array(784), /expected .*Float32Array.*got/],
      [{ image: new Float32Array(784) }, /expected .*input/],
    ] as const) {
      await expect(predictor.predict(query as never)).rejects.toThrow(text)
    }
  })

  it('a misspelt option is refused with the right name', async () => {
    const misspelt = createPredictor({ workers: [kept(five[0])], deadlineMS: 1 } as never)
    await expect(misspelt).rejects.toThrow("expected 'deadlineMs', got an unknown option")
  })

  it('the caller’s query is neither detached nor changed', async () => {
    const predictor = await predictorWith([{}, {}])
    const image = data.images[0].slice()
    await Promise.all([predictor.predict(image), predictor.predict(image)])
    expect(image).toEqual(data.images[0])
  })

  it('equal queries are answered by one inference, where reuse.exact is on', async () => {
    const predictor = await predictorWith([{}], { reuse: { exact: true } })
    const answers = await Promise.all(Array.from({ length: 5 }, () => predictor.predict(data.images[0])))
    expect(valuesOf(answers)).toEqual(Array(5).fill(logits[0]))
    expect(answers.filter(({ reused }) => reused)).toHaveLength(4)
  })

  it('onEvent tells of a query from its begin to its end', async () => {
    const events: string[] = []
    const predictor = await predictorWith([{}], { onEvent: ({ event }) => events.push(event) })
    await predictor.predict(data.images[0])
    expect(events).toEqual(expect.arrayContaining(['joined', 'asked', 'began', 'answered', 'ended']))
  })

  it('stats counts answers by status and by worker', async () => {
    const predictor = await predictorWith([{}, {}])
    await predictor.predictAll(images(8))
    const { exact, workers } = predictor.stats()
    expect([exact, workers.reduce((sum, { onTime, late }) => sum + onTime + late, 0) >= 8]).toEqual([8, true])
  })
})

/** The same worker, which `close` leaves open. */
function kept(worker: ModelWorker): ModelWorker {
  const bound = (_: ModelWorker, name: keyof ModelWorker) => {
    const value = worker[name]
    return typeof value === 'function' && name !== 'onFree' ? value.bind(worker) : value
  }
  const target = { close: async () => {} } as unknown as ModelWorker
  return new Proxy(target, {
    get: (own, name) => (name === 'close' ? own.close : bound(worker, name as keyof ModelWorker)),
    set: (_, name, value) => Reflect.set(worker, name, value),
  })
}

describe('a model of every element type', () => {
  const examples = {
    float32: Float32Array.of(-0, 1.5, 3),
    float64: Float64Array.of(1e300, -0, 0.1),
    int8: Int8Array.of(-128, 127, 0),
    int16: Int16Array.of(-32768, 32767, 0),
    int32: Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0),
    int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n),
    uint8: Uint8Array.of(0, 255, 1),
    uint16: Uint16Array.of(0, 65535, 1),
    uint32: Uint32Array.of(0, 2 ** 32 - 1, 1),
    uint64: BigUint64Array.of(0n, 2n ** 64n - 1n, 1n),
    bool: Uint8Array.of(1, 0, 1),
    string: ['a', '', 'Grüße, \u{1f600}'],
  }
  type Name = keyof typeof examples
  const names = Object.keys(examples) as Name[]
  const valuesOf = (prefix: string) =>
    names.map((name) => ({ name: prefix + name, shape: ['N', 3], type: types[name] }))
  const identity = (name: string) => ({ op: 'Identity', inputs: [`in_${name}`], outputs: [`out_${name}`] })
  const model = onnx(valuesOf('in_'), valuesOf('out_'), names.map(identity))
  let predictor: Awaited<ReturnType<typeof createPredictor>>
  beforeAll(async () => {
    predictor = await createPredictor({ model, workers: 1, onnx: { startMs }, onWarning() {} })
  }, startMs)
  afterAll(() => predictor.close())

  const query = Object.fromEntries(names.map((name) => [`in_${name}`, examples[name]]))

  it.each(names)('%s comes back as it went in', async (name) => {
    const { output } = await predictor.predict(query)
    expect(output[`out_${name}`].data).toEqual(examples[name])
  })

  it('an input that is missing is named', async () => {
    const { in_int64: _, ...rest } = query
    await expect(predictor.predict(rest)).rejects.toThrow(/in_int64/)
  })
})

describe('a model that cannot be loaded', () => {
  it.each([
    ['is not there', '/no/such/model.onnx'],
    ['is no ONNX file', Uint8Array.of(1, 2, 3)],
  ])('%s: the error is MODEL', async (_, model) => {
    await expect(createPredictor({ model, workers: 1 })).rejects.toMatchObject({ code: 'MODEL' })
  })
})
