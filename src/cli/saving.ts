/** approxifer evaluate: what answers before asking would save, for the terminal and the report. */

import { firstWindow } from '../evaluate/error-budgets'
import type { Saving, SavingLevel, SavingTrial } from '../evaluate/saving'
import { percent } from './figures'
import type { ProgressBar } from './progress'
import { table } from './table'
import { note, wrap } from './terminal'

/** Milliseconds for the first figures; what is left of the stream comes after all else. */
const FIRST_MS = 2000
/** That the first figures are about, with fewer coins. */
const FIRST = { maxError: 0.01, coins: 3 }

/** A line of what is known before the stream is over. */
const soFar = (trial: SavingTrial) => {
  const { inferences, wrong } = trial.level(FIRST.maxError, FIRST.coins)
  const figures = `--max-error ${FIRST.maxError}: ${inferences.toFixed(2)} inferences a query, ${percent(wrong)} wrong`
  return `answers before asking, ${trial.done} of ${trial.total} queries: ${figures}`
}

/** @returns what is known of it at first, told where it is not all */
export async function beginSaving(trial: SavingTrial, isShown: boolean): Promise<void> {
  await trial.go(FIRST_MS)
  if (isShown && trial.done < trial.total) note(soFar(trial))
}

export async function endSaving(trial: SavingTrial, progress: ProgressBar): Promise<Saving> {
  const begun = trial.done
  progress.start('stream', trial.total - begun)
  await trial.go(undefined, () => progress.update(trial.done - begun))
  progress.stop()
  return trial.summary()
}

export const savingHead = [
  '--max-error',
  'inferences a query',
  'wrong',
  'wrong of those unasked',
  'audits',
  'nearest neighbour',
  'wrong (it)',
  'equal queries',
]

export function savingRow(level: SavingLevel, saving: Saving): string[] {
  const { maxError, inferences, wrong, wrongOfGiven, audits, neighbour } = level
  const own = [inferences.toFixed(2), share(wrong), share(wrongOfGiven), share(audits)]
  return [
    `${maxError}`,
    ...own,
    neighbour.inferences.toFixed(2),
    share(neighbour.wrong),
    saving.exact.inferences.toFixed(2),
  ]
}

const share = (part: number) => `${(100 * part).toFixed(2)} %`

/** What the table is about, and what it leaves open. */
export function savingTitle({ queries, levels }: Saving): string {
  const short = levels.filter(({ maxError }) => firstWindow(maxError) > queries).map(({ maxError }) => maxError)
  const more = short.length ? `; too few for a whole span at ${short.join(', ')}: more would show more` : ''
  return `answers before asking: ${queries} queries in their order, nothing known at first${more}`
}

export function savingText(saving: Saving | { why: string }): string {
  if ('why' in saving) return wrap(`answers before asking: none, since ${saving.why}`)
  const rows = table(savingHead)
  for (const level of saving.levels) rows.push(savingRow(level, saving))
  return `${wrap(savingTitle(saving))}\n${rows}\n${wrap(saving.advice)}`
}
