/**
 * Decides when the answers to a query are good enough, and which of them are lies. Pure. Where E workers may lie, even in collusion, E + 1 answers
 * that agree prove an answer: at least one of them is honest.
 */

import type { Payload } from '../base/payload'
import { agree, type Equality, isLie } from './equality'

/** What several workers' answers to one query show. */
export interface Judgement {
  /** Positions of the largest set of answers that all agree with one another. */
  readonly agreeing: readonly number[]
  /** Whether the agreeing answers are proven right. */
  readonly isProven: boolean
  /** Positions of answers that are proven to be lies. */
  readonly lies: readonly number[]
  /** How many more answers a proof takes, if all of them agree. */
  readonly lacking: number
}

export interface Acceptance {
  readonly needed: number
  judge(answers: readonly Payload[], equality: Equality): Judgement
}

/** @param liars  E: workers that may lie, even in collusion */
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

/** The answer at `from`, and all later ones that agree with it and with one another. */
function agreeingWith(answers: readonly Payload[], from: number, equality: Equality): number[] {
  const set = [from]
  for (let i = from + 1; i < answers.length; i++) {
    if (set.every((other) => agree(answers[i], answers[other], equality))) set.push(i)
  }
  return set
}
