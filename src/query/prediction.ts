/** What a caller chooses for a query, and what it gets: an answer, and a report of what happened. */

import { NONE } from '../arrays'
import { ApproxiferError, type Code } from '../errors'
import type { Recovered } from '../memory/confidence'
import type { Tensors } from '../tensor'
import { identityOf, type ModelWorker } from '../workers/worker'
import { type Asked, type Purpose, workerOf } from './asked'
import type { AtDeadline, onOverloads, Policy } from './policy'
import type { Query } from './query'

/**
 * `exact`: the model's own answer; with byzantine > 0 proven by workers that agree, in an open fleet one of the user's own. `checked`: one worker's, whose label a
 * confident memory shares. `recovered`: from other answers. `remembered`: the memory's, which was confident; nobody was asked (see `reuse.maxError`).
 * `unverified`: one worker's word, which nothing shows to be right. `audited`: the same, and nobody knew whether a worker of the user's own would
 * be asked as well (see `verify.mode`); in an open fleet a stranger's, with its credibility as confidence.
 */
export type Status = (typeof statuses)[number]
const statuses = ['exact', 'checked', 'recovered', 'remembered', 'unverified', 'audited'] as const

const NO_ANSWERS = Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>

/** A count of each, to begin with. */
export const noAnswers = () => ({ ...NO_ANSWERS })

/** How a query ended. */
export type Ending = Status | Code

/** What a caller chooses for a query, or for all that do not say otherwise. */
export interface Choices {
  /**
   * What becomes of a query whose answer is missing; see `Policy`. Default 'auto' with a scheme and where some may lie, 'retry' without,
   * 'recover' with the paper's code.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9; 0.98 where answers are proven. */
  minConfidence?: number
  /**
   * What a query gets at its deadline that has no answer, and no recovery of `minConfidence`. 'fail': an error, DEADLINE, whose
   * `recovery` has what was recovered. 'give': that recovery, status `recovered`; or, where answers are proven and none agree, the
   * first worker's, `unverified`. Default 'fail'.
   */
  atDeadline?: AtDeadline
  /**
   * What a query gets that no worker can answer in time. 'fail': an error, OVERLOADED. 'remember': the memory's answer, where that is
   * confident, within `reuse.maxError`; also a query that says `ask`, if it says so itself. Default 'fail'.
   */
  onOverload?: (typeof onOverloads)[number]
}

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first
   * output) or, where there is none, differs by at most the tolerance (see the option `right`): 1 for exact
   * answers; undefined until enough late answers have shown how often recovered ones are right.
   */
  confidence: number | undefined
  /** Milliseconds until the attempt that was answered went to a worker, and from then on; of a recovered answer, its own attempt. */
  queuedMs: number
  ranMs: number
  /** Whether a second worker was asked since the first was late. */
  hedged: boolean
  /** The workers that answered: one or, for an answer that was decoded, all whose answers it was made of; none for a remembered one. */
  workers: string[]
  /** Of these, see `ModelWorker.identity`: a worker may come back under another name, and is known by this. */
  identities: string[]
  /** Of the model that made it, where its workers tell; of servers that do not, a checksum of its answer to the probe query. */
  fingerprint?: string | undefined
  /** By which it may be recalled, where answers are sampled, or the fleet is open, and this one is not proven: see `onRecall`. */
  id?: number | undefined
  /** It is the answer to an equal query: see the option `reuse`. */
  reused?: boolean
  /** What happened to the query and its group; resolves when the last attempt has an outcome, never rejects. */
  group: Promise<GroupReport>
}

/** What a query says of its answer. */
export interface Given extends Pick<Prediction, 'status' | 'confidence' | 'queuedMs' | 'ranMs' | 'hedged'> {
  /** By whom; those that have left by then, too. */
  workers: readonly ModelWorker[]
}

/** What a caller gets. Each by its name: a spread costs 1 kB. */
export function predictionOf(
  output: Tensors,
  { status, confidence, queuedMs, ranMs, hedged, workers: by }: Given,
  { fingerprint, id, group }: Pick<Prediction, 'fingerprint' | 'id' | 'group'>,
): Prediction {
  const workers = by.map(({ name }) => name)
  const identities = by.map(identityOf)
  return { output, status, confidence, queuedMs, ranMs, hedged, workers, identities, fingerprint, id, group }
}

/** Of an answer that a worker gave. */
export function workersAnswer(query: Query, asked: Asked, status: Status, confidence: number | undefined): Given {
  const { startedAt, ranMs } = asked.attempt
  const queuedMs = startedAt - query.caller.since
  return { status, confidence, queuedMs, ranMs, hedged: isHedged(query), workers: [workerOf(asked)] }
}

/** Of one that was recovered now. @param workers  whose answers it is made of */
export function recoveredAnswer(query: Query, now: number, workers: readonly ModelWorker[]): Given {
  const sentAt = query.asked[0]?.attempt.startedAt || now
  const confidence = query.recovery?.confidence
  const [queuedMs, ranMs] = [sentAt - query.caller.since, now - sentAt]
  return { status: 'recovered', confidence, queuedMs, ranMs, hedged: isHedged(query), workers }
}

function isHedged({ asked }: Query): boolean {
  return asked.some(({ purpose, attempt }) => purpose === 'hedge' && attempt.worker)
}

const ANSWERED: readonly Ending[] = statuses

/** How a group ended: `decoded` where all have an answer; callers that left count only where all did. */
export function outcomeOf(endings: readonly Ending[]): string {
  let outcome = 'ABORTED'
  for (const ending of endings) {
    if (ANSWERED.includes(ending)) outcome = 'decoded'
    else if (ending !== 'ABORTED') return ending
  }
  return outcome
}

/** An answer that was not good enough at the deadline. */
export function unsure(why: string, output: Tensors, confidence: number | undefined): ApproxiferError {
  return new ApproxiferError('DEADLINE', `${why}; what was recovered is not confident enough`, {
    recovery: { output, confidence },
  })
}

/** What happened to one attempt. */
export interface RowReport {
  /** 0 .. N-1 as encoded; hedges and retries count on from N. */
  row: number
  /** Empty where no worker had room for it while somebody wanted it. */
  worker: string
  /** `late`: it came when nobody waited for it any more. `rejected`: it was no answer. */
  outcome: 'onTime' | 'late' | 'failed' | 'rejected'
  /** It was a lie, with proof; with the paper's code: it was dropped by the locator. */
  suspected: boolean
  /** From the moment that a worker began with it to the outcome. */
  ms: number
  /** Why it failed or was rejected. */
  error?: ApproxiferError | undefined
}

/** An answer that was recovered, and what became known of it. */
export interface RecoveryReport extends Omit<Recovered, 'answer'> {
  query: number
  /** The probability that the model's own label is the same; undefined until enough late answers taught it. */
  confidence?: number | undefined
  /** Whether the caller got it, rather than the model's own answer. */
  given: boolean
  /** Whether the model's own answer, which came later, has the same label. */
  agreed?: boolean | undefined
}

/** Complete when the last attempt has an outcome. */
export interface GroupReport {
  queries: number
  workers: number
  quorum: number
  core: 'wasm' | 'js'
  /** `decoded` where every caller that did not leave was answered, else the code of the first error. */
  outcome: string
  rows: RowReport[]
  recoveries: RecoveryReport[]
  /** Rows that the answers were decoded from. */
  survivors: number[]
  encodeMs: number
  /** From closing the group to the decision to decode. */
  waitMs: number
  /** Locating and decoding. */
  decodeMs: number
}

/** What a group's code tells. */
type Times = Pick<GroupReport, 'encodeMs' | 'waitMs' | 'decodeMs' | 'core'> & {
  readonly survivors: readonly number[]
  readonly scheme: Pick<GroupReport, 'workers' | 'quorum'>
}

/** Of a group that has decoded nothing so far. */
export const undecided = { survivors: NONE as readonly number[], encodeMs: 0, waitMs: 0, decodeMs: 0 }

const EXTRAS: readonly Purpose[] = ['hedge', 'retry']

/** What became of attempts that are over, except extras that were cancelled before a worker had them. @param rows  are added to */
export function rowReports(all: readonly Asked[], rows: RowReport[] = []): RowReport[] {
  for (const asked of all) {
    const { attempt, row, purpose, verdict } = asked
    const { worker, ranMs, phase } = attempt
    const isUnknown = !worker && EXTRAS.includes(purpose) && attempt.outcome?.kind === 'cancelled'
    if (phase !== 'settled' || isUnknown) continue
    const { outcome, error } = endOf(asked)
    const [suspected, ms] = [verdict === 'lie', worker ? ranMs : 0]
    rows.push({ row, worker: worker?.name ?? '', outcome, suspected, ms, error })
  }
  return rows
}

function endOf({ attempt: { outcome, worker }, onTime }: Asked): Pick<RowReport, 'outcome' | 'error'> {
  if (outcome?.kind === 'answered') return { outcome: onTime ? 'onTime' : 'late', error: undefined }
  if (outcome?.kind === 'failed') {
    const { error } = outcome
    return { outcome: error.code === 'PROTOCOL' ? 'rejected' : 'failed', error }
  }
  const error = worker
    ? new ApproxiferError('ABORTED', 'nobody waits for it any more')
    : new ApproxiferError('OVERLOADED', 'no worker had room for the row while it was wanted')
  return { outcome: 'failed', error }
}

/** @param others  attempts that are no query's */
export function groupReport(members: readonly Query[], others: readonly Asked[], measured: Times): GroupReport {
  const { scheme, survivors, ...rest } = measured
  const rows: RowReport[] = []
  const recoveries: RecoveryReport[] = []
  for (const { asked, recovery } of members) {
    rowReports(asked, rows)
    if (recovery?.report) recoveries.push(recovery.report)
  }
  rowReports(others, rows)
  return {
    queries: members.length,
    workers: scheme.workers,
    quorum: scheme.quorum,
    ...rest,
    outcome: outcomeOf(members.map(({ caller }) => caller.ending as Ending)),
    rows: rows.sort((a, b) => a.row - b.row),
    recoveries,
    survivors: [...survivors],
  }
}

/** Of a query that nobody was asked for. */
export function unaskedReport(core: 'wasm' | 'js'): GroupReport {
  const own = { queries: 1, workers: 0, quorum: 0, core, outcome: 'decoded', rows: [], recoveries: [] }
  return { ...own, ...undecided, survivors: [] }
}

/** What a report of a query that was alone is made of. */
type Reported = Pick<Query, 'vote' | 'asked'> & {
  readonly caller: Pick<Query['caller'], 'ending'>
  readonly recovery: { readonly report: RecoveryReport | undefined } | undefined
}

/** Of a query that was alone. @param acceptance  how many workers have to agree */
export function queryReport(
  { vote, asked, caller, recovery }: Reported,
  { acceptance, core }: { readonly acceptance: { readonly needed: number }; readonly core: 'wasm' | 'js' },
): GroupReport {
  const report = recovery?.report
  return {
    queries: 1,
    workers: vote ? asked.length : 1,
    quorum: acceptance.needed,
    core,
    outcome: outcomeOf([caller.ending as Ending]),
    rows: rowReports(asked),
    recoveries: report && (report.given || !vote) ? [report] : [], // a vote looks every query up
    ...undecided,
    survivors: [],
  }
}
