/**
 * The record of each worker: what was proven, and what speaks against it. Suspicion only decides which workers are audited more often; an ejection
 * rests on proof alone, so that no worker can frame another. Bounded in size, serialisable, without a clock.
 */

import * as saved from '../base/saved'
import { cusum, observe, type RunningMoments } from '../base/stats'
import type { WorkerEvidence } from '../events'

/**
 * CUSUM of how far a worker's answers are from the memory's predictions, in standard deviations of that distance over all workers. What exceeds
 * DRIFT adds up; from SUSPECT on the worker is suspected.
 */
const DRIFT = 0.5
const SUSPECT = 8
/** No answer adds more than this many standard deviations. */
const MOST = 4
/** The mean distance runs over this many answers; below ENOUGH answers no worker is suspected. */
const WINDOW = 1000
const ENOUGH = 50
/** No logarithm of a float is larger. */
const MOST_LOG = 100
/**
 * A second CUSUM, of answers that differ from several agreeing ones but are no lies. It adds the log likelihood ratio of two hypotheses: half of
 * the worker's answers deviate (a liar's), or a tenth do (an honest worker that rounds differently). From DEVIANT on the worker is ejected: after 9
 * deviating answers in a row, or 27 of 54. Honest workers on another runtime deviate in less than one answer in a hundred; even at one in ten,
 * DEVIANT would be reached once in 15 million answers. A liar that deviates in a quarter of its answers or less seldom reaches it.
 */
const [UNLIKE, ALIKE] = [Math.log(0.5 / 0.1), Math.log(0.5 / 0.9)]
const DEVIANT = 14
/**
 * A worker that was ejected as deviant gets this share of the usual trials until one of them shows that it answers as others do: each trial costs
 * an inference.
 */
const RETRIED = 1 / 16
/** Share of a suspect's answers that are audited. */
const CLOSELY = 0.5
/** Workers that have left and whose records are kept. */
const MOST_LEFT = 1000
/** Right answers in a row that end a first ejection; they double with each further one, up to LONGEST. */
const FIRST = 20
const LONGEST = 20 * 2 ** 10

export interface EvidenceState {
  workers: Record<string, WorkerEvidence>
  distance: RunningMoments
}

const blank = (): WorkerEvidence => ({
  proven: 0,
  lies: 0,
  checksPassed: 0,
  checksFailed: 0,
  deviating: 0,
  deviation: 0,
  silent: 0,
  suspicion: 0,
  ejections: 0,
  rightAnswersLeft: 0,
})

export class Evidence {
  /** How often the model was replaced: answers of different models are not compared. */
  renewals = 0
  readonly #workers: Map<string, WorkerEvidence>
  /** Workers that have left, the earliest first. */
  readonly #left: Set<string>
  /** Logarithms of the distances between answers and the memory's predictions, relative to the expected error. */
  #distance: RunningMoments = { count: 0, mean: 0, variance: 0 }

  /** @param other  the evidence of another model version: the workers' records are shared with it, since a liar lies with any model */
  constructor(other?: Evidence) {
    this.#workers = other ? other.#workers : new Map()
    this.#left = other ? other.#left : new Set()
  }

  /** An untrusted worker starts without credit, or with what it earned before. @param needed  right answers until it is trusted */
  meet(worker: string, needed: number): void {
    const record = this.#record(worker)
    record.rightAnswersLeft = Math.max(0, needed - record.proven)
  }

  /** It loses a share of its credited answers. */
  lose(worker: string, share: number): void {
    const record = this.#record(worker)
    record.proven = Math.floor(record.proven * (1 - share))
  }

  /**
   * Replaces all records by saved ones.
   *
   * @throws RangeError for a state that `save` never made; nothing is changed then
   */
  load(state: unknown): void {
    const { workers, distance } = savedEvidence(state)
    this.#workers.clear()
    this.#left.clear()
    for (const [name, record] of Object.entries(workers)) this.#workers.set(name, record)
    this.#distance = distance
  }

  /** A worker's record. Read-only. */
  of(worker: string): Readonly<WorkerEvidence> {
    return this.#record(worker)
  }

  #record(worker: string): WorkerEvidence {
    const record = this.#workers.get(worker) ?? blank()
    this.#workers.set(worker, record)
    return record
  }

  get workers(): string[] {
    return [...this.#workers.keys()]
  }

  /** A worker has joined, or come back: its record is kept. */
  join(worker: string): void {
    this.#left.delete(worker)
  }

  /**
   * A worker has left. The record of a liar or a suspect is kept, so that it cannot start anew under the same name. Other records are deleted, so
   * that a million workers that come and go take no memory.
   *
   * @param earned  keep records with credited answers, too; those with the fewest are deleted first
   */
  leave(worker: string, earned = false): void {
    this.#left.delete(worker)
    const record = this.#workers.get(worker)
    if (!(earned && record?.proven) && !record?.lies && !this.isSuspect(worker)) {
      this.#workers.delete(worker)
      return
    }
    this.#left.add(worker)
    let [first] = this.#left
    if (this.#left.size <= MOST_LEFT) return
    if (earned) for (const each of this.#left) if (this.of(each).proven < this.of(first).proven) first = each
    this.#left.delete(first)
    this.#workers.delete(first)
  }

  isTrusted(worker: string): boolean {
    return !this.#workers.get(worker)?.rightAnswersLeft
  }

  /** The share of its answers to audit; `usual` is the share of workers that are not suspected. */
  audits(worker: string, usual: number): number {
    return this.isSuspect(worker) ? Math.max(CLOSELY, usual) : usual
  }

  isSuspect(worker: string): boolean {
    const { suspicion = 0, deviation = 0 } = this.#workers.get(worker) ?? {}
    return Math.max(suspicion, deviation) >= SUSPECT
  }

  /** The share of the usual trials that an ejected worker gets. */
  trials(worker: string): number {
    const { deviation, rightAnswersLeft } = this.#record(worker)
    return deviation < DEVIANT || rightAnswersLeft < FIRST ? 1 : RETRIED
  }

  /** An answer was proven. @returns whether that ends its worker's ejection */
  proven(worker: string): boolean {
    const record = this.#record(worker)
    record.proven++
    if (!record.rightAnswersLeft) record.deviation = Math.max(0, record.deviation + ALIKE)
    if (!record.rightAnswersLeft || --record.rightAnswersLeft) return false
    record.suspicion = record.deviation = 0
    return true
  }

  /** An answer deviates from several agreeing ones, and is no lie. @returns whether its worker is to be ejected for it */
  deviated(worker: string): boolean {
    const record = this.#record(worker)
    record.deviating++
    if (record.rightAnswersLeft) record.rightAnswersLeft = ejectedFor(record)
    else record.deviation = Math.min(DEVIANT, record.deviation + UNLIKE)
    return !record.rightAnswersLeft && record.deviation >= DEVIANT
  }

  /** Ejects it without a proven lie. */
  passOver(worker: string): void {
    const record = this.#record(worker)
    record.rightAnswersLeft = ejectedFor(record)
  }

  /** An answer is a proven lie. @returns whether its worker was not ejected until now */
  lied(worker: string): boolean {
    const record = this.#record(worker)
    const isNew = !record.rightAnswersLeft || record.deviation >= DEVIANT
    record.lies++
    record.deviation = 0
    if (isNew) record.ejections++
    record.rightAnswersLeft = ejectedFor(record)
    return isNew
  }

  /**
   * Compares an answer with the prediction of a confident memory.
   *
   * @param distance  of the two, relative to the error that the memory expected
   */
  checked(worker: string, passed: boolean, distance: number): void {
    const record = this.#record(worker)
    if (passed) record.checksPassed++
    else record.checksFailed++
    const { count, mean, variance } = this.#distance
    const log = Math.log(1e-3 + distance)
    if (count >= ENOUGH) {
      const off = (log - mean) / Math.sqrt(variance + 1e-6)
      record.suspicion = cusum(record.suspicion, Math.min(MOST, off), DRIFT)
    }
    observe(this.#distance, log, WINDOW)
  }

  /** A call failed on a query that other workers answer. */
  silent(worker: string): void {
    this.#record(worker).silent++
  }

  /** The workers have another model, whose distances are learned anew. Records are kept. */
  renew(): void {
    this.renewals++
    this.#distance = { count: 0, mean: 0, variance: 0 }
    for (const record of this.#workers.values()) {
      record.suspicion = 0
      if (!record.rightAnswersLeft) record.deviation = 0
    }
  }

  save(): EvidenceState {
    const workers = structuredClone(Object.fromEntries(this.#workers))
    for (const record of Object.values(workers)) record.rightAnswersLeft = Math.min(LONGEST, record.rightAnswersLeft) // an untrusted worker's is computed from its credited answers
    return { workers, distance: { ...this.#distance } }
  }
}

const MOST_OF: Record<string, number> = { rightAnswersLeft: LONGEST, deviation: DEVIANT }

/**
 * Right answers in a row that end its ejection. For a deviant worker that never lied as few as the first time, since a caller may choose queries on
 * which runtimes differ.
 */
function ejectedFor({ ejections, deviation }: WorkerEvidence): number {
  if (deviation >= DEVIANT) return FIRST
  return Math.min(LONGEST, FIRST * 2 ** Math.max(0, ejections - 1))
}

function savedEvidence(value: unknown): EvidenceState {
  const state = saved.object('evidence', value, ['workers', 'distance'])
  const workers = Object.entries(saved.object('evidence.workers', state.workers)).map(([name, record]) => {
    return [name, savedRecord(`evidence.workers.${name}`, record)] as const
  })
  return { workers: Object.fromEntries(workers), distance: savedMoments('evidence.distance', state.distance) }
}

function savedMoments(at: string, value: unknown): RunningMoments {
  const moments = saved.object(at, value, ['count', 'mean', 'variance'])
  return {
    count: saved.integer(`${at}.count`, moments.count, 0, WINDOW),
    mean: saved.number(`${at}.mean`, moments.mean, -MOST_LOG, MOST_LOG),
    variance: saved.number(`${at}.variance`, moments.variance, 0, 1e6),
  }
}

function savedRecord(at: string, value: unknown): WorkerEvidence {
  const record = saved.object(at, value, Object.keys(blank()))
  const entries = Object.keys(blank()).map((name) => {
    const check = name === 'suspicion' || name === 'deviation' ? saved.number : saved.integer
    return [name, check(`${at}.${name}`, record[name], 0, MOST_OF[name] ?? saved.MOST_COUNT)]
  })
  return Object.fromEntries(entries)
}
