import { createPredictor, localWorkers, type ModelWorker } from 'approxifer'
import { Codec, loadCore, Memory, patchFeatures, Scheme } from 'approxifer/codec'
import { FaultyWorker } from 'approxifer/testing'
import { describe, expect, it } from 'vitest'
import { evaluate } from '../src/evaluate/evaluate'
import { inferRow, inferring } from './shared/vectors'

const model = Uint8Array.of(1)
const scheme = { queries: 2, stragglers: 1 }
const core = await loadCore()
const worker = (name: string): ModelWorker => ({
  name,
  signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
  free: true,
  onFree: undefined,
  infer: inferring((row) => row.slice()),
  restart() {},
  async close() {},
})

/** Every function of the public surface that takes options, called with one more. */
const calls: Record<string, (option: object) => unknown> = {
  createPredictor: (option) => createPredictor({ model, scheme, ...option }),
  scheme: (option) => createPredictor({ model, scheme: { ...scheme, ...option } }),
  memory: (option) => createPredictor({ model, scheme, memory: option }),
  ...Object.fromEntries(
    ['hedge', 'verify', 'limits', 'right', 'onnx', 'testing'].map((group) => [
      group,
      (option: object) => createPredictor({ model, scheme, [group]: option }),
    ]),
  ),
  core: (option) => createPredictor({ model, scheme, testing: { core: option } }),
  predict: async (option) => {
    const predictor = await createPredictor({ scheme: { queries: 1 }, workers: [worker('a')] })
    try {
      await predictor.predict(new Float32Array(2), option)
    } finally {
      await predictor.close()
    }
  },
  'Codec.create': (option) => Codec.create({ queries: 2, ...option }),
  Codec: (option) => new Codec(core, { queries: 2, ...option }),
  Scheme: (option) => new Scheme({ queries: 2, ...option }),
  loadCore: (option) => loadCore(option),
  localWorkers: (option) => localWorkers({ model, workers: 1, ...option }),
  FaultyWorker: (option) => new FaultyWorker(worker('a'), option, 1),
  Memory: (option) => new Memory(core, { shape: [2], outputs: 2, ...option }),
  patchFeatures: (option) => patchFeatures(core, { shape: [1, 12, 12], samples: [], ...option }),
  evaluate: (option) => evaluate(option as never),
}

const typos: [where: string, wrong: string, right: string][] = [
  ['createPredictor', 'shceme', 'scheme'],
  ['createPredictor', 'worker', 'workers'],
  ['createPredictor', 'polcy', 'policy'],
  ['createPredictor', 'minConfidance', 'minConfidence'],
  ['createPredictor', 'deadlineMS', 'deadlineMs'],
  ['createPredictor', 'maxWait', 'maxWaitMs'],
  ['createPredictor', 'hangms', 'hangMs'],
  ['limits', 'query', 'queries'],
  ['limits', 'tenant', 'tenants'],
  ['createPredictor', 'memmory', 'memory'],
  ['createPredictor', 'hegde', 'hedge'],
  ['createPredictor', 'limit', 'limits'],
  ['hedge', 'budged', 'budget'],
  ['hedge', 'budgets', 'budget'],
  ['verify', 'integrty', 'integrity'],
  ['onnx', 'wasmPath', 'wasmPaths'],
  ['onnx', 'inputShape', 'inputShapes'],
  ['onnx', 'output', 'outputs'],
  ['onnx', 'createworker', 'createWorker'],
  ['createPredictor', 'onWarn', 'onWarning'],
  ['right', 'relativ', 'relative'],
  ['right', 'treshold', 'threshold'],
  ['onnx', 'provider', 'providers'],
  ['memory', 'states', 'state'],
  ['testing', 'clocks', 'clock'],
  ['scheme', 'straglers', 'stragglers'],
  ['scheme', 'byzantines', 'byzantine'],
  ['scheme', 'query', 'queries'],
  ['memory', 'byte', 'bytes'],
  ['memory', 'feature', 'features'],
  ['core', 'prefers', 'prefer'],
  ['predict', 'deadline', 'deadlineMs'],
  ['predict', 'singal', 'signal'],
  ['predict', 'atDeadlin', 'atDeadline'],
  ['Codec.create', 'straglers', 'stragglers'],
  ['Codec.create', 'decodr', 'decoder'],
  ['Codec', 'locater', 'locator'],
  ['Codec', 'presets', 'preset'],
  ['Scheme', 'point', 'points'],
  ['Scheme', 'qeuries', 'queries'],
  ['loadCore', 'modul', 'module'],
  ['localWorkers', 'worker', 'workers'],
  ['localWorkers', 'maxPendin', 'maxPending'],
  ['FaultyWorker', 'delay', 'delayMs'],
  ['FaultyWorker', 'garbge', 'garbage'],
  ['Memory', 'shapes', 'shape'],
  ['Memory', 'critereon', 'criterion'],
  ['patchFeatures', 'sampels', 'samples'],
  ['evaluate', 'group', 'groups'],
  ['evaluate', 'label', 'labels'],
]

describe('a misspelt option', () => {
  it.each(typos)('%s: %s is refused, %s suggested', async (where, wrong, right) => {
    const call = async () => calls[where]({ [wrong]: 1 })
    await expect(call()).rejects.toThrow(TypeError)
    await expect(call()).rejects.toThrow(new RegExp(`\\b${wrong}: expected '${right}', got an unknown option$`))
  })

  it('like no known one: all known ones are listed', () => {
    expect(() => new Scheme({ queries: 2, zzzzzz: 1 } as never)).toThrow(
      'zzzzzz: expected one of queries, stragglers, byzantine, workers, points, got an unknown option',
    )
  })
})

describe('a value that is none', () => {
  const odd = Object.create(null)
  const two = { queries: 1, stragglers: 1 }
  const pair = [worker('a'), worker('b')]

  it.each([
    [
      'a value without a name',
      { scheme: two, workers: pair, right: { within: odd } },
      'right.within: expected a number above 0, got an object',
    ],
    ['workers that are no list', { scheme, workers: {}, model }, 'workers: expected an integer >= 3, got Object'],
    [
      'a worker without a signature',
      { scheme: two, workers: [{ ...pair[0], signature: undefined }, pair[1]] },
      'workers[0].signature.inputs: expected names and shapes, got undefined',
    ],
    [
      'a worker without inputs',
      { scheme: two, workers: [{ ...pair[0], signature: { inputs: [], outputs: [] } }, pair[1]] },
      'workers[0].signature.inputs: expected names and shapes, got Array',
    ],
    [
      'an empty dimension',
      {
        scheme: two,
        workers: [{ ...pair[0], signature: { ...pair[0].signature, inputs: [{ name: 'x', shape: [0] }] } }, pair[1]],
      },
      'workers[0].signature.inputs[0].shape[0]: expected an integer >= 1, got 0',
    ],
    [
      'a fingerprint that is no text',
      { scheme: two, workers: [pair[0], { ...pair[1], fingerprint: 5 }] },
      'workers[1].fingerprint: expected a string, got 5',
    ],
    [
      'options of local workers beside ready ones',
      { scheme: two, workers: pair, onnx: { outputs: ['y'] } },
      'onnx: expected none beside ready workers, which have theirs',
    ],
    [
      'a rollout of threads',
      { model: 'm.onnx', workers: 2, rollout: { shadow: 0.5 } },
      'rollout: expected none for threads, which get a new model at once: servers can be compared',
    ],
    [
      'a state that is none',
      { scheme: two, workers: pair, memory: { state: '' } },
      'memory.state: expected a Uint8Array, or one by tenant, got ""',
    ],
    [
      'no time to start',
      { model, scheme, onnx: { startMs: null } },
      'onnx.startMs: expected an integer from 1 to 2147483647, got null',
    ],
    [
      'what makes no worker',
      { model, scheme, onnx: { createWorker: () => undefined } },
      'createWorker(): expected a worker, got undefined',
    ],
  ] as [string, object, string][])('%s', async (_, options, message) => {
    // biome-ignore format: one line each
    await expect(createPredictor(options as never)).rejects.toThrow(message)
  })

  it.each([
    [{ delayMs: Number.NaN }, 'faults.delayMs: expected milliseconds, or the least and the most of a range, got NaN'],
    [{ delayMs: [5] }, 'faults.delayMs: expected milliseconds'],
    [{ delayMs: 2 ** 31 }, 'faults.delayMs: expected milliseconds'],
    [{ hang: '0.5' }, 'faults.hang: expected a share from 0 to 1, got "0.5"'],
    [{ attack: 5 }, 'faults.attack: expected a string, got 5'],
  ])('%j is no fault', (faults, message) => {
    expect(() => new FaultyWorker(worker('a'), faults as never, 1)).toThrow(message)
  })

  it('a query too large to be mixed says how large it may be', async () => {
    const predictor = await createPredictor({ scheme: { queries: 1 }, workers: [worker('a')] })
    await expect(predictor.predict(Float32Array.of(1e37, 0))).rejects.toThrow('expected values up to 1e+36 in size')
    await expect(predictor.predictAll([], { signal: 5 } as never)).rejects.toThrow('signal: expected an AbortSignal')
    await predictor.close()
  })
})

it('a worker that rejects with an object without a prototype costs its call, not the process', async () => {
  const throws = { ...worker('a'), infer: async () => { throw Object.create(null) } } // biome-ignore format: one line
  const predictor = await createPredictor({ scheme: { queries: 1 }, policy: 'recover', workers: [throws] })
  await expect(predictor.predict(new Float32Array(2), { deadlineMs: 2000 })).rejects.toMatchObject({ code: 'WORKER' })
  await predictor.close()
})

it('delayed calls that wait reject at once on abort, restart and close', async () => {
  const slow = new FaultyWorker(worker('a'), { delayMs: 60_000 }, 1)
  const aborts = new AbortController()
  const calls = [0, 1, 2].map((i) => inferRow(slow, new Float32Array(2), i === 1 ? { signal: aborts.signal } : {}))
  const settled = Promise.allSettled(calls)
  aborts.abort()
  await expect(calls[1]).rejects.toMatchObject({ code: 'ABORTED' })
  slow.restart?.('was restarted')
  const [first, , last] = await settled
  for (const each of [first, last]) expect(each).toMatchObject({ status: 'rejected', reason: { code: 'WORKER' } })
  await slow.close()
})
