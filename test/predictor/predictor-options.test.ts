import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { HandWorker, house, query } from '../shared/hand-predictor'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('defaults', () => {
  const ask = async (preset?: 'aaai22', byzantine = 0) => {
    const workers = Array.from({ length: 6 }, (_, i) => new HandWorker(`w${i}`))
    const predictor = await createPredictor({ workers, scheme: { queries: 2, byzantine, preset }, maxWaitMs: 1e6 })
    void predictor.predict(query(1)).catch(() => {})
    const sent = workers.some((worker) => worker.calls.length)
    await predictor.close()
    return sent
  }

  it('systematic, whether or not workers may lie: a query leaves at once; the paper’s scheme is one preset away', async () => {
    expect(await ask()).toBe(true)
    expect(await ask('aaai22')).toBe(false)
    expect(await ask(undefined, 1)).toBe(true)
    expect(await ask('aaai22', 1)).toBe(false)
    await expect(ask('nips30' as 'aaai22')).rejects.toThrow('preset: expected \'aaai22\', got "nips30"')
  })
})

describe('bad options are refused with field, expected, got', () => {
  const scheme = { queries: 2, stragglers: 1 }
  it.each([
    [{}, 'model: expected a path, a URL or bytes, got undefined'],
    [{ scheme: null }, 'scheme: expected an object, got null'],
    [{ scheme, model: 'm.onnx', hedge: { budget: 10 } }, 'hedge.budget: expected a number from 0 to 1, got 10'],
    [{ scheme, model: 'm.onnx', hedge: { budget: 95 } }, 'hedge.budget: expected a number from 0 to 1, got 95'],
    [{ scheme }, 'model: expected a path, a URL or bytes, got undefined'],
    [{ scheme, workers: 2 }, 'workers: expected an integer >= 3, got 2'],
    [{ scheme, workers: [new HandWorker('w0')] }, 'workers: expected >= 3, got 1'],
    [{ scheme, model: 'm.onnx', atDeadline: 'late' }, "atDeadline: expected 'fail' | 'give', got \"late\""],
    [{ scheme, model: 'm.onnx', rule: 'deadline' }, 'rule: expected'], // these three are no more
    [{ scheme, model: 'm.onnx', deliver: 'early' }, 'deliver: expected'],
    [{ scheme, model: 'm.onnx', falseAlarms: 0.01 }, 'falseAlarms: expected'],
    [{ scheme, model: 'm.onnx', deadlineMs: -1 }, 'deadlineMs: expected milliseconds from 0 to 2,147,483,647, got -1'],
    [{ scheme, model: 'm.onnx', hangMs: Number.POSITIVE_INFINITY }, 'hangMs: expected milliseconds'],
    [{ scheme, model: 'm.onnx', limits: { queries: 0 } }, 'limits.queries: expected an integer >= 1, got 0'],
    [{ scheme, model: 'm.onnx', onEvent: 'log' }, 'onEvent: expected a function, got "log"'],
    [{ scheme, model: 'm.onnx', memory: null }, 'memory: expected an object or false, got null'],
    [
      { scheme: { queries: 2, byzantine: 1, preset: 'aaai22' }, memory: { state: new Uint8Array(9) } },
      'memory.state: expected byzantine 0',
    ],
  ])('%o', async (options, message) => {
    await expect(createPredictor(options as PredictorOptions)).rejects.toThrow(message)
  })

  it('workers with different models', async () => {
    const workers = [0, 1, 2].map((i) => new HandWorker(`w${i}`))
    Object.assign(workers[1], {
      signature: { inputs: [{ name: 'z', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
    })
    await expect(createPredictor({ scheme, workers })).rejects.toThrow(/workers\[1\]: expected signature .* got/)
  })

  it('workers that another predictor has: it would be told no more when they get free', async () => {
    const { predictor, workers } = await house(3, { scheme })
    const second = () => createPredictor({ scheme, workers })
    await expect(second()).rejects.toThrow('workers[0].onFree: expected none, got that of another predictor')
    await predictor.close()
    await (await second()).close()
  })

  it.each([
    ['free', undefined, 'true or false'],
    ['slots', Number.NaN, 'an integer >= 1'],
    ['slots', 0, 'an integer >= 1'],
  ])('a worker whose %s is %s', async (field, value, what) => {
    const worker = { name: 'w', signature: new HandWorker('w').signature, free: true, onFree: undefined, infer() {}, close() {} } // biome-ignore format: one line
    const members = Object.entries({ ...worker, [field]: value }).filter(([, each]) => each !== undefined)
    const workers = [Object.fromEntries(members)] as unknown as ModelWorker[]
    await expect(createPredictor({ workers })).rejects.toThrow(`workers[0].${field}: expected ${what}, got`)
  })

  it.each([Promise.resolve(), new ArrayBuffer(8), new Map()])(
    'a state that is %s, which has no names',
    async (state) => {
      const memory = { state: state as unknown as Uint8Array }
      const workers = [new HandWorker('w')]
      await expect(createPredictor({ workers, policy: 'auto', memory })).rejects.toThrow('memory.state: expected a Uint8Array, or one by tenant, got') // biome-ignore format: one line
    },
  )

  it('queries of predictAll that do not fit, or are none', async () => {
    const { predictor } = await house(3, { scheme })
    await expect(predictor.predictAll([query(1), new Float32Array(3)])).rejects.toThrow(/^queries\[1\]\.x: expected/)
    await expect(predictor.predictAll(Float32Array.of(1, 2) as never)).rejects.toThrow(
      /^queries\[0\]: expected tensors/,
    )
    await expect(predictor.predictAll(undefined as never)).rejects.toThrow('queries: expected an array of queries')
    await predictor.close()
  })

  it('a bad deadline of one query', async () => {
    const { predictor } = await house(3, { scheme })
    await expect(predictor.predict(query(1), { deadlineMs: Number.NaN })).rejects.toThrow('deadlineMs: expected')
    await predictor.close()
  })
})
