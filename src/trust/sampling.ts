/**
 * Answers are given as they come, and of each worker's a secret draw sends some to an anchor as well, a worker of the user's own, whose word
 * convicts. An audit outlives its caller, its deadline and the worker that it is about, and waits where no anchor can be reached.
 */

import { expected } from '../base/check'
import type { Payload } from '../base/payload'
import type { Status } from '../base/prediction'
import { secret } from '../base/random'
import type { MemoryService } from '../memory/service'
import type { Apart, Attempt, Attempts, Identity, Owner } from '../pool/attempt'
import type { Pool } from '../pool/pool'
import { identityOf, type ModelWorker } from '../workers/worker'
import { AuditDraws } from './audit-draws'
import { agree, isLie, isNear, isOtherwiseLong } from './equality'
import type { GivenAnswers } from './given-answers'
import type { Reputation } from './reputation'

/** Audits that may wait, and the values in them: beyond, nothing more is said to be audited. */
const MOST_WAITING = 256
const MOST_VALUES = 2 ** 24
/** Audits that anchors have at a time, by their slots. */
const AT_ONCE = 2
/** Anchors that may fail on a query before it is given up: the fault is its own. */
const MOST_FAILED = 3

interface SamplingOptions {
  readonly pool: Attempts<Payload, Payload> & Pick<Pool, 'identities' | 'worker'>
  readonly trust: Pick<Reputation, 'equality' | 'isMeasuring' | 'evidence' | 'trials' | 'proven' | 'lied' | 'deviated'>
  readonly draws: AuditDraws
  /** What is known of answers that were given; of another model's, too. */
  readonly given: Pick<GivenAnswers, 'prove'>
}

/** An answer that an anchor is asked about. */
class Inspection implements Owner, Apart {
  failures = 0
  attempt: Attempt<Payload, Payload> | undefined

  constructor(
    readonly sampling: Sampling,
    readonly worker: ModelWorker,
    readonly payload: Payload,
    readonly answer: Payload,
    /** Of the model that made it. */
    readonly renewals: number,
    /** Its entry among the answers that were given, if it was. */
    readonly place: number | undefined,
    /** What an anchor's answer teaches. */
    readonly memory: Pick<MemoryService, 'learn'> | undefined,
  ) {}

  blocks(identity: Identity): boolean {
    return !this.sampling.isAnchor(identity)
  }

  settled(attempt: Attempt<Payload, Payload>): void {
    this.sampling.settled(this, attempt)
  }
}

export class Sampling {
  readonly #options: SamplingOptions
  readonly #look = () => this.look()
  readonly #waiting: Inspection[] = []
  readonly #underWay = new Set<Inspection>()
  #anchors: readonly Identity[] | undefined
  #isClosed = false

  constructor(options: SamplingOptions) {
    this.#options = options
  }

  // Anchors.

  /** Whether all of its workers are the user's own: a stranger may take the name of one of them. */
  isAnchor(identity: Identity): boolean {
    const workers = [...this.#options.pool.identities.workersOf(identity)]
    return workers.length > 0 && workers.every(({ trusted }) => trusted === true)
  }

  /** Workers came or went. */
  changed(): void {
    this.#anchors = undefined
    this.look()
  }

  /** Whether one can be reached. */
  get isAnchored(): boolean {
    return this.#capacity > 0
  }

  /** Audits that they take at a time. */
  get #capacity(): number {
    const { identities } = this.#options.pool
    this.#anchors ??= identities.all().filter((each) => this.isAnchor(each))
    const usable = this.#anchors.filter((each) => identities.isUsable(each))
    const slots = usable.flatMap((each) => [...identities.workersOf(each)]).map((worker) => worker.slots ?? 1)
    return AT_ONCE * slots.reduce((sum, each) => sum + each, 0)
  }

  // Answers.

  /** Whether an answer of this worker is the model's own. */
  isExact(worker: ModelWorker): boolean {
    return worker.trusted === true && this.isAnchor(identityOf(worker))
  }

  /** What an answer of this worker is by itself. */
  worth(worker: ModelWorker): Status {
    if (this.isExact(worker)) return 'exact'
    return this.#hasRoom ? 'audited' : 'unverified'
  }

  /** Whether one audit more would be made in a while. */
  get #hasRoom(): boolean {
    const { length, 0: first } = this.#waiting
    return (
      length < MOST_WAITING &&
      !(first && length * (first.payload.size + first.answer.size) > MOST_VALUES) &&
      this.isAnchored
    )
  }

  /**
   * An answer came that may be audited, by its worth.
   *
   * @param place   where it is kept among those that were given, if it was given
   * @param memory  learns what an anchor answers
   */
  came(
    worker: ModelWorker,
    query: Payload,
    answer: Payload,
    place?: number,
    memory?: Pick<MemoryService, 'learn'>,
  ): void {
    if (!this.#options.draws.draw(identityOf(worker))) return
    const { renewals } = this.#options.trust.evidence
    this.#waiting.push(new Inspection(this, worker, query.kept(), answer, renewals, place, memory))
    this.look()
  }

  // Audits.

  /** Has anchors do what they can; where none can be reached it is taken back, since it would stand before others in the queue. */
  look(): void {
    const { pool, trust } = this.#options
    const capacity = this.#waiting.length || this.#underWay.size ? this.#capacity : 0
    for (const each of capacity ? [] : this.#underWay) {
      const { attempt } = each
      if (attempt?.phase !== 'queued') continue
      pool.cancel(attempt)
      this.#underWay.delete(each)
      this.#waiting.unshift(each)
    }
    const isReady = !this.#isClosed && !trust.isMeasuring(this.#look)
    while (isReady && this.#underWay.size < capacity) {
      const next = this.#waiting.shift()
      if (!next) return
      if (next.renewals !== trust.evidence.renewals) continue // anchors have another model by now
      this.#underWay.add(next)
      // Queries go on meanwhile: anchors are the few that can do this.
      next.attempt = pool.submit({ payload: next.payload, owner: next, apart: [next], priority: 'high' })
    }
  }

  settled(inspection: Inspection, attempt: Attempt<Payload, Payload>): void {
    const { pool, trust } = this.#options
    const { outcome } = attempt
    this.#underWay.delete(inspection)
    if (this.#isClosed) return
    pool.tell({ attempt, onTime: false })
    if (outcome?.kind !== 'answered') {
      const isItsFault = outcome?.kind === 'failed' && outcome.blame !== 'nobody'
      if (!isItsFault || ++inspection.failures < MOST_FAILED) this.#waiting.unshift(inspection)
    } else if (inspection.renewals === trust.evidence.renewals) {
      const { payload, memory } = inspection
      memory?.learn(payload.vector, outcome.answer.vector, attempt.identity)
      this.#compare(inspection, outcome.answer)
      this.#try(inspection, outcome.answer)
    }
    this.look()
  }

  /** One that was passed over, and never lied, can show that it answers as anchors do. */
  #try({ payload, renewals }: Inspection, right: Payload): void {
    const { pool, trust } = this.#options
    const convicts: Apart = { blocks: (identity) => trust.evidence.of(identity).lies > 0 }
    const settled = (attempt: Attempt) => {
      pool.tell({ attempt, onTime: false })
      const { outcome, worker } = attempt as Attempt<Payload, Payload>
      if (outcome?.kind !== 'answered' || !worker || renewals !== trust.evidence.renewals) return
      this.#judge(worker, outcome.answer, right)
    }
    pool.trial({ payload, owner: { settled }, apart: [convicts, trust.trials], priority: 'low' })
  }

  #compare({ worker, answer, place }: Inspection, right: Payload): void {
    const { trust, given, draws } = this.#options
    if (draws.isLong(identityOf(worker), isOtherwiseLong(answer, right))) return trust.lied(worker, 'anchor')
    this.#judge(worker, answer, right, place)
    if (place !== undefined && agree(answer, right, trust.equality)) given.prove(place)
  }

  /** @param place  where the answer was given, if it was */
  #judge(worker: ModelWorker, answer: Payload, right: Payload, place?: number): void {
    const { trust } = this.#options
    if (isLie(answer, right, trust.equality)) return trust.lied(worker, 'anchor')
    if (!isNear(answer, right, trust.equality)) return trust.deviated(worker, { place })
    const { lies } = trust.evidence.of(identityOf(worker)) // nothing makes up for one
    if (!lies && agree(answer, right, trust.equality)) trust.proven(worker) // else rounding has tipped its label, which is nobody's fault
  }

  close(): void {
    this.#isClosed = true
  }
}

interface Chosen {
  readonly verify: { rate: number | undefined; audit: number | undefined }
  readonly reuse: { maxError: number | undefined }
  readonly testing: { coin: (() => number) | undefined }
}

/**
 * What makes it for each model: its draws go on.
 *
 * @throws RangeError for other proof beside an anchor's word, and for what only other proof can bound
 */
export function samplingOf(
  { verify, reuse, testing }: Chosen,
  { scheme, code }: { scheme: { byzantine: number }; code: string },
) {
  const { rate = 0.05, audit } = verify
  const refuse = (field: string, what: string, got: unknown) => {
    throw new RangeError(expected(field, `${what} with verify.mode 'sampled'`, got))
  }
  if (code !== 'systematic') refuse('scheme', 'the systematic code', code)
  if (scheme.byzantine) refuse('scheme.byzantine', '0', scheme.byzantine)
  if (audit !== undefined) refuse('verify.audit', 'none, but verify.rate,', audit)
  if (reuse.maxError !== undefined) refuse('reuse.maxError', 'none', reuse.maxError)
  const draws = new AuditDraws(rate, testing.coin ?? secret)
  return (options: Omit<SamplingOptions, 'draws'>) => new Sampling({ ...options, draws })
}
