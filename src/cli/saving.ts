/** approxifer evaluate: what a memory that answers before a worker is asked (reuse.maxError) would save. */

import { firstWindow } from '../evaluate/error-budgets'
import type { Saving, SavingTrial } from '../evaluate/saving'
import { percent } from './figures'
import type { ProgressBar } from './progress'
import { table } from './table'
import { note, wrap } from './terminal'

/** Milliseconds after which the first figures are printed. The rest of the stream is measured last. */
const FIRST_MS = 2000
/** The first figures are of this error budget, averaged over this many seeds of the audits' random draws. */
const FIRST = { maxError: 0.01, coins: 3 }

/** Measures the beginning of the stream and prints its figures, unless that was the whole stream. */
export async function beginSaving(trial: SavingTrial, isShown: boolean): Promise<void> {
  await trial.go(FIRST_MS)
  if (!isShown || trial.done === trial.total) return
  const { inferences, wrong } = trial.level(FIRST.maxError, FIRST.coins)
  const figures = `--max-error ${FIRST.maxError}: ${inferences.toFixed(2)} inferences a query, ${percent(wrong)} wrong`
  note(`answers before asking, ${trial.done} of ${trial.total} queries: ${figures}`)
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
  const rows = table(HEAD)
  for (const { maxError, inferences, wrong, wrongOfGiven, audits, neighbour } of levels) {
    const own = [maxError, inferences.toFixed(2), share(wrong), share(wrongOfGiven), share(audits)]
    rows.push([...own, neighbour.inferences.toFixed(2), share(neighbour.wrong), exact.inferences.toFixed(2)])
  }
  const short = levels.filter(({ maxError }) => firstWindow(maxError) > queries).map(({ maxError }) => maxError)
  const more = short.length ? `; fewer than one accounting window at ${short.join(', ')}: measure more` : ''
  const title = `answers before asking: ${queries} queries in their order, from an empty memory${more}`
  return `${wrap(title)}\n${rows}\n${wrap(advice)}`
}
