/** How many recovered answers are sure, and how many of these right: in shares, or in numbers where a share would boast. */

import { mean } from '../stats'
import { type Drawn, type Interval, percent, type Stated, shareOf } from './statistics'

/** Agreement is with the model's own answer. */
export interface Sureness {
  /** Recovered answers after the first `learn` groups. */
  tested: number
  agreement: number
  /** Those with at least `minConfidence`; how many of these agree, with its 95 % interval, where there are any. */
  sure: { share: number; agreement?: number; ci95?: Interval }
}

/** Of fewer sure answers, or of a smaller share of all, their number says more than what share of them is right. */
const FEW = 20
const FEW_SHARE = 0.005

export function surenessOf(stated: readonly (Stated & Drawn)[], minConfidence: number): Sureness {
  const figures = stated.map(({ query, group, right }) => ({ query, group, value: Number(right) }))
  const sure = figures.filter((_, i) => stated[i].confidence >= minConfidence)
  const { accuracy: agreement, ci95 } = sure.length ? shareOf(sure) : {}
  return {
    tested: stated.length,
    agreement: mean(figures.map(({ value }) => value)),
    sure: { share: sure.length / stated.length, agreement, ci95 },
  }
}

/** As cells of a table: how many are sure, and how many of these agree; the second is undefined where none is. */
export function sureCells({ tested, sure: { share, agreement = 0 } }: Sureness): [sure: string, agree?: string] {
  const count = Math.round(share * tested)
  if (!count) return [`none of ${tested}`]
  if (count < FEW || share < FEW_SHARE) return [`${count} of ${tested}`, `${Math.round(agreement * count)} of ${count}`]
  return [percent(share), percent(agreement)]
}

/** The same as a sentence. */
export function sureSentence(recovered: Sureness): string {
  const [sure, agree] = sureCells(recovered)
  if (agree === undefined) return `${sure} recovered answers is sure`
  if (agree.endsWith(' of 1'))
    return `${sure} recovered answers is sure, and it is ${agree === '1 of 1' ? 'right' : 'wrong'}`
  if (agree.endsWith('%')) return `${sure} of recovered answers are sure, ${agree} of these right`
  return `${sure} recovered answers are sure, ${agree} right`
}
