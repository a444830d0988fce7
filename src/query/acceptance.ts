/**
 * When the answers to a query are good enough, and which of them are lies. Pure. Where nobody lies the first answer will do. Where E
 * workers may, also together, E + 1 that agree prove an answer, since one of them at least is honest; and a memory that is confident
 * may check a single one.
 */

import { type Criterion, sameLabels } from '../criterion'
import type { Payload } from '../payload'
import { rmsDifference, rootMeanSquare } from '../stats'

/** When answers are the same, and when they cannot both be honest. */
export interface Equality {
  readonly criterion: Criterion
  /** Share of the deviation up to which two answers are the same: engines and machines round in their own ways. */
  readonly rounding: number
  /** How much the model's answers differ from each other; undefined until it is known. */
  readonly deviation: number | undefined
}

/** What several workers' answers to one query show. */
export interface Judgement {
  /** Positions of the largest set of answers that agree with one another; each stands for all. */
  readonly agreeing: readonly number[]
  /** Whether they are right. */
  readonly isProven: boolean
  /** Positions of answers that are lies, with proof. */
  readonly lies: readonly number[]
  /** How many answers more it takes, were all to agree with these. */
  readonly lacking: number
}

export interface Acceptance {
  /** How many workers have to agree. */
  readonly needed: number
  judge(answers: readonly Payload[], equality: Equality): Judgement
}

/** Differences of this many times what counts as the same are no rounding. In between nothing is proven. */
const FAR = 3
/** And before it is known how much answers differ; without labels nothing is proven then: a value near 0 has no size to go by. */
const FAR_AT_FIRST = 30
/** Answers that hardly differ from each other, as to the same query again and again, are rounded all the same: by their size. */
const LEAST_DEVIATION = 0.1

/** Nobody lies: the first answer is the model's own. */
export const first: Acceptance = {
  needed: 1,
  judge: (answers) => ({
    agreeing: answers.length ? [0] : [],
    isProven: answers.length > 0,
    lies: [],
    lacking: Number(!answers.length),
  }),
}

/** @param liars  E: workers that may lie, also together */
export function agreement(liars: number): Acceptance {
  return { needed: liars + 1, judge: (answers, equality) => judged(answers, liars, equality) }
}

function judged(answers: readonly Payload[], liars: number, equality: Equality): Judgement {
  let agreeing: number[] = []
  for (let from = 0; from < answers.length - agreeing.length; from++) {
    const set = agreeingWith(answers, from, equality)
    if (set.length > agreeing.length) agreeing = set
  }
  const witnesses = Math.max(liars, 1) + 1
  const against = (answer: Payload) => agreeing.filter((i) => isLie(answer, answers[i], equality)).length
  const others = [...answers.keys()].filter((i) => !agreeing.includes(i))
  return {
    agreeing,
    isProven: agreeing.length > liars,
    lies: others.filter((i) => against(answers[i]) >= witnesses),
    lacking: Math.max(0, liars + 1 - agreeing.length),
  }
}

/** Whether two answers are the same; with labels, these as well: a liar could else tip the scales between two near ones. */
export function agree({ vector: a }: Payload, { vector: b }: Payload, equality: Equality): boolean {
  const { criterion } = equality
  return rmsDifference(a, b) <= tolerance(a, b, equality) && (criterion.kind !== 'label' || sameLabels(a, b, criterion))
}

/** Whether an answer is no rounding of a right one. */
export function isLie({ vector: answer }: Payload, { vector: right }: Payload, equality: Equality): boolean {
  const { deviation, criterion } = equality
  if (deviation === undefined && criterion.kind !== 'label') return false
  const times = deviation === undefined ? FAR_AT_FIRST : FAR
  return rmsDifference(answer, right) > times * tolerance(right, right, equality)
}

/** By the smaller of the two: no answer may decide by its size what is the same for others. */
function tolerance(a: Float32Array, b: Float32Array, { rounding, deviation }: Equality): number {
  const size = Math.min(rootMeanSquare(a), rootMeanSquare(b))
  return rounding * Math.max(deviation ?? size, LEAST_DEVIATION * size)
}

/** The answer at `from`, and those behind it that agree with it and with one another. */
function agreeingWith(answers: readonly Payload[], from: number, equality: Equality): number[] {
  const set = [from]
  for (let i = from + 1; i < answers.length; i++) {
    if (set.every((other) => agree(answers[i], answers[other], equality))) set.push(i)
  }
  return set
}
