/** Teaches a memory a model's answers to inputs in advance, as a predictor would, and saves it for a predictor to load. */

import { secret } from '../base/random'
import type { Core } from '../core/core'
import { ErrorBudget } from '../layers/error-budget'
import type { Features } from '../memory/memory'
import { Pupil } from './error-budgets'
import { criterionFor, experienceOf, type Rightness } from './experiment'
import { type BatchModel, OwnAnswers, type Rows } from './model'
import type { Said } from './neighbours'

/**
 * The summary covers this many of the last inputs: the memory's confidence before it learned their answers. SURE is the confidence that
 * counts as sure.
 */
const LAST = 1000
export const SURE = 0.99
/** Nothing is answered here, so the error budget is never spent: the predictor that loads the state has its own. */
const ANY_ERROR = 0.01

export interface LearnOptions extends Rightness {
  core: Core
  model: BatchModel
  fingerprint: string
  inputs: Rows
  features?: Features | undefined
  onProgress(done: number): void
}

export interface Taught {
  /** As saved by a predictor; undefined if the inputs were too few, or too similar, for a memory. */
  state: Uint8Array | undefined
  remembered: number
  /** Of the last inputs, before their answers were learned: their number, how many the memory was sure of, and how many of these were right. */
  last: number
  sure: number
  right: number
}

export async function learnFrom(options: LearnOptions): Promise<Taught> {
  const { core, model, inputs, fingerprint, features } = options
  const budget = new ErrorBudget({ maxError: ANY_ERROR, recovers: false, coin: secret })
  const criterion = criterionFor(model, options)
  const memory = features && { features }
  const experience = experienceOf(core, model, { criterion, fingerprint, errorBudget: budget, memory })
  const [pupil, own] = [new Pupil(experience), new OwnAnswers(model, inputs)]
  const all: Said[] = []
  for (let i = 0; i < inputs.length; i++) {
    const [answer] = await own.of([i])
    const said = pupil.next(inputs.at(i) as Float32Array, answer)
    if (said) budget.see(said)
    if (said) all.push(said)
    options.onProgress(i + 1)
  }
  experience.settle()
  const last = all.slice(-LAST)
  const sure = last.filter(({ confidence }) => confidence >= SURE)
  const right = sure.filter(({ isRight }) => isRight).length
  const state = experience.memory === 'warm' ? experience.save() : undefined
  return { state, remembered: experience.remembered, last: last.length, sure: sure.length, right }
}
