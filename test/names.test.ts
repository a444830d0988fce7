import {
  Codec,
  createPredictor,
  FaultyWorker,
  loadCore,
  localWorkers,
  Memory,
  type ModelWorker,
  patchFeatures,
  Scheme,
} from 'approxifer'
import { describe, expect, it } from 'vitest'
import { evaluate } from '../src/evaluate/evaluate'

const model = Uint8Array.of(1)
const scheme = { queries: 2, stragglers: 1 }
const core = await loadCore()
const worker = (name: string): ModelWorker => ({
  name,
  signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
  free: true,
  onFree: undefined,
  infer: async (row) => row.slice(),
  restart() {},
  async close() {},
})

/** Every function of the public surface that takes options, called with one more. */
const calls: Record<string, (option: object) => unknown> = {
  createPredictor: (option) => createPredictor({ model, scheme, ...option }),
  scheme: (option) => createPredictor({ model, scheme: { ...scheme, ...option } }),
  memory: (option) => createPredictor({ model, scheme, memory: option }),
  core: (option) => createPredictor({ model, scheme, core: option }),
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
  localWorkers: (option) => localWorkers({ model, count: 1, ...option }),
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
  ['createPredictor', 'maxQuerys', 'maxQueries'],
  ['createPredictor', 'memmory', 'memory'],
  ['createPredictor', 'grouping_', 'grouping'],
  ['createPredictor', 'wasmPath', 'wasmPaths'],
  ['createPredictor', 'inputShape', 'inputShapes'],
  ['createPredictor', 'output', 'outputs'],
  ['createPredictor', 'createworker', 'createWorker'],
  ['createPredictor', 'onWarn', 'onWarning'],
  ['createPredictor', 'tolerence', 'tolerance'],
  ['createPredictor', 'labelAxes', 'labelAxis'],
  ['createPredictor', 'provider', 'providers'],
  ['scheme', 'straglers', 'stragglers'],
  ['scheme', 'byzantines', 'byzantine'],
  ['scheme', 'query', 'queries'],
  ['memory', 'byte', 'bytes'],
  ['memory', 'feature', 'features'],
  ['core', 'prefers', 'prefer'],
  ['predict', 'deadline', 'deadlineMs'],
  ['predict', 'singal', 'signal'],
  ['predict', 'delivery', 'deliver'],
  ['Codec.create', 'straglers', 'stragglers'],
  ['Codec.create', 'decodr', 'decoder'],
  ['Codec', 'locater', 'locator'],
  ['Codec', 'presets', 'preset'],
  ['Scheme', 'point', 'points'],
  ['Scheme', 'qeuries', 'queries'],
  ['loadCore', 'modul', 'module'],
  ['localWorkers', 'counts', 'count'],
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
