/**
 * Measures verified inference on a user's own model and data: how many of a liar's answers would be given as `checked`, and the inferences
 * per query in a pool without liars. In process, without workers or time.
 */

import { checkInteger } from '../base/check'
import { seeded } from '../base/random'
import type { Core } from '../core/core'
import { DEFAULT_BYTES, type Features } from '../memory/domain'
import type { Experience } from '../memory/experience'
import { Memory } from '../memory/memory'
import { parseAttack } from '../testing/faults'
import { criterionFor, experienceOf, type Rightness } from './experiment'
import { type BatchModel, OwnAnswers, type Rows, sizesOf } from './model'

export interface VerifiedOptions extends Rightness {
  core: Core
  model: BatchModel
  inputs: Rows
  /** The model's answers to the inputs. Default: computed when needed. */
  own?: Pick<OwnAnswers, 'of'> | undefined
  /** E, the number of workers that may lie. */
  liars: number
  /** How they lie; see `attackForms`. */
  attack: string
  /** Number of inputs that the memory learns first. Default: half of them, at most 1,000. */
  memory?: number | undefined
  features?: Features | undefined
  /** Default 1. */
  seed?: number | undefined
}

/** The result of one value of `integrity`. */
export interface IntegrityLevel {
  /** Confidence from which one worker's answer is enough if the memory agrees with it; 1: all answers are proven by agreement. */
  integrity: number
  /** Queries for which one worker is enough. */
  checked: number
  /** Inferences per query beyond the first, without liars; audits are not counted. */
  extra: number
  /** Lies that differ from the right answer, and those that would be given as `checked`. */
  lies: number
  passed: number
}

export interface Verified {
  liars: number
  attack: string
  memory: number
  /** Number of inputs that were measured after the learned ones. */
  queries: number
  levels: IntegrityLevel[]
}

const LEVELS = [0.8, 0.9, 0.95, 0.97, 1]
/** Most inputs for measuring, and the share of them that only trains the confidence. */
const MOST = 3000
const WARMING = 1 / 3

/** @throws RangeError for options out of range, or inputs too few or too large to be remembered */
export async function evaluateVerified(options: VerifiedOptions): Promise<Verified> {
  const { core, model, inputs, own = new OwnAnswers(model, inputs), liars, attack, features, seed = 1 } = options
  const lie = parseAttack(attack)
  const lying = seeded(seed + 0x2c1b3c6d)
  const memory = checkInteger('memory', options.memory ?? Math.min(1000, inputs.length >> 1), 0, inputs.length - 1)
  const experience = experienceOf(core, model, {
    criterion: criterionFor(model, options),
    memory: memory > 0 && {
      bytes: Math.max(DEFAULT_BYTES, Memory.bytes(sizesOf(model), memory)),
      ...(features && { features }),
    },
  })
  const order = seeded(seed).choose(inputs.length, Math.min(inputs.length, memory + MOST))
  const from = memory + WARMING * (order.length - memory)
  const levels = LEVELS.map((integrity) => ({ integrity, checked: 0, extra: 0, lies: 0, passed: 0 }))
  for (const [n, input] of order.entries()) {
    const [answer] = await own.of([input])
    const row = inputs.at(input) as Float32Array
    experience.confidence.observe(answer)
    if (n < memory)
      Array.from(experience.train(row, answer)) // all steps at once: no query waits
    else count(levels, experience, row, answer, lie([answer], lying)[0], n >= from ? liars : undefined)
  }
  experience.settle()
  const queries = order.length - Math.ceil(from)
  const perQuery = (level: IntegrityLevel) => ({ ...level, extra: level.extra / Math.max(1, queries) })
  return { liars, attack, memory: experience.remembered, queries, levels: levels.map(perQuery) }
}

/** Counts a query for each level. @param liars  undefined: the query only trains the confidence */
function count(
  levels: readonly IntegrityLevel[],
  experience: Experience,
  row: Float32Array,
  answer: Float32Array,
  lie: Float32Array,
  liars: number | undefined,
): void {
  const { confidence: judge } = experience
  const said = experience.recall(row)
  const recalled = said && { ...said, missing: 1 }
  if (liars === undefined) return void (recalled && judge.rehearse(recalled, answer))
  const confidence = (recalled && judge.of(recalled)) ?? 0
  const right = recalled && judge.agrees(recalled.answer, answer)
  const isWrong = judge.agrees(lie, answer) === false
  for (const level of levels) {
    const isConfident = confidence >= level.integrity && level.integrity < 1
    if (isConfident && right) level.checked++
    else level.extra += liars
    if (!isWrong) continue
    level.lies++
    if (isConfident && recalled && judge.agrees(recalled.answer, lie)) level.passed++
  }
}

/** Share of lies that may pass, and how many lies are needed to tell. */
const TOLERATED = 0.01
const ENOUGH = 100
/** Share of the inferences of proving everything that a memory must stay below to be worthwhile. */
const WORTH = 0.95

/** The integrity that costs least and lets almost no lie pass; 1 if no memory is worthwhile. */
export function recommendVerified(
  { levels, liars }: Verified,
  paper: { extra: number },
): { integrity: number; why: string } {
  const safe = levels.filter(({ lies, passed }) => lies >= ENOUGH && passed <= TOLERATED * lies)
  const [best] = [...safe].sort((a, b) => a.extra - b.extra)
  const { integrity, extra } = best && best.extra <= WORTH * liars ? best : { integrity: 1, extra: liars }
  const what = integrity < 1 ? 'verified inference' : 'duplicate and compare (verified, all proven)'
  const all = integrity < 1 ? `, where proving all takes ${liars.toFixed(2)}` : ''
  const why = `${what}: ${extra.toFixed(2)} more inferences a query${all} and the paper's code ${paper.extra.toFixed(2)}, for approximations`
  return { integrity, why }
}
