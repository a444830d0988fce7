/** A pool whose attempts the test settles by hand. */

import type { ApproxiferError, ModelWorker } from 'approxifer'
import type { Payload } from '../../src/base/payload'
import type { Attempt, AttemptOutcome, Attempts, Identity, Owner, Submission } from '../../src/pool/attempt'
import { Identities } from '../../src/pool/identities'
import { identityOf } from '../../src/workers/worker'
import { payloadOf } from './vectors'

type Row = Submission<Payload>

export class HandAttempt implements Attempt<Payload, Payload> {
  onTime = false
  readonly payload: Payload
  readonly owner: Owner
  priority: Row['priority']
  phase: 'queued' | 'running' | 'settled' = 'queued'
  worker: ModelWorker | undefined
  readonly queuedAt = 0
  startedAt = Number.NaN
  readonly ranMs = 0
  readonly factor = 1
  readonly comparable = true
  readonly isAlone = false
  readonly seenBy: Identity[] = []
  outcome: AttemptOutcome<Payload> | undefined

  constructor({ payload, owner, priority }: Row) {
    this.payload = payload
    this.owner = owner
    this.priority = priority
  }

  get identity(): Identity | undefined {
    return this.worker && identityOf(this.worker)
  }

  /** Its worker answers. */
  answer(answer: Float32Array): void {
    this.phase = 'settled'
    this.outcome = { kind: 'answered', answer: payloadOf(answer) }
    this.owner.settled(this)
  }

  /** Its worker fails on it. */
  fail(error: ApproxiferError, blame: 'worker' | 'nobody' = 'worker'): void {
    this.phase = 'settled'
    this.outcome = { kind: 'failed', error, blame, lost: undefined }
    this.owner.settled(this)
  }
}

/** Every worker has room for one attempt after the other; an attempt goes to the first one that may take it. */
export class HandPool implements Attempts<Payload, Payload> {
  readonly identities = new Identities()
  readonly attempts: HandAttempt[] = []
  readonly ejected = new Set<Identity>()
  utilisation = 0
  readonly nobody = 'nobody may take a query'
  hasSpare = true
  isOverloaded = false
  tooLate = (): ApproxiferError | undefined => undefined
  waiting = 0
  record: Attempts['record'] = () => {}
  suspect: Attempts['suspect'] = () => {}
  readonly #workers: readonly ModelWorker[]

  constructor(workers: readonly ModelWorker[]) {
    this.#workers = workers
    for (const worker of workers) {
      this.identities.add(worker)
      this.identities.use(worker, true)
    }
  }

  get size(): number {
    return this.#workers.length
  }

  get slots(): number {
    return this.size
  }

  get usable(): number {
    return this.available([])
  }

  get free(): number {
    return this.available([])
  }

  available(blocked: Iterable<Identity>): number {
    const others = new Set(this.#workers.map(identityOf))
    for (const identity of [...this.ejected, ...blocked]) others.delete(identity)
    return others.size
  }

  submit(row: Row): HandAttempt {
    return this.#begin(row, (identity) => !this.ejected.has(identity))
  }

  trial(row: Row): HandAttempt | undefined {
    if (!this.ejected.size) return undefined
    const attempt = this.#begin(row, (identity) => this.ejected.has(identity))
    if (attempt.worker) return attempt
    this.attempts.pop()
  }

  #begin(row: Row, may: (identity: Identity) => boolean): HandAttempt {
    const attempt = new HandAttempt(row)
    const isApart = (identity: Identity) => row.apart.some((apart) => apart.blocks(identity))
    attempt.worker = this.#workers.find((worker) => may(identityOf(worker)) && !isApart(identityOf(worker)))
    if (attempt.worker) Object.assign(attempt, { phase: 'running', startedAt: 0 })
    this.attempts.push(attempt)
    return attempt
  }

  cancel(_: Attempt<Payload, Payload>): void {}
  release(): void {}
  promote(): void {}

  suspend(identity: Identity): void {
    this.eject(identity)
  }

  eject(identity: Identity): void {
    this.ejected.add(identity)
  }

  readmit(identity: Identity): void {
    this.ejected.delete(identity)
  }
}
