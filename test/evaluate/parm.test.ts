/** ParM's decoder on real parity models, and its figures in docs/appendix/accuracy.md. */

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { answersOfParm, partition } from '../../bench/accuracy/parm'
import { withSection } from '../../bench/shared/report'
import { labelAt } from '../../src/base/criterion'
import { loadInputs } from '../../src/cli/npy'
import { loadCore } from '../../src/core/load'
import { lessOthers } from '../../src/evaluate/group-scores'
import { answersOf } from '../../src/evaluate/model'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'

it('a lost answer is the answer to the sum less the others, which stay as they are', () => {
  const others = [Float32Array.of(1, 2, 3), Float32Array.of(10, 20, 30)]
  const sum = Float32Array.of(111, 222, 333)
  expect(lessOthers(sum, others)).toEqual(Float32Array.of(100, 200, 300))
  expect(lessOthers(sum, [])).toEqual(sum)
  expect(others[0]).toEqual(Float32Array.of(1, 2, 3))
})

it('a partition has each image at most once, in groups of K', () => {
  const groups = partition(50, 4, 3)
  expect(groups.map(({ length }) => length)).toEqual(Array(12).fill(4))
  expect(new Set(groups.flat()).size).toBe(48)
  expect(partition(50, 4, 4)).not.toEqual(groups)
})

it.each([
  [2, 0.93, 0.99],
  [8, 0.45, 0.64],
])(
  'of 400 digits in groups of %i a trained parity recovers %d to %d; the model itself as parity fewer',
  async (K, least, most) => {
    const core = await loadCore()
    const load = async (name: string) => OnnxModel.load(await readModel(`models/${name}.onnx`))
    const [model, parity] = [await load('mnist-lenet'), await load(`parity/mnist-parity-${K}`)]
    const inputs = await loadInputs('models/mnist-digits.npy', model.signature.inputs[0].shape)
    const own = await answersOf(model, inputs)
    const groups = partition(inputs.length, K, 1)
    const label = (answer: Float32Array) => labelAt(answer, { classes: 10 })
    const agreement = async (of: OnnxModel) => {
      const lost = await answersOfParm(core, of, { inputs, own }, groups)
      expect(lost.map(({ query }) => query).sort((a, b) => a - b)).toEqual([...inputs.keys()])
      return lost.filter(({ query, answer }) => label(answer) === label(own[query])).length / lost.length
    }
    const trained = await agreement(parity)
    expect(trained).toBeGreaterThan(least)
    expect(trained).toBeLessThan(most)
    expect(await agreement(model)).toBeLessThan(trained - 0.1)
    for (const each of [model, parity]) await each.close()
  },
)

it('docs/appendix/accuracy.md is within 1.5 points of one partition, which models/README.md has', () => {
  const cells = (line: string) => line.split('|').slice(1, -1)
  const page = readFileSync('docs/appendix/accuracy.md', 'utf8')
  const [, section] = page.split('\n## ParM\n')
  const measured = section.split('\n').filter((line) => line.includes('ParM, trained, our models'))
  const told = readFileSync('models/README.md', 'utf8').split('\n')
  for (const [at, name] of ['MNIST LeNet', 'Fashion-MNIST LeNet'].entries()) {
    const row = cells(told.find((line) => line.startsWith(`| ${name} |`)) as string)
    for (const [i, line] of measured.entries()) {
      const got = cells(line).slice(2 + 2 * at, 4 + 2 * at)
      const expected = row[1 + i].split(',').map(Number)
      for (const j of [0, 1]) expect(Math.abs(Number.parseFloat(got[j]) - expected[j]), line).toBeLessThanOrEqual(1.5)
    }
  }
  expect(measured).toHaveLength(3)
})

it('a bench replaces its own section of a page, and no other', () => {
  const page = '# Page\n\n## One\n\n1\n\n## Two\n\n2\n'
  expect(withSection(page, '## One\n\nI')).toBe('# Page\n\n## One\n\nI\n\n## Two\n\n2\n')
  expect(withSection(page, '## Two\n\nII\n')).toBe('# Page\n\n## One\n\n1\n\n## Two\n\nII\n')
  expect(() => withSection(page, '## Three\n\n3')).toThrow("page: expected a section '## Three', got none")
})
