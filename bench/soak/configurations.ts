/** What the soak runs: predictors, the habits of their callers, and how many workers are in trouble at a time. */

import type { PredictorOptions } from 'approxifer'

export interface Configuration {
  name: string
  /** One after the other; they share the queries. */
  predictors: Omit<PredictorOptions, 'workers' | 'model'>[]
  /** Share of callers that abort at a random moment, and of those with a deadline of a few milliseconds. */
  aborting: number
  hasty: number
  /** Workers that are slow, crash, hang or answer garbage at a time, and workers that lie. */
  troubled: number
  liars: number
  /** Whether predictors are closed while queries are under way. */
  closing: boolean
  /** Least share of answers with the label that the bare model gives. With one liar: .98; without a locator .92. */
  agreement: number
}

const hangMs = 400
const systematic = { hangMs, scheme: { queries: 8, stragglers: 1 } }
const hedges = { hangMs }
const retry = { hangMs, scheme: { queries: 4, stragglers: 1 }, policy: 'retry', memory: false } as const
const paper = { hangMs, scheme: { queries: 4, stragglers: 1, byzantine: 1 } }
const honest = { aborting: 0, hasty: 0, troubled: 1, liars: 0, closing: false, agreement: 0.97 }

export const configurations: Configuration[] = [
  { ...honest, name: 'systematic', predictors: [systematic] },
  { ...honest, name: 'hedges', predictors: [hedges] },
  { ...honest, name: 'retry', predictors: [retry] },
  { ...honest, name: 'aborts', predictors: [systematic], aborting: 0.3, hasty: 0.3 },
  { ...honest, name: 'liars', predictors: [paper], liars: 1, agreement: 0.96 },
  {
    ...honest,
    name: 'closing',
    predictors: [hedges, systematic, retry, paper, systematic],
    closing: true,
    agreement: 0.9,
  },
]
