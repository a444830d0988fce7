/** How outputs are read, by what is said of them and by type, shape and name. */

import { expect, it } from 'vitest'
import { criterionOf } from '../src/criterion'
import { type CriterionOptions, readingsOf } from '../src/reading'
import type { TensorSpec } from '../src/tensor'

const specs = (outputs: Record<string, readonly number[]>): TensorSpec[] =>
  Object.entries(outputs).map(([name, shape]) => ({ name, shape }))
const detector = specs({ boxes: [32, 4], scores: [32] })
const kinds = (outputs: readonly TensorSpec[], options: CriterionOptions = {}) =>
  readingsOf(outputs, options).map(({ right, doubt }) => `${right.kind}${doubt ? '?' : ''}`)

it.each([
  [{ logits: [10] }, ['label']],
  [{ class_probabilities: [1, 7] }, ['label']],
  [{ output: [10] }, ['label?']],
  [{ y: [3] }, ['label?']], // three measurements may be no three classes
  [{ sentence_embedding: [384] }, ['tolerance']],
  [{ class_embeds: [512] }, ['tolerance']],
  [{ score: [1] }, ['tolerance']],
  [{ masks: [21, 64, 64] }, ['tolerance']],
  [{ logits: [-1] }, ['tolerance']],
  [{ boxes: [32, 4], scores: [32] }, ['tolerance', 'tolerance?']], // a score of each box, or as many classes
  [{ boxes: [100, 4], scores: [100, 91] }, ['tolerance', 'tolerance']],
  [{ hidden: [12, 64], logits: [24] }, ['tolerance', 'label']],
])('%j: %j', (outputs, expected) => {
  expect(kinds(specs(outputs))).toEqual(expected)
})

it('a doubt says what is read, and how another reading is said', () => {
  const [, { why, doubt }] = readingsOf(detector, {})
  expect(why).toBe("it has as many values as 'boxes' has rows")
  expect(doubt).toBe(
    "output 'scores' of [32] is read as one measurement for each of the rows of 'boxes', which is a guess: if it is something else, say right: { outputs: { scores: 'label' } }",
  )
  expect(readingsOf(specs({ 'e,f': [3] }), {})[0].doubt).toMatch(/say right: \{ outputs: \{ "e,f": 0\.1 \} \}$/)
})

it('values that are no real numbers are equal or not', () => {
  const outputs = [{ name: 'ids', shape: [3], type: 'int64' }, ...specs({ logits: [3] })] as const
  expect(kinds(outputs)).toEqual(['equal', 'label'])
  expect(kinds(outputs.slice(0, 1), { labelAxis: 'none' })).toEqual(['equal'])
})

it('what is said goes before, and leaves no doubt', () => {
  expect(kinds(detector, { outputs: { scores: 'label', boxes: 2.5 } })).toEqual(['tolerance', 'label'])
  expect(kinds(detector, { outputs: { boxes: 'equal' } })).toEqual(['equal', 'tolerance?'])
  expect(kinds(detector, { labelAxis: 'last' })).toEqual(['label', 'tolerance?'])
  expect(kinds(specs({ y: [3] }), { labelAxis: 'none' })).toEqual(['tolerance'])
  expect(criterionOf(detector, { outputs: { scores: 'label', boxes: 2.5 } })).toEqual({
    kind: 'outputs',
    outputs: [
      { name: 'boxes', from: 0, size: 128, right: { kind: 'tolerance', tolerance: 2.5 } },
      { name: 'scores', from: 128, size: 32, right: { kind: 'label', positions: 1, classes: 32 } },
    ],
  })
})

it('one tolerance is of the one output that has no other criterion', () => {
  const outputs = specs({ logits: [10], boxes: [8, 4] })
  expect(readingsOf(outputs, { tolerance: 3 })[1].right).toEqual({ kind: 'tolerance', tolerance: 3 })
  expect(() => readingsOf(detector, { tolerance: 3 }, 'right.')).toThrow(
    "right.tolerance: expected one for each of 'boxes', 'scores' (right.outputs), got 3 for all",
  )
  expect(readingsOf(detector, { tolerance: 3, outputs: { scores: 'label' } })[0].right).toMatchObject({ tolerance: 3 })
})

it.each([
  [{ scoers: 'label' }, "right.outputs.scoers: expected 'scores', got an unknown option"],
  [{ scores: 'labels' }, "right.outputs.scores: expected 'label', 'equal' or a number above 0, got \"labels\""],
  [{ scores: 0 }, "right.outputs.scores: expected 'label', 'equal' or a number above 0, got 0"],
  [{ ids: 'label' }, 'right.outputs.ids: expected \'equal\' for int64, got "label"'],
  [
    { area: 'label' },
    "right.outputs.area: expected 'equal' or a tolerance for output 'area' of one value, got 'label'",
  ],
  [{ words: 'label' }, "right.outputs.words: expected 'equal' or a tolerance for output 'words' of float32 [?], got 'label'"], // biome-ignore format: one line
  [['label'], 'right.outputs: expected an object'],
])('%j is refused', (outputs, message) => {
  const all = [...detector, ...specs({ area: [1], words: [-1] }), { name: 'ids', shape: [3], type: 'int64' } as const]
  expect(() => readingsOf(all, { outputs } as never, 'right.')).toThrow(message)
})
