/**
 * What several workers' answers to one query prove: which answer is right, and who lied. Of E + 1 that agree one at least is
 * honest, where E lie at most. Pure.
 */

import { type Criterion, difference, sameLabels } from '../criterion'

/** When answers are the same, and when they cannot both be honest. */
export interface Equality {
  criterion: Criterion
  /** Root mean square difference up to which they are the same: engines and machines round in their own ways. */
  tolerance: number
}

/** Differences of so many tolerances are no rounding. In between nothing is proven. */
const FAR = 3

export interface Ruling {
  /** The largest set of answers that agree with one another: positions. Each stands for all. */
  agreeing: number[]
  /** Whether they are right. */
  proven: boolean
  /** Positions of answers that are lies, with proof. */
  lies: number[]
}

/**
 * @param answers  of different workers to the same query
 * @param liars    E: workers that may lie, also together
 */
export function ruling(answers: readonly Float32Array[], liars: number, equality: Equality): Ruling {
  let agreeing: number[] = []
  for (let from = 0; from < answers.length - agreeing.length; from++) {
    const set = agreeingWith(answers, from, equality)
    if (set.length > agreeing.length) agreeing = set
  }
  const witnesses = Math.max(liars, 1) + 1
  const isLie = (answer: Float32Array) => {
    return agreeing.filter((i) => difference(answer, answers[i]) > FAR * equality.tolerance).length >= witnesses
  }
  const others = [...answers.keys()].filter((i) => !agreeing.includes(i))
  return { agreeing, proven: agreeing.length > liars, lies: others.filter((i) => isLie(answers[i])) }
}

/** Whether two answers are the same; with labels, these as well: a liar could else tip the scales between two near ones. */
export function agree(a: Float32Array, b: Float32Array, { criterion, tolerance }: Equality): boolean {
  return difference(a, b) <= tolerance && (criterion.kind !== 'label' || sameLabels(a, b, criterion))
}

/** The answer at `from`, and those behind it that agree with it and with one another. */
function agreeingWith(answers: readonly Float32Array[], from: number, equality: Equality): number[] {
  const set = [from]
  for (let i = from + 1; i < answers.length; i++) {
    if (set.every((other) => agree(answers[i], answers[other], equality))) set.push(i)
  }
  return set
}
