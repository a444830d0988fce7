/** The attempts of one query: which workers were asked for what, what came of it, and which may be asked yet. */

import { append, NONE } from '../arrays'
import type { ApproxiferError } from '../errors'
import type { Payload } from '../payload'
import type { Apart, Attempt, Attempts, Identity, Owner, Priority, Turn } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Context } from './context'

/** `parity`: of a group, not of one query. `trial`: to an ejected worker, whose answer is only compared. */
export type Purpose = 'first' | 'hedge' | 'retry' | 'proof' | 'trial' | 'parity'

/** An attempt, and what its query knows of it. */
export interface Asked {
  readonly attempt: Attempt<Payload, Payload>
  readonly row: number
  readonly purpose: Purpose
  /** A worker has begun with it. */
  isSent: boolean
  /** Somebody waited when its outcome came. */
  onTime: boolean
  /** Its answer was shown to be a lie, or was compared with the right one. */
  verdict: 'none' | 'compared' | 'lie'
  /** Its worker may be asked again, though it failed: nobody else is left. */
  isForgiven: boolean
  /** Its query was ended, as where the model was replaced, or its worker lied: what is answered now tells nothing. */
  isVoid: boolean
}

export function newAsked(attempt: Attempt<Payload, Payload>, purpose: Purpose, row: number): Asked {
  return {
    attempt,
    row,
    purpose,
    isSent: false,
    onTime: false,
    verdict: 'none',
    isForgiven: false,
    isVoid: false,
  }
}

export function answerOf({ attempt: { outcome }, isVoid }: Asked): Payload | undefined {
  return outcome?.kind === 'answered' && !isVoid ? outcome.answer : undefined
}

export function errorOf({ attempt: { outcome } }: Asked): ApproxiferError | undefined {
  return outcome?.kind === 'failed' ? outcome.error : undefined
}

/** The identity that failed on it, and is to blame. */
export function failureOf({ attempt: { outcome, worker } }: Asked): string | undefined {
  return outcome?.kind === 'failed' && outcome.blame !== 'nobody' && worker ? identityOf(worker) : undefined
}

export function workerOf({ attempt }: Asked): ModelWorker {
  return attempt.worker as ModelWorker
}

export function isLive({ attempt }: Asked): boolean {
  return attempt.phase !== 'settled'
}

export function isQueued({ attempt }: Asked): boolean {
  return attempt.phase === 'queued'
}

/** The identity that must not be asked again: none while no worker has it, or where none is to blame. */
export function blockedBy({ attempt, isForgiven }: Asked): string | undefined {
  const { outcome, worker } = attempt
  if (!worker || isForgiven) return undefined
  return outcome?.kind === 'failed' && outcome.blame === 'nobody' ? undefined : identityOf(worker)
}

/** Whether a worker that failed may be asked again: it may be over. An answer that is none is not, nor the silence of a worker that nobody restarts. */
export function isForgivable({ attempt: { outcome } }: Asked): boolean {
  if (outcome?.kind !== 'failed' || outcome.lost === 'silent') return false
  return outcome.error.code === 'WORKER' || outcome.error.code === 'OVERLOADED'
}

/** The error where no worker was to begin with it any more: it was too late. */
export function refusalOf({ attempt }: Asked): ApproxiferError | undefined {
  const { outcome, worker } = attempt
  return !worker && outcome?.kind === 'failed' && outcome.error.code === 'OVERLOADED' ? outcome.error : undefined
}

/** What is asked, for whom, and what else keeps attempts apart: a query. */
export interface Question extends Owner {
  readonly payload: Payload
  readonly caller: { readonly dueAt: number; readonly turn: Turn }
  readonly coding: Apart | undefined
}

export class Inquiry implements Apart {
  /** Why no worker is asked any more: no answer would be in time. */
  refusal: ApproxiferError | undefined
  readonly #pool: Attempts<Payload, Payload>
  readonly #question: Question
  /** All of them; written here alone. */
  asked: readonly Asked[] = NONE
  /** What a worker has begun with before `submit` has returned it. */
  #unknown: Attempt | undefined

  constructor({ pool }: Pick<Context, 'pool'>, question: Question) {
    this.#pool = pool
    this.#question = question
  }

  /** No worker is asked any more. */
  get isLost(): boolean {
    return !this.asked.some((asked) => isLive(asked) && !asked.isVoid)
  }

  /** A worker has answered. */
  get isAnswered(): boolean {
    return this.asked.some(answerOf)
  }

  /** What was asked ahead can no longer be done without, unless it would be too late. */
  lost(asked: Asked): void {
    this.refusal ??= refusalOf(asked)
    for (const { attempt } of this.asked) if (attempt.phase === 'queued' && !this.refusal) this.#pool.promote(attempt)
  }

  find(attempt: Attempt): Asked | undefined {
    const [first] = this.asked // mostly the only one
    return first?.attempt === attempt ? first : this.asked.find((asked) => asked.attempt === attempt)
  }

  /** A worker is not asked twice, unless it is forgiven. */
  blocks(identity: Identity): boolean {
    const worker = this.#unknown?.worker
    if (worker && identityOf(worker) === identity) return true
    return this.asked.length > 0 && this.asked.some((asked) => blockedBy(asked) === identity) // mostly nobody: no closure is made
  }

  /** The same turn of the pool may go on with what else is queued of this query. */
  met(attempt: Attempt): void {
    this.#unknown = attempt
  }

  /** How many identities may yet be asked, beside those that attempts wait for: below 0 not all of these will get one. */
  get available(): number {
    let queued = 0
    const blocked: Identity[] = []
    for (const asked of this.asked) {
      if (isQueued(asked)) queued++
      const identity = blockedBy(asked)
      if (identity !== undefined) blocked.push(identity)
    }
    return this.#pool.available(blocked) - queued
  }

  /** @param trials  of a trial: whom else it must keep away from @returns undefined for a trial that there is no worker for */
  ask(purpose: Purpose, priority: Priority, row: number, trials?: Apart): Asked | undefined {
    const { payload, caller, coding } = this.#question
    const { dueAt, turn } = caller
    const apart: Apart[] = coding ? [this, coding] : [this]
    if (trials) apart.push(trials)
    const submission = { payload, owner: this.#question, dueAt, turn, priority, apart }
    const attempt = purpose === 'trial' ? this.#pool.trial(submission) : this.#pool.submit(submission)
    if (!attempt) return undefined
    const asked = newAsked(attempt, purpose, row)
    this.#unknown = undefined
    this.asked = append(this.asked as Asked[], asked)
    return asked
  }

  /** Workers that failed on it may be asked again: nobody else is left. */
  forgive(): void {
    for (const asked of this.asked) asked.isForgiven = isForgivable(asked)
  }

  /** Attempts beyond those that workers are left for are given up. @returns whether there were any */
  trim(): boolean {
    const excess = -this.available
    if (excess <= 0) return false
    for (const { attempt } of this.asked.filter(isQueued).slice(-excess)) this.#pool.cancel(attempt)
    return true
  }

  /** Nobody waits any more: what no worker has is taken back, what runs goes on. */
  release(): void {
    for (const { attempt } of this.asked) if (attempt.phase !== 'settled') this.#pool.release(attempt)
  }

  /** It has its answer, and others to it would teach nothing: workers that an abort frees are told. */
  drop(): void {
    this.cancel(({ attempt }) => attempt.phase === 'running' && attempt.worker?.interruptible === true)
  }

  /** Nor does an answer tell anything any more. */
  end(): void {
    for (const asked of this.asked) asked.isVoid = true
    this.cancel()
  }

  /** These workers' answers tell nothing any more. @returns whether any would have come */
  void(which: (asked: Asked) => boolean): boolean {
    const theirs = this.asked.filter((asked) => isLive(asked) && which(asked))
    for (const asked of theirs) asked.isVoid = true
    this.cancel((asked) => theirs.includes(asked))
    return theirs.length > 0
  }

  /** Nobody wants an answer any more: workers are told. */
  cancel(which = isLive): void {
    for (const asked of this.asked) if (which(asked)) this.#pool.cancel(asked.attempt)
  }
}
