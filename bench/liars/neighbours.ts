/**
 * What one caller's queries can do to another's confidence where both are of one tenant. A victim asks for a model's test images,
 * 1,000 of which are remembered already; between two of them an attacker asks five crafted queries, whose answers teach as all
 * do: images of the victim's moved just over the border to another label, values a thousand times too large, or one grey. In
 * process, without time.
 */

import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { calibrationError, reliability } from '../../src/evaluate/statistics'
import { dataOf, type ModelName, modelOf, newExperience } from '../shared/models'

const REMEMBERED = 1000
const ASKED = 2000
/** 10,000 in all. */
const CRAFTED = 5
const SURE = 0.9
const BISECTIONS = 6
export const CRAFTS = ['none', 'border', 'outliers', 'grey'] as const
export type Craft = (typeof CRAFTS)[number]

export interface Neighbour {
  /** Of the victim's recoveries: with the model's own label, sure ones, wrong ones of these, and the calibration error. */
  agreement: number
  sure: number
  wrong: number
  error: number
}

/** A crafted query near one of the victim's, of which `label` tells what the model says. */
const crafts: Record<
  Craft,
  (near: Float32Array, other: Float32Array, label: Labels, random: Random) => Promise<Float32Array>
> = {
  none: async (near) => near,
  border: async (near, other, label) => {
    const towards = (share: number) => near.map((value, i) => value + share * (other[i] - value))
    const own = await label(near)
    let [inside, beyond] = [0, 1]
    for (let i = 0; i < BISECTIONS; i++) {
      const middle = (inside + beyond) / 2
      if ((await label(towards(middle))) === own) inside = middle
      else beyond = middle
    }
    return towards(beyond)
  },
  outliers: async (near) => near.map((value) => 1000 * value),
  grey: async (near, _other, _label, random) => new Float32Array(near.length).fill(random.next()),
}

type Labels = (query: Float32Array) => Promise<number>

export async function neighbour(name: ModelName, craft: Craft): Promise<Neighbour> {
  const [{ inputs, answers, signature }, model] = [await dataOf(name), await modelOf(name)]
  const random = seeded(1)
  const experience = newExperience(await loadCore(), signature)
  const order = random.choose(inputs.length, REMEMBERED + ASKED)
  const teach = (query: Float32Array, own: Float32Array) => void Array.from(experience.train(query, own))
  const label: Labels = async (query) => {
    const [answer] = await answersOf(model, [query])
    return labelAt(answer, { classes: answer.length })
  }
  for (const i of order.slice(0, REMEMBERED)) teach(inputs[i], answers[i])
  const stated: { confidence: number; right: boolean }[] = []
  for (const [at, i] of order.slice(REMEMBERED).entries()) {
    const recalled = experience.recall(inputs[i])
    if (recalled) {
      const confidence = experience.confidence.of({ ...recalled, missing: 1 }) ?? 0
      stated.push({ confidence, right: experience.confidence.agrees(recalled.answer, answers[i]) === true })
    }
    teach(inputs[i], answers[i])
    for (let c = 0; craft !== 'none' && c < CRAFTED; c++) {
      const near = inputs[order[random.below(REMEMBERED + at + 1)]]
      const query = await crafts[craft](near, inputs[random.below(inputs.length)], label, random)
      teach(query, (await answersOf(model, [query]))[0])
    }
  }
  const sure = stated.filter(({ confidence }) => confidence >= SURE)
  return {
    agreement: stated.filter(({ right }) => right).length / stated.length,
    sure: sure.length / stated.length,
    wrong: sure.filter(({ right }) => !right).length,
    error: calibrationError(reliability(stated)),
  }
}
