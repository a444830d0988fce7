/**
 * Of histories: how many answers may be wrong that one worker gave and a memory confirmed. Each is promised to be right with its confidence, so
 * that no single one proves anything; of many, within a run or over all seeds, no more are wrong than chance explains.
 */

import type { Entry } from './entries'

/** Standard deviations of a Poisson law, and as many wrong answers more: once in ten thousand that chance alone goes beyond. */
const CHANCE = 4

export class Checked {
  answers = 0
  wrong = 0
  /** Wrong ones that were promised at most. */
  expected = 0

  add({ answers, wrong, expected }: Pick<Checked, 'answers' | 'wrong' | 'expected'>): void {
    this.answers += answers
    this.wrong += wrong
    this.expected += expected
  }

  answered({ status, confidence = 1, label }: Entry & { what: 'answered' }): void {
    if (status === 'checked') this.add({ answers: 1, wrong: Number(!label), expected: 1 - confidence })
  }

  get isTooWrong(): boolean {
    return this.wrong > this.expected + CHANCE * Math.sqrt(this.expected) + CHANCE
  }
}

export function checkedIn(entries: readonly Entry[]): Checked {
  const checked = new Checked()
  for (const entry of entries) if (entry.what === 'answered') checked.answered(entry)
  return checked
}
