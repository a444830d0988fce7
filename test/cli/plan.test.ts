import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPredictor } from 'approxifer'
import { afterEach, expect, it, vi } from 'vitest'
import { type PlanOptions, plan } from '../../src/cli/plan'
import { onnx, types } from '../shared/onnx'

afterEach(() => void vi.restoreAllMocks())

/** What `plan --json` prints. */
async function planned(options: PlanOptions) {
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  await plan({ ...options, json: true })
  return JSON.parse(print.mock.lastCall?.[0])
}

const schemes = [1, 4, 8].flatMap((queries) =>
  [0, 1, 3].flatMap((stragglers) => [0, 1, 2].map((byzantine) => ({ queries, stragglers, byzantine }))),
)

it.each([undefined, 'aaai22'] as const)(
  'plans as many workers as createPredictor asks for, preset %s',
  async (preset) => {
    for (const scheme of schemes) {
      const { approxifer } = await planned({ ...scheme, ...(preset && { preset }) })
      const started = createPredictor({ scheme: { ...scheme, preset }, workers: [] })
      await expect(started, JSON.stringify(scheme)).rejects.toThrow(`workers: expected >= ${approxifer.workers}, got 0`)
    }
  },
)

it('compares with the paper’s code only where that needs more workers', async () => {
  expect((await planned({ queries: 8, stragglers: 1 })).paper).toBe(null)
  expect((await planned({ queries: 8, stragglers: 1, byzantine: 1 })).paper).toMatchObject({ workers: 19, quorum: 18 })
  expect((await planned({ queries: 8, byzantine: 1, preset: 'aaai22' })).paper).toBe(null)
})

const TEXTS = 'test/models/text/sections.onnx'

/** The lines that `plan` prints. */
async function printed(options: PlanOptions): Promise<string[]> {
  const print = vi
    .spyOn(console, 'log')
    .mockImplementation(() => {})
    .mockClear()
  await plan(options)
  return print.mock.calls.flat().join('\n').split('\n')
}

it('a model that cannot be coded: no figures of a code, with or without liars', async () => {
  const rowOf = async (name: string, byzantine: number, stragglers: number) => {
    const lines = await printed({ model: TEXTS, queries: 8, stragglers, byzantine })
    return lines.find((line) => line.startsWith(name))
  }
  expect(await rowOf('approxifer', 0, 1)).toMatch(/^approxifer +- +- +- +not with this model/)
  expect(await rowOf('approxifer', 1, 0)).toMatch(/^approxifer +\d+ .* proven by 2/)
  expect(await rowOf('ParM', 0, 1)).toMatch(/^ParM +- +- +- +not with this model/)
})

it('times an inference of a stated length, where the model leaves it open', async () => {
  const { model } = await planned({ model: TEXTS, queries: 8 })
  expect(model.inferenceShapes).toEqual([[32], [32]])
  expect(model.inferenceMs).toBeGreaterThan(0)
  const lines = await printed({ model: TEXTS, queries: 8 })
  expect(lines.join('\n')).toMatch(/takes [\d.]+ ms on one thread here, with input_ids 32, attention_mask 32/)
})

it('a label beside probabilities, as scikit-learn exports: says which outputs to use, and how scores are read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plan-'))
  const model = join(folder, 'forest.onnx')
  const shape = ['N', 3]
  const nodes: Parameters<typeof onnx>[2] = [
    { op: 'ArgMax', inputs: ['x'], outputs: ['label'], ints: { axis: 1, keepdims: 0 } },
    { op: 'Softmax', inputs: ['x'], outputs: ['probabilities'], ints: { axis: 1 } },
  ]
  const outputs = [{ name: 'label', shape: ['N'], type: types.int64 }, { name: 'probabilities', shape }] // biome-ignore format: one line
  writeFileSync(model, onnx([{ name: 'x', shape }], outputs, nodes))
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  const told = async (more = {}) => {
    await plan({ queries: 8, stragglers: 1, byzantine: 0, model, ...more })
    return String(print.mock.lastCall?.[0]).replace(/\s+/g, ' ')
  }
  try {
    expect(await told()).toMatch("output 'label' is int64, and only float32 can be mixed (--outputs probabilities leaves the others out)") // biome-ignore format: one line
    const alone = await told({ outputs: ['probabilities'] })
    expect(alone).toMatch('right: probabilities where its largest value is the model’s, since its last node is Softmax')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
