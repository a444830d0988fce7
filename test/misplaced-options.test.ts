import { createPredictor } from 'approxifer'
import { createGateway } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { wordsFor } from '../src/base/option'
import { predictOptions, predictorOptions } from '../src/predictor/option-table'
import { synonyms } from '../src/predictor/synonyms'

const model = Uint8Array.of(1)

describe('an option in the wrong place, or by the word of another system, gets the right one', () => {
  it.each([
    [{ byzantine: 1 }, "byzantine: expected 'scheme.byzantine', got an unknown option"],
    [{ stragler: 1 }, "stragler: expected 'scheme.stragglers', got an unknown option"],
    [{ preset: 'aaai22' }, "preset: expected 'scheme.preset', got an unknown option"],
    [{ reuse: {}, maxError: 0.01 }, "maxError: expected 'reuse.maxError', got an unknown option"],
    [{ limits: { deadlineMs: 100 } }, "limits.deadlineMs: expected 'deadlineMs' beside limits, got an unknown option"],
    [{ queries: 4 }, "queries: expected 'scheme.queries' or 'limits.queries', got an unknown option"],
    [{ deadline: 100 }, "deadline: expected 'deadlineMs', got an unknown option"],
    [{ timeout: 100 }, "timeout: expected 'deadlineMs', got an unknown option"],
    [{ retries: 3 }, "retries: expected 'policy', got an unknown option"],
    [{ concurrency: 4 }, "concurrency: expected 'workers', got an unknown option"],
    [{ hedging: true }, "hedging: expected 'hedge', got an unknown option"],
    [{ priority: 'high' }, "priority: expected 'priority' of predict, got an unknown option"],
  ])('%j', async (options, message) => {
    await expect(createPredictor({ model, ...options } as never)).rejects.toThrow(new TypeError(message))
  })

  it('of createPredictor, given to predict', async () => {
    const predictor = await createPredictor({ model: 'models/mnist-lenet.onnx', workers: 1 })
    const asked = (options: object) => predictor.predict(new Float32Array(784), options as never)
    await expect(asked({ timeout: 5 })).rejects.toThrow("timeout: expected 'deadlineMs', got an unknown option")
    await expect(asked({ concurrency: 5 })).rejects.toThrow(
      "concurrency: expected 'workers' of createPredictor, got an unknown option",
    )
    await predictor.close()
  })

  it('of createPredictor, given to createGateway', () => {
    expect(() => createGateway({ models: {}, timeout: 5 } as never)).toThrow(
      "timeout: expected 'deadlineMs' of createPredictor, got an unknown option",
    )
  })
})

it('no word of another system is the name of an option, or meant twice', () => {
  const words = Object.values(synonyms).flat()
  const names = Object.keys({ ...predictorOptions, ...predictOptions })
  expect(words.filter((word) => names.includes(word))).toEqual([])
  expect(new Set(words).size).toBe(words.length)
})

it('every word of another system is translated into an option that there is', () => {
  const paths = wordsFor(predictorOptions).map(({ path }) => path.join('.'))
  expect(paths).toEqual(expect.arrayContaining(Object.keys(synonyms)))
})

describe('addresses in the place of workers: the error has the call that makes workers of them', () => {
  const of = "with httpWorkers of 'approxifer/http'"
  it.each([
    [
      ['http://a:8000', 'http://b:8000'],
      `workers[0]: expected workers, got an address: write workers: httpWorkers(['http://a:8000', 'http://b:8000'], { model: 'NAME THERE' }), ${of}`,
    ],
    [
      'http://a:8000',
      `workers: expected workers, got an address: write workers: httpWorkers(['http://a:8000'], { model: 'NAME THERE' }), ${of}`,
    ],
    [
      [new URL('http://user:secret@a:8000')],
      `workers[0]: expected workers, got an address: write workers: httpWorkers(['http://...@a:8000/'], { model: 'NAME THERE' }), ${of}`,
    ],
  ])('%s', async (workers, message) => {
    await expect(createPredictor({ workers } as never)).rejects.toThrow(new TypeError(message))
  })
})
