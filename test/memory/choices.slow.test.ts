/** Tags, rankings and relative errors: what a memory is sure of is right in the user's sense. */

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { OutputCriterion } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { Experience } from '../../src/memory/experience'
import { OnnxModel } from '../../src/workers/onnx/model'
import { digits } from '../shared/digits'

const core = await loadCore()
const SURE = 0.9
/** Answers before any counts. */
const LEARNED = 400
const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer

/** What is made of a model's answers. */
type Make = (logits: Float32Array) => Float32Array

/** Digits, each also a pixel up, down, left and right, in random order. */
function shifted(images: readonly Float32Array[]): Float32Array[] {
  const random = seeded(3)
  const all = images.flatMap((image) => [0, 1, -1, 28, -28].map((by) => image.map((_, i) => image[i + by] ?? 0)))
  for (let i = all.length - 1; i > 0; i--) {
    const other = random.below(i + 1)
    ;[all[i], all[other]] = [all[other], all[i]]
  }
  return all.slice(0, 1200)
}

/** Each query is recalled, then its answer is learned; the second half counts. @param isRight  as the user would say it */
async function measured(
  name: string,
  criterion: OutputCriterion,
  make: Make,
  isRight: (a: Float32Array, b: Float32Array) => boolean,
) {
  const isDigits = name === 'mnist'
  const folder = isDigits ? 'models/mnist-lenet' : `test/fixtures/${name}`
  const model = await OnnxModel.load(readFileSync(`${folder}.onnx`))
  const { images } = digits(file('mnist-digits.npy'), file('mnist-labels.npy'))
  const inputs = isDigits ? shifted(images) : (await loadInputs(`${folder}-inputs.npy`)).slice(0, 1600)
  const answers = (await answersOf(model, inputs)).map(make)
  await model.close()
  const signature = { inputs: [{ name: 'x', shape: isDigits ? [1, 28, 28] : [inputs[0].length] }], outputs: [{ name: 'y', shape: [answers[0].length] }] } // biome-ignore format: one line
  const experience = new Experience(core, signature, { criterion, warn() {} })
  let [asked, sure, right] = [0, 0, 0]
  for (const [i, input] of inputs.entries()) {
    const recollection = i < LEARNED ? undefined : experience.recall(input)
    if (recollection) {
      asked++
      const confidence = experience.confidence.of({ ...recollection, missing: 1 }) ?? 0
      if (confidence >= SURE) {
        sure++
        right += Number(isRight(recollection.answer, answers[i]))
      }
    }
    experience.confidence.observe(answers[i])
    Array.from(experience.train(input, answers[i]))
  }
  return { asked, sure: sure / asked, right: right / sure }
}

const tagsOf = (answer: Float32Array, threshold: number) => Array.from(answer, (value) => value > threshold).join()
const firstOf = (answer: Float32Array, k: number) => [...answer.keys()].sort((a, b) => answer[b] - answer[a]).slice(0, k).join() // biome-ignore format: one line
const cost: Make = ([value]) => Float32Array.of(Math.exp(value / 4))
const same: Make = (logits) => logits

/** Properties of a digit, each by the probability of those that have it. */
const properties: Make = (logits) => {
  const most = Math.max(...logits)
  const all = logits.map((value) => Math.exp(value - most))
  const sum = all.reduce((a, b) => a + b)
  const of = (...digits: number[]) => digits.reduce((total, digit) => total + all[digit] / sum, 0)
  return Float32Array.of(of(0, 2, 4, 6, 8), of(0, 6, 8, 9), of(5, 6, 7, 8, 9), of(1, 4, 7))
}
/** Offers, by how near their prices are to what is estimated. */
const offers: Make = ([value]) => Float32Array.from([4, 9, 14, 19, 24, 30], (price) => -Math.abs(price - value))

type Right = (a: Float32Array, b: Float32Array) => boolean
const sameTags =
  (threshold: number): Right =>
  (a, b) =>
    tagsOf(a, threshold) === tagsOf(b, threshold)
const sameFirst: Right = (a, b) => firstOf(a, 3) === firstOf(b, 3)

/** `least`: share of which it has to be sure. The sign of each logit and the order of runners-up are nothing that a memory of digits can tell. */
it.each<[what: string, name: string, criterion: OutputCriterion, make: Make, isRight: Right, least: number]>([
  ['tags: properties of digits', 'mnist', { kind: 'labels', threshold: 0.5 }, properties, sameTags(0.5), 0.3],
  ['tags: which logits are above 0', 'mnist', { kind: 'labels', threshold: 0 }, same, sameTags(0), 0],
  ['the first three of six offers', 'friedman', { kind: 'top', k: 3 }, offers, sameFirst, 0.01],
  ['the first three of ten digits', 'mnist', { kind: 'top', k: 3 }, same, sameFirst, 0],
  ['costs with a heavy tail, within a fifth', 'friedman', { kind: 'relative', share: 0.2 }, cost, ([a], [b]) => Math.abs(a - b) <= 0.2 * Math.abs(b), 0.5], // biome-ignore format: one line
])('%s: of what is sure 95 of 100 are right', async (what, name, criterion, make, isRight, least) => {
  const { asked, sure, right } = await measured(name, criterion, make, isRight)
  if (process.env.SHOW) console.log(what, asked, sure, right)
  expect(asked).toBeGreaterThan(500)
  expect(sure).toBeGreaterThanOrEqual(least)
  // Two deviations of what 95 of 100 comes to.
  if (sure) expect(right).toBeGreaterThanOrEqual(0.95 - 2 * Math.sqrt((0.95 * 0.05) / (sure * asked)))
})
