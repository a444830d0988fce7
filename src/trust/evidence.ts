/**
 * What is held against each worker, and what was proven. Suspicion only decides which worker is examined more often; a verdict rests on
 * proof alone, so that no worker can frame another. Bounded by the workers, serialisable, without a clock.
 */

import * as saved from '../base/saved'
import { cusum, observe, type RunningMoments } from '../base/stats'

/**
 * CUSUM of how far a worker's answers are from what the memory says, in standard deviations of that distance over the whole pool: what
 * each exceeds the drift by adds up, and from SUSPECT on its worker is suspected.
 */
const DRIFT = 0.5
const SUSPECT = 8
/** No single answer counts for more. */
const MOST = 4
/** Answers that the pool's usual distance is averaged over; below ENOUGH nobody is suspected. */
const WINDOW = 1000
const ENOUGH = 50
/** Logarithms of floats are smaller. */
const MOST_LOG = 100
/**
 * Another CUSUM, of answers that are unlike all of several that agree, though no lies: the log likelihood ratio of a worker of which half of the
 * answers are to an honest one of which a tenth are, whose rounding that is. At DEVIANT its worker is passed over: after 9 in a row, or 27 of
 * 54. An honest worker of another runtime is unlike others in less than one answer in a hundred. Were it one in ten, that would happen once in
 * 15 million answers; of one in four or fewer that a liar makes so, seldom.
 */
const [UNLIKE, ALIKE] = [Math.log(0.5 / 0.1), Math.log(0.5 / 0.9)]
const DEVIANT = 14
/** Share of its chances to show that it answers as others do that a worker gets which is passed over, until it does: each one costs an inference. */
const RETRIED = 1 / 16
/** Share of a suspect's answers that are looked at. */
const CLOSELY = 0.5
/** Workers that have left of which is remembered what is held against them. */
const MOST_LEFT = 1000
/** Right answers in a row that end a first ejection; twice as many for every further one, at most LONGEST. */
const FIRST = 20
const LONGEST = 20 * 2 ** 10

/** One worker's record; plain data. */
export interface WorkerEvidence {
  /** Answers that were proven, and lies. */
  proven: number
  lies: number
  /** Answers of which a sure memory shares the label, and those of which it does not. */
  checksPassed: number
  checksFailed: number
  /** Answers that differ by more than rounding from such that agree, and are no lies. */
  deviating: number
  /** CUSUM of these, from 0. */
  deviation: number
  /** Calls without an answer. */
  silent: number
  /** CUSUM of the distances, from 0. */
  suspicion: number
  ejections: number
  /** Right answers in a row that it still has to give before it is trusted again; 0: it is trusted. */
  rightAnswersLeft: number
}

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
  /** How often the model was replaced: answers of two of them are not compared. */
  renewals = 0
  readonly #workers: Map<string, WorkerEvidence>
  /** Those that have left, the one first that did so longest ago. */
  readonly #left: Set<string>
  /** Logarithms of the distances of answers from what the memory said, over the error it expected. */
  #distance: RunningMoments = { count: 0, mean: 0, variance: 0 }

  /** @param other  of another model; workers' records are shared with it, since a liar is one with any model */
  constructor(other?: Evidence) {
    this.#workers = other ? other.#workers : new Map()
    this.#left = other ? other.#left : new Set()
  }

  /** A stranger begins with nothing, and goes on with what it has earned. @param needed  right answers until it is trusted */
  meet(worker: string, needed: number): void {
    const record = this.#record(worker)
    record.rightAnswersLeft = Math.max(0, needed - record.proven)
  }

  /** What it has earned is lost, or a share of it. */
  lose(worker: string, share: number): void {
    const record = this.#record(worker)
    record.proven = Math.floor(record.proven * (1 - share))
  }

  /**
   * Takes what was saved in the place of all that is known.
   *
   * @throws RangeError for what `save` never gave; then all is as it was
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

  /** Those of which there is a record. */
  get workers(): string[] {
    return [...this.#workers.keys()]
  }

  /** A worker has come, or has come back: its record goes on. */
  join(worker: string): void {
    this.#left.delete(worker)
  }

  /**
   * A worker has left. Who lied, or is under suspicion, must not begin anew by coming back under the same name; of all others nothing is
   * kept, so that a million of them that come and go take no room.
   *
   * @param earned  a stranger's right answers are kept: those are forgotten first that have fewest
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

  /** Share of its answers to look at, where `usual` is everybody's. */
  audits(worker: string, usual: number): number {
    return this.isSuspect(worker) ? Math.max(CLOSELY, usual) : usual
  }

  isSuspect(worker: string): boolean {
    const { suspicion = 0, deviation = 0 } = this.#workers.get(worker) ?? {}
    return Math.max(suspicion, deviation) >= SUSPECT
  }

  /** The share of its chances to end an ejection that a worker gets. */
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

  /** An answer is unlike all of several that agree, and no lie. @returns whether its worker, which is not ejected, is to be passed over for it */
  deviated(worker: string): boolean {
    const record = this.#record(worker)
    record.deviating++
    if (record.rightAnswersLeft) record.rightAnswersLeft = ejectedFor(record)
    else record.deviation = Math.min(DEVIANT, record.deviation + UNLIKE)
    return !record.rightAnswersLeft && record.deviation >= DEVIANT
  }

  /** It is ejected, though nothing shows that it lied. */
  passOver(worker: string): void {
    const record = this.#record(worker)
    record.rightAnswersLeft = ejectedFor(record)
  }

  /** An answer is a lie, with proof. @returns whether its worker was no convict until now */
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
   * What a sure memory said of an answer.
   *
   * @param distance  of the two, over the error that the memory expected
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

  /** A call had no answer, where other workers give one. */
  silent(worker: string): void {
    this.#record(worker).silent++
  }

  /** The workers have another model: its answers differ by as much as will be seen. What is held against workers stays. */
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
    for (const record of Object.values(workers)) record.rightAnswersLeft = Math.min(LONGEST, record.rightAnswersLeft) // a stranger's follow from what it has earned
    return { workers, distance: { ...this.#distance } }
  }
}

const MOST_OF: Record<string, number> = { rightAnswersLeft: LONGEST, deviation: DEVIANT }

/** Right answers in a row that end its ejection: of one that did not lie as few as the first time, since a caller may choose queries on which runtimes differ. */
function ejectedFor({ ejections, deviation }: WorkerEvidence): number {
  if (deviation >= DEVIANT) return FIRST
  return Math.min(LONGEST, FIRST * 2 ** Math.max(0, ejections - 1))
}

function savedEvidence(value: unknown): EvidenceState {
  const state = saved.object('evidence', value, ['workers', 'distance'])
  const workers = Object.entries(saved.object('evidence.workers', state.workers)).map(([name, record]) => {
    return [name, savedRecord(`evidence.workers.${name}`, record)] as const
  })
  return {
    workers: Object.fromEntries(workers),
    distance: savedMoments('evidence.distance', state.distance),
  }
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
