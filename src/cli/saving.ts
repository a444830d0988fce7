/** approxifer evaluate: what reuse within an error budget would save. */

import { firstWindow } from '../evaluate/error-budgets'
import type { Saving, SavingTrial } from '../evaluate/saving'
import { percent } from './figures'
import type { ProgressBar } from './progress'
import { table } from './table'
import { note, wrap } from './terminal'

/** Milliseconds for the first figures; the rest of the stream is measured last. */
const FIRST_MS = 2000
/** The error level of the first figures, and the number of random sequences. */
const FIRST = { maxError: 0.01, coins: 3 }

/** A line with the figures so far, before the stream is over. */
const soFar = (trial: SavingTrial) => {
  const { inferences, wrong } = trial.level(FIRST.maxError, FIRST.coins)
  const figures = `--max-error ${FIRST.maxError}: ${inferences.toFixed(2)} inferences a query, ${percent(wrong)} wrong`
  return `answers before asking, ${trial.done} of ${trial.total} queries: ${figures}`
}

/** Measures the first figures, and prints them unless the stream is over. */
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

const HEAD = [
  ...['--max-error', 'inferences a query', 'wrong', 'wrong of those unasked', 'audits'],
  ...['nearest neighbour', 'wrong (it)', 'equal queries'],
]

const share = (part: number) => `${(100 * part).toFixed(2)} %`

export function savingText(saving: Saving | { why: string }): string {
  if ('why' in saving) return wrap(`answers before asking: none, since ${saving.why}`)
  const { queries, levels, exact, advice } = saving
  const short = levels.filter(({ maxError }) => firstWindow(maxError) > queries).map(({ maxError }) => maxError)
  const more = short.length ? `; too few for a whole span at ${short.join(', ')}: more would show more` : ''
  const rows = table(HEAD)
  for (const { maxError, inferences, wrong, wrongOfGiven, audits, neighbour } of levels) {
    const own = [`${maxError}`, inferences.toFixed(2), share(wrong), share(wrongOfGiven), share(audits)]
    rows.push([...own, neighbour.inferences.toFixed(2), share(neighbour.wrong), exact.inferences.toFixed(2)])
  }
  const title = `answers before asking: ${queries} queries in their order, nothing known at first${more}`
  return `${wrap(title)}\n${rows}\n${wrap(advice)}`
}
