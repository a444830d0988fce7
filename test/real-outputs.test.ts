/** What counts as right, of outputs as they are found: what is read wrongly has to be said, at the start or by the first answers. */

import { expect, it } from 'vitest'
import type { OutputCriterion } from '../src/base/criterion'
import { outputKindsOf } from '../src/base/output-kind'
import { FIRST_ANSWERS, FirstAnswers } from '../src/base/refutation'
import { size, type TensorSpec } from '../src/base/tensor'
import { kinds, type Meant, type RealOutput, realOutputs } from './shared/real-outputs'

/** What is read of an output, and what is said: at the start, or after the first answers. */
function readingOf({ output, shape, op, axis, config, type, beside = {}, values }: RealOutput) {
  const others = Object.entries(beside).map(([name, shape]) => ({ name, shape }))
  const outputs: TensorSpec[] = [{ name: output, shape, ...(type && { type }) }, ...others]
  const hints = { config, ...(op && { node: { op, axis } }) }
  const readings = outputKindsOf(outputs, undefined, [hints, ...others.map(() => ({ config }))])
  const [reading] = readings
  const first = new FirstAnswers(outputs.slice(0, 1), [reading], () => {})
  const isLarge = size({ shape }) > 20_000 // maps, which no answer speaks against
  for (let i = 0; i < FIRST_ANSWERS && !isLarge; i++) first.see(kinds[values](size({ shape })))
  return { reading, starts: reading.doubt === undefined, isSaid: first.doubt !== undefined }
}

function isMeant(meant: Meant, right: OutputCriterion, shape: readonly number[]): boolean {
  if (typeof meant === 'object') {
    const step = size({ shape: shape.slice(meant.axis + 1) })
    return right.kind === 'label' && right.classes === shape[meant.axis] && (right.step ?? 1) === step
  }
  if (meant === 'near') return right.kind === 'tolerance'
  return meant === right.kind // of `value` and `top` nothing that is read by itself is what is meant
}

const shown = ({ model, output, shape }: RealOutput) => `${model}: ${output} [${shape}]`

it('of 94 outputs of 71 kinds of models at most 3 are read wrongly without a word', () => {
  expect(realOutputs.length).toBeGreaterThanOrEqual(94)
  expect(new Set(realOutputs.map(({ model }) => model)).size).toBeGreaterThanOrEqual(71)
  const wrong = realOutputs.filter((each) => {
    const { reading, isSaid } = readingOf(each)
    return !isSaid && !isMeant(each.meant, reading.right, each.shape)
  })
  expect(wrong.map(shown)).toEqual([
    'ball flight, position and speed: predictions [6]',
    'learning to rank, ten candidates: scores [10]',
  ])
})

it('of 40 plain classifiers 35 start without a word of their users, and go on', () => {
  const all = realOutputs.filter(({ isPlain }) => isPlain)
  expect(all).toHaveLength(40)
  const stopped = all.filter((each) => {
    const { starts, isSaid, reading } = readingOf(each)
    return !starts || isSaid || !isMeant(each.meant, reading.right, each.shape)
  })
  expect(stopped.map(shown)).toEqual([
    'CIFAR classifier of a tutorial: output [10]',
    'zoo MNIST: Plus214_Output_0 [10]',
    'zoo Emotion FERPlus: Plus692_Output_0 [8]',
  ])
})

it('what is said names what to write', () => {
  for (const each of realOutputs) {
    const { doubt } = readingOf(each).reading
    if (doubt) expect(doubt).toMatch(/^right.*: expected .*(\{ within: x \}|'label').* got none: /)
  }
})

it('equal queries to a classifier turned off everything approximate: an answer that is given again is no evidence', () => {
  const outputs: TensorSpec[] = [{ name: 'output', shape: [10] }]
  const [kind] = outputKindsOf(outputs, undefined, [{ config: { labels: 10 } }])
  const doubtOf = (answers: readonly Float32Array[]) => {
    const first = new FirstAnswers(outputs, [{ ...kind, evidence: 'name', doubt: undefined } as typeof kind], () => {})
    for (const answer of answers) first.see(answer)
    return first.doubt
  }
  const answers = Array.from({ length: FIRST_ANSWERS }, (_, i) =>
    Float32Array.from({ length: 10 }, (_, j) => 5 * Math.sin(i + 1 + j * j)),
  )
  expect(doubtOf(answers.map(() => answers[0]))).toBe(undefined)
  const normalised = answers.map((values) => values.map((value) => value / Math.hypot(...values)))
  expect(doubtOf(normalised)).toContain('vectors of one length')
})
