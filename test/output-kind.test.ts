/** How outputs are read, by what is said of them, by hints of their model's file, and by type, shape and name. */

import { expect, it } from 'vitest'
import { criterionOf } from '../src/base/criterion'
import { type OutputHints, outputKindsOf, type Right } from '../src/base/output-kind'
import type { TensorSpec } from '../src/base/tensor'

const specs = (outputs: Record<string, readonly number[]>): TensorSpec[] =>
  Object.entries(outputs).map(([name, shape]) => ({ name, shape }))
const detector = specs({ boxes: [32, 4], scores: [32] })
const kinds = (outputs: readonly TensorSpec[], right?: Right, hints?: OutputHints[]) =>
  outputKindsOf(outputs, right, hints).map(({ right, doubt }) => `${right.kind}${doubt ? '?' : ''}`)

it.each([
  [{ logits: [10] }, ['label']],
  [{ class_probabilities: [1, 7] }, ['label']],
  [{ output: [10] }, ['label?']],
  [{ output: [1000] }, ['label']], // as many as ImageNet's classes
  [{ y: [3] }, ['label?']], // three measurements may be no three classes
  [{ sentence_embedding: [384] }, ['tolerance']],
  [{ class_embeds: [512] }, ['tolerance']],
  [{ score: [1] }, ['tolerance?']],
  [{ variable: [3] }, ['label?']],
  [{ item_scores: [40] }, ['label?']],
  [{ scores: [5000] }, ['label?']], // of so many the first is rarely all
  [{ masks: [21, 64, 64] }, ['tolerance?']],
  [{ logits: [-1] }, ['tolerance']], // nothing is recovered
  [{ boxes: [32, 4], scores: [32] }, ['tolerance?', 'tolerance?']], // a score of each box, or as many classes
  [{ boxes: [100, 4], scores: [100, 91] }, ['tolerance?', 'tolerance?']],
  [{ hidden: [12, 64], logits: [24] }, ['tolerance', 'label']],
])('%j: %j', (outputs, expected) => {
  expect(kinds(specs(outputs))).toEqual(expected)
})

it('the graph’s last node goes before the name', () => {
  const read = (name: string, n: number, op: string, axis?: number) => kinds(specs({ [name]: [n] }), undefined, [{ node: { op, axis } }])[0] // biome-ignore format: one line
  expect(read('dense_1', 10, 'Softmax')).toBe('label')
  expect(read('dense_1', 10, 'Sigmoid')).toBe('labels')
  expect(read('scores', 8, 'Sqrt')).toBe('tolerance?')
  expect(read('fc1', 512, 'BatchNormalization')).toBe('tolerance')
  expect(read('variable', 2, 'TreeEnsembleRegressor')).toBe('tolerance?')
  expect(read('output_probability', 3, 'TreeEnsembleClassifier')).toBe('label')
  expect(read('output', 10, 'Gemm')).toBe('label?')
})

it('config.json goes before the graph', () => {
  const logits = specs({ logits: [6] })
  const read = (config: OutputHints['config']) =>
    outputKindsOf(logits, undefined, [{ config, node: { op: 'Gemm' } }])[0]
  expect(read({ problemType: 'multi_label_classification', labels: 6 }).right).toEqual({ kind: 'labels', threshold: 0 })
  expect(read({ problemType: 'regression', labels: 6 }).doubt).toMatch('config.json says regression')
  expect(read({ labels: 6 }).evidence).toBe('config')
  expect(read({ labels: 2 }).evidence).toBe('name')
  const map = specs({ logits: [150, 128, 128] })
  expect(criterionOf(map, undefined, [{ config: { labels: 150 } }])).toEqual({ kind: 'label', positions: 16384, classes: 150, step: 16384 }) // biome-ignore format: one line
  const speech = specs({ logits: [49, 32] })
  expect(criterionOf(speech, undefined, [{ config: { labels: 2, vocabulary: 32 } }])).toEqual({ kind: 'label', positions: 49, classes: 32 }) // biome-ignore format: one line
})

it('a guess says what is to be said', () => {
  const [{ doubt }] = outputKindsOf(specs({ dense: [10] }))
  expect(doubt).toBe(
    "right: expected 'label', { top: k }, 'labels', { within: x } or { relative: x } for output 'dense' of [10], got none: nothing tells what its values are",
  )
  const [, { doubt: named }] = outputKindsOf(detector)
  expect(named).toMatch(/^right\.outputs\.scores: expected .* it has as many values as 'boxes' has rows$/)
})

it('the threshold of tags is .5 of probabilities, 0 of logits; where nothing tells it is to be said', () => {
  const read = (name: string, hints: OutputHints = {}) =>
    outputKindsOf(specs({ [name]: [6] }), 'labels', [hints])[0].right
  expect(read('logits')).toEqual({ kind: 'labels', threshold: 0 })
  expect(read('probabilities')).toEqual({ kind: 'labels', threshold: 0.5 })
  expect(read('logits', { node: { op: 'Sigmoid' } })).toEqual({ kind: 'labels', threshold: 0.5 })
  expect(read('output', { node: { op: 'Gemm' } })).toEqual({ kind: 'labels', threshold: 0 })
  expect(() => read('output')).toThrow('right: expected { threshold: x }, .5 for probabilities and 0 for logits')
})

it('values that are no real numbers are equal or not', () => {
  const outputs = [{ name: 'ids', shape: [3], type: 'int64' }, ...specs({ logits: [3] })] as const
  expect(kinds(outputs)).toEqual(['equal', 'label'])
})

it('what is said goes before, and leaves no doubt', () => {
  expect(kinds(detector, { outputs: { scores: 'label', boxes: { within: 2.5 } } })).toEqual(['tolerance', 'label'])
  expect(kinds(detector, { outputs: { boxes: 'equal' } })).toEqual(['equal', 'tolerance?'])
  expect(kinds(specs({ y: [3] }), 'label')).toEqual(['label'])
  expect(criterionOf(detector, { outputs: { scores: 'label', boxes: { within: 2.5 } } })).toEqual({
    kind: 'outputs',
    outputs: [
      { name: 'boxes', from: 0, size: 128, right: { kind: 'tolerance', tolerance: 2.5 } },
      { name: 'scores', from: 128, size: 32, right: { kind: 'label', positions: 1, classes: 32 } },
    ],
  })
})

it.each([
  [{ outputs: { scoers: 'label' } }, "right.outputs.scoers: expected 'scores', got an unknown option"],
  [{ outputs: { scores: 'lables' } }, "right.outputs.scores: expected 'label', 'labels', 'equal', { axis: n }"],
  [{ outputs: { scores: { within: 0 } } }, 'right.outputs.scores.within: expected a number above 0, got 0'],
  [{ outputs: { ids: 'label' } }, 'right.outputs.ids: expected \'equal\' for int64, got "label"'],
  [{ outputs: { area: 'label' } }, "right.outputs.area: expected 'labels', { within: x } or { relative: x } for output 'area' of float32 [1], got 'label'"], // biome-ignore format: one line
  [{ outputs: { words: 'label' } }, "right.outputs.words: expected 'equal', { within: x } or { relative: x } for output 'words' of float32 [?], got 'label'"], // biome-ignore format: one line
  [{ outputs: { boxes: { axis: 5 } } }, "right.outputs.boxes: expected { axis: n } of the classes, 'labels', { within: x } or { relative: x } for output 'boxes' of float32 [32,4], got { axis: 5 }"], // biome-ignore format: one line
  [
    { outputs: { scores: { top: 32 } } },
    "right.outputs.scores.top: expected below the 32 values of output 'scores', got 32",
  ],
  [{ outputs: ['label'] }, 'right.outputs: expected an object'],
  ['label', "right: expected { outputs: { boxes: .., scores: .., area: .., words: .., ids: .. } } for a model of 5 outputs, got 'label'"], // biome-ignore format: one line
])('%j is refused', (right, message) => {
  const all = [...detector, ...specs({ area: [1], words: [-1] }), { name: 'ids', shape: [3], type: 'int64' } as const]
  expect(() => outputKindsOf(all, right as never)).toThrow(message)
})
