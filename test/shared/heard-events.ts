/** What `onEvent` tells, and what follows from it. */

import type { ModelVersionReport, PredictorEvent, RecallEvent } from '../../src/events'
import type { Verdict } from '../../src/trust/reputation'

export type { Verdict }

type Listener = (told: PredictorEvent) => void

/** A listener of the verdicts on workers. */
export const verdicts =
  (heard: (verdict: Verdict) => unknown): Listener =>
  (told) => {
    if (told.event !== 'ejected' && told.event !== 'readmitted' && told.event !== 'kept') return
    const { worker, identity, evidence } = told
    const kind = told.event === 'ejected' && told.why === 'deviant' ? told.why : told.event
    return heard({ worker, identity, kind, evidence })
  }

/** A listener of who is proven to lie. */
export const liars = (heard: (liar: Verdict) => unknown): Listener =>
  verdicts((verdict) => verdict.kind === 'ejected' && heard(verdict))

/** A listener of what becomes of models. */
export const models =
  (heard: (report: ModelVersionReport) => unknown): Listener =>
  (told) =>
    told.event === 'model' && heard(told)

/** What is recalled of a worker's answers for one tenant. */
export type Recall = Omit<RecallEvent, 'event' | 'at'>

/** A listener of what is recalled. */
export const recalls =
  (heard: (recall: Recall) => unknown): Listener =>
  (told) => {
    if (told.event !== 'recalled') return
    const { event: _, at, ...recall } = told
    return heard(recall)
  }

/** One for several. */
export const together =
  (...listeners: readonly Listener[]): Listener =>
  (told) => {
    for (const listener of listeners) listener(told)
  }

type Named<N extends PredictorEvent['event']> = Extract<PredictorEvent, { event: N }>

export class HeardEvents {
  /** In order. */
  readonly all: PredictorEvent[] = []
  /** Queries, and attempts that workers have begun with, of which no end was told. */
  readonly #open = new Set<string>()
  /** Queries that were given what was recovered. */
  recovered = 0
  readonly #keeps: boolean

  /** @param keeps  false: it only counts */
  constructor(keeps = true) {
    this.#keeps = keeps
  }

  readonly onEvent = (told: PredictorEvent): void => {
    if (this.#keeps) this.all.push(told)
    const { event } = told
    if (event === 'asked' && told.kind === 'query') this.#open.add(`${told.query}`)
    if (event === 'began') this.#open.add(`${told.query} ${told.attempt}`) // again, where its worker lost it
    if (event === 'answered' || event === 'failed') this.#open.delete(`${told.query} ${told.attempt}`)
    if (event === 'ended') this.#open.delete(`${told.query}`)
    if (event === 'recovered') this.recovered++
  }

  get unended(): number {
    return this.#open.size
  }

  /** Those of a name. */
  of<N extends PredictorEvent['event']>(name: N): Named<N>[] {
    return this.all.filter(({ event }) => event === name) as Named<N>[]
  }

  /** How attempts ended, as "w0 onTime", "w1 late", "w2 WORKER", in that order. */
  get attempts(): string[] {
    return this.all.flatMap((told) => {
      if (told.event === 'answered') return `${told.worker} ${told.onTime ? 'onTime' : 'late'}`
      return told.event === 'failed' ? `${told.worker} ${told.code}` : []
    })
  }
}
