/** What a history is made of. */

import type { ModelVersionReport } from '../../src/events'

/** What was promised for this run. */
export interface Promised {
  byzantine: number
  /** Anybody may join: the share of the answers that is right is expected to be so large, and this identity is the user's. */
  open?: { integrity: number; own: string }
  /** A new model answers some queries before it takes the place of the one before. */
  isRolled?: boolean
  /** Of all answers those that may be wrong of which no worker was asked; 0: none is remembered. */
  maxError?: number
  /** How often these were counted from nothing. */
  ledgers?: number
  /** Answers are given as they come, such a share of them is audited, and a convict's are recalled. */
  sampled?: { rate: number }
  /** Whether answers are decoded from all rows, as in the paper. */
  preset: boolean
  /** Whether no more than S workers are ever in trouble, and the others can answer all: then every query has an answer within so many ms. */
  answersIn: number
  /** A worker that is at work on one call for longer is restarted, where it can be. */
  hangMs: number
  /** Queries under way at most. */
  limit: number
  minConfidence: number
  /** Workers that a query may take down before it is given to no other. */
  kills?: number
  /** Second requests that may be saved up, and their share of the queries. */
  hedges: { burst: number; share: number }
  /** How far a proven answer may be from the model's own. */
  rounding: number
  /** How late a busy machine may come to what is due; 0 in simulated time. */
  slackMs?: number
  /** What a turn takes at most, where simulated time passes within turns: all of a turn is noted at the time at which it began. */
  turnMs?: number
  /** How far beyond its deadline a query may be looked up, where a memory is in a thread. */
  overtimeMs?: number
}

export type Entry = {
  at: number
} /** @param lively  whether all is well again, so that it must be answered */ /** @param before  the query that its caller was refused, who comes back when it was told to @param like  the first query that it equals, maybe itself, where answers are used again for the same tenant */ & (
  | { what: 'asked'; query: number; dueAt: number; policy: string; gives: boolean; lively: boolean; like?: number; tenant?: string; before?: number } // biome-ignore format: one line
  | { what: 'left'; query: number }
  | { what: 'joins' | 'leaves'; worker: string }
  /** A worker gets it, and answers. @param query  undefined: a row that was mixed, or a probe @param fits  whether it takes one more */
  | { what: 'given'; query: number | undefined; worker: string; identity: string; fits: boolean }
  | {
      what: 'replied'
      query: number | undefined
      worker: string
      identity: string
      lied: boolean
      isNear?: boolean
      says?: number
    }
  /** A call ended that it had been at work on for longer than `hangMs`. */
  | { what: 'hung'; worker: string; ms: number; restarts: boolean }
  /** @param off  largest distance from the model’s own values, over their size, or 1 where that is less @param label  whether it has the model's label @param says  its label */
  | {
      what: 'answered'
      query: number
      status: string
      confidence: number | undefined
      workers: string[]
      off: number
      label: boolean
      /** Which of the models that replaced each other it is nearest to. */
      model?: number
      says?: number
      /** By which it may be recalled; whether it was an equal query's; its values. */
      id?: number
      reused?: boolean
      told?: string
    }
  | { what: 'recalled'; identity: string; ids: readonly number[] }
  /** All that was kept of it; of all, since they have another model from now on. */
  | { what: 'forgets'; tenant: string }
  | { what: 'renews' }
  /** A new model of workers elsewhere, beside the one that serves. */
  | { what: 'fares'; model: string; state: ModelVersionReport['state'] }
  /** A request to a gateway, and its response. @param why  of nonsense, which; or that its body was cut, what serves closed, or the workers failed on its query @param version  of the model that answered */
  | { what: 'sent'; exchange: number; kind: string }
  | { what: 'told'; exchange: number; status: number; why: string; version?: string }
  /** A gateway's model is to be replaced or loaded, and is served under this version from now on. @param forgotten  who was ejected, and is believed */
  | { what: 'loads' }
  | { what: 'loaded'; version: string; forgotten: readonly string[] }
  /** It is to be served no more, and has ended, with calls that its workers are at work on. */
  | { what: 'unloads'; unload: number }
  | { what: 'unloaded'; unload: number; running: number }
  /** The gateway closes, whatever is under way, and has closed. */
  | { what: 'closes' | 'closed' }
  /** @param retryMs  after which it is worth another try */
  | { what: 'failed'; query: number; code: string; retryMs?: number }
  /** It went down with that query. @param isLeaving  it had been told to leave, and might have gone down for that */
  | { what: 'killed'; query: number | undefined; worker: string; isLeaving?: boolean }
  | { what: 'verdict'; identity: string; kind: string }
  /** Nothing is wrong with it any more, and it cannot be reached. */
  | { what: 'missing'; worker: string }
  /** What serves was started again. @param state  what it found of what was saved, where so many were ejected */
  | { what: 'restart'; state: string; isRefused: boolean; ejected: readonly string[]; forgotten: readonly string[] }
  | { what: 'hedges'; sent: number }
  /** The machine had other things to do for so long. */
  | { what: 'stalled'; ms: number }
  /** All is over: what is left of it. */
  | { what: 'over'; ended: number | undefined; timers: number; running: number; unended: number }
)

export interface History {
  promised: Promised
  entries: readonly Entry[]
}
