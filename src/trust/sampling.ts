/**
 * Sampled verification: answers are given as they come, and a secret draw sends some of each worker's to a trusted worker as well, one of the
 * user's own, whose answer is proof. An audit may outlive its caller, its deadline and the audited worker; it waits while no trusted worker can be
 * reached.
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

/** Audits that may wait, and the values in them: beyond, answers have the status `unverified`, not `audited`. */
const MOST_WAITING = 256
const MOST_VALUES = 2 ** 24
/** Audits under way for each slot of the trusted workers. */
const AT_ONCE = 2
/** After failures of this many trusted workers an audit is given up: the query itself is at fault. */
const MOST_FAILED = 3

interface SamplingOptions {
  readonly pool: Attempts<Payload, Payload> & Pick<Pool, 'identities' | 'worker'>
  readonly trust: Pick<Reputation, 'equality' | 'isMeasuring' | 'evidence' | 'trials' | 'proven' | 'lied' | 'deviated'>
  readonly draws: AuditDraws
  /** The given answers that may be recalled, of all models. */
  readonly given: Pick<GivenAnswers, 'prove'>
}

/** An answer that a trusted worker is asked about. */
class Inspection implements Owner, Apart {
  failures = 0
  attempt: Attempt<Payload, Payload> | undefined

  constructor(
    readonly sampling: Sampling,
    readonly worker: ModelWorker,
    readonly payload: Payload,
    readonly answer: Payload,
    /** The model that made it. */
    readonly renewals: number,
    /** Its entry among the given answers, if it was given. */
    readonly place: number | undefined,
    /** Learns the trusted worker's answer. */
    readonly memory: Pick<MemoryService, 'learn'> | undefined,
  ) {}

  blocks(identity: Identity): boolean {
    return !this.sampling.isTrusted(identity)
  }

  settled(attempt: Attempt<Payload, Payload>): void {
    this.sampling.settled(this, attempt)
  }
}

export class Sampling {
  readonly #options: SamplingOptions
  readonly #sendAudits = () => this.sendAudits()
  readonly #waiting: Inspection[] = []
  readonly #underWay = new Set<Inspection>()
  #trusted: readonly Identity[] | undefined
  #isClosed = false

  constructor(options: SamplingOptions) {
    this.#options = options
  }

  /** Whether all of its workers are the user's own: an untrusted worker may take the name of one of them. */
  isTrusted(identity: Identity): boolean {
    const workers = [...this.#options.pool.identities.workersOf(identity)]
    return workers.length > 0 && workers.every(({ trusted }) => trusted === true)
  }

  /** Workers came or went. */
  changed(): void {
    this.#trusted = undefined
    this.sendAudits()
  }

  get hasTrusted(): boolean {
    return this.#capacity > 0
  }

  /** Audits that trusted workers take at a time. */
  get #capacity(): number {
    const { identities } = this.#options.pool
    this.#trusted ??= identities.all().filter((each) => this.isTrusted(each))
    const usable = this.#trusted.filter((each) => identities.isUsable(each))
    const slots = usable.flatMap((each) => [...identities.workersOf(each)]).map((worker) => worker.slots ?? 1)
    return AT_ONCE * slots.reduce((sum, each) => sum + each, 0)
  }

  /** Whether an answer of this worker is the model's own. */
  isExact(worker: ModelWorker): boolean {
    return worker.trusted === true && this.isTrusted(identityOf(worker))
  }

  /** The status of a worker's answer. */
  worth(worker: ModelWorker): Status {
    if (this.isExact(worker)) return 'exact'
    return this.#hasRoom ? 'audited' : 'unverified'
  }

  /** Whether one more audit would be made soon. */
  get #hasRoom(): boolean {
    const { length, 0: first } = this.#waiting
    return (
      length < MOST_WAITING &&
      !(first && length * (first.payload.size + first.answer.size) > MOST_VALUES) &&
      this.hasTrusted
    )
  }

  /**
   * An answer has come, and is audited if it is drawn.
   *
   * @param place   its entry among the given answers, if it was given
   * @param memory  learns the trusted worker's answer
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
    this.sendAudits()
  }

  /**
   * Sends as many audits as trusted workers can take. When none can be reached, queued audits are taken back: they would stand before other queries
   * in the queue.
   */
  sendAudits(): void {
    const { pool, trust } = this.#options
    const capacity = this.#waiting.length || this.#underWay.size ? this.#capacity : 0
    for (const each of capacity ? [] : this.#underWay) {
      const { attempt } = each
      if (attempt?.phase !== 'queued') continue
      pool.cancel(attempt)
      this.#underWay.delete(each)
      this.#waiting.unshift(each)
    }
    const isReady = !this.#isClosed && !trust.isMeasuring(this.#sendAudits)
    while (isReady && this.#underWay.size < capacity) {
      const next = this.#waiting.shift()
      if (!next) return
      if (next.renewals !== trust.evidence.renewals) continue // trusted workers have another model by now
      this.#underWay.add(next)
      // High priority: only trusted workers can do it, and others take the queries meanwhile.
      next.attempt = pool.submit({ payload: next.payload, owner: next, apart: [next], priority: 'high' })
    }
  }

  settled(inspection: Inspection, attempt: Attempt<Payload, Payload>): void {
    const { pool, trust } = this.#options
    const { outcome } = attempt
    this.#underWay.delete(inspection)
    if (this.#isClosed) return
    pool.record({ attempt, onTime: false })
    if (outcome?.kind !== 'answered') {
      const isItsFault = outcome?.kind === 'failed' && outcome.blame !== 'nobody'
      if (!isItsFault || ++inspection.failures < MOST_FAILED) this.#waiting.unshift(inspection)
    } else if (inspection.renewals === trust.evidence.renewals) {
      const { payload, memory } = inspection
      memory?.learn(payload.vector, outcome.answer.vector, attempt.identity)
      this.#compare(inspection, outcome.answer)
      this.#try(inspection, outcome.answer)
    }
    this.sendAudits()
  }

  /** Sends an audited query to an ejected worker that never lied, which may show that it answers right. */
  #try({ payload, renewals }: Inspection, right: Payload): void {
    const { pool, trust } = this.#options
    const liars: Apart = { blocks: (identity) => trust.evidence.of(identity).lies > 0 }
    const settled = (attempt: Attempt) => {
      pool.record({ attempt, onTime: false })
      const { outcome, worker } = attempt as Attempt<Payload, Payload>
      if (outcome?.kind !== 'answered' || !worker || renewals !== trust.evidence.renewals) return
      this.#judge(worker, outcome.answer, right)
    }
    pool.trial({ payload, owner: { settled }, apart: [liars, trust.trials], priority: 'low' })
  }

  #compare({ worker, answer, place }: Inspection, right: Payload): void {
    const { trust, given, draws } = this.#options
    if (draws.isLong(identityOf(worker), isOtherwiseLong(answer, right))) return trust.lied(worker, 'trusted')
    this.#judge(worker, answer, right, place)
    if (place !== undefined && agree(answer, right, trust.equality)) given.prove(place)
  }

  /** @param place  the entry of the given answer, if it was given */
  #judge(worker: ModelWorker, answer: Payload, right: Payload, place?: number): void {
    const { trust } = this.#options
    if (isLie(answer, right, trust.equality)) return trust.lied(worker, 'trusted')
    if (!isNear(answer, right, trust.equality)) return trust.deviated(worker, { place })
    const { lies } = trust.evidence.of(identityOf(worker)) // a proven lie is never made up for
    if (!lies && agree(answer, right, trust.equality)) trust.proven(worker) // else rounding has changed its label: neither proof nor a lie
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
 * Makes the sampling of each model version; the draws are shared.
 *
 * @throws RangeError for options that need another kind of proof than a trusted worker's answer
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
