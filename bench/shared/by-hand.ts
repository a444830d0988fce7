/** A pool without its judgement, as a rival. */

import type { ModelWorker } from 'approxifer'
import type { Clock } from '../../src/base/clock'
import type { Payload } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import type { Attempt, Submission } from '../../src/pool/attempt'
import type { PoolOptions } from '../../src/pool/pool'
import { identityOf } from '../../src/workers/worker'

export { ByHand, type ByHandOptions } from '../../src/film/by-hand'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Row = Submission<Payload>
type BlindAttempt = Mutable<Attempt<Payload, Payload>> & { row: Row }

/** Attempts to any idle worker, whatever is known of how fast it is. */
export class Blind {
  readonly #workers: readonly ModelWorker[]
  readonly #random: Random = seeded(1)
  readonly #lines: { high: BlindAttempt[]; normal: BlindAttempt[]; low: BlindAttempt[] } = {
    high: [],
    normal: [],
    low: [],
  }
  readonly #clock: Clock
  readonly #accept: PoolOptions<Payload>['accept']

  constructor(workers: readonly ModelWorker[], { clock, accept }: PoolOptions<Payload>) {
    this.#workers = workers
    this.#clock = clock
    this.#accept = accept
    for (const worker of workers) worker.onFree = () => this.#dispatch()
  }

  submit(row: Row): Attempt<Payload, Payload> {
    const attempt: BlindAttempt = {
      row,
      payload: row.payload,
      priority: row.priority,
      phase: 'queued',
      worker: undefined,
      identity: undefined,
      queuedAt: this.#clock.now(),
      startedAt: Number.NaN,
      ranMs: 0,
      factor: 1,
      comparable: true,
      isAlone: false,
      onTime: false,
      seenBy: [],
      outcome: undefined,
    }
    this.#lines[row.priority].push(attempt)
    this.#dispatch()
    return attempt
  }

  cancel(attempt: Attempt): void {
    if (attempt.phase === 'queued') (attempt as BlindAttempt).phase = 'settled'
  }

  #dispatch(): void {
    const idle = this.#workers.filter(({ free }) => free)
    for (const i of this.#random.choose(idle.length, idle.length)) {
      for (const line of Object.values(this.#lines)) {
        while (line[0]?.phase === 'settled') line.shift()
        const mayTake = ({ phase, row }: BlindAttempt) =>
          phase === 'queued' && !row.apart.some((apart) => apart.blocks(identityOf(idle[i])))
        const at = line.findIndex(mayTake)
        if (at < 0) continue
        this.#send(line.splice(at, 1)[0], idle[i])
        break
      }
    }
  }

  #send(attempt: BlindAttempt, worker: ModelWorker): void {
    const { owner, payload } = attempt.row
    attempt.phase = 'running'
    attempt.worker = worker
    attempt.identity = identityOf(worker)
    attempt.startedAt = this.#clock.now()
    worker.infer(payload.tensors).then((answer) => {
      attempt.phase = 'settled'
      attempt.ranMs = this.#clock.now() - attempt.startedAt
      attempt.outcome = { kind: 'answered', answer: this.#accept(answer) }
      owner.settled(attempt)
    })
    owner.began?.(attempt)
  }
}
