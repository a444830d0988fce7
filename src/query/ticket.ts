/** One caller's query: owns the promise, the deadline timer and the abort listener, and settles once. */

import { aborted, onAbort } from '../abort'
import type { Clock } from '../clock'
import { ApproxiferError, type Code } from '../errors'
import { fromRow, type TensorSpec, type Tensors } from '../tensor'
import type { Deadlines } from './deadlines'
import type { AtDeadline, Policy } from './decision'
import type { LateWatch } from './lateness'
import type { GroupReport } from './report'

/**
 * `exact`: the model's own answer; with byzantine > 0 proven by workers that agree. `checked`: one worker's, whose label a sure
 * memory shares. `unverified`: one worker's word, which no other's shows to be right: handed out before anybody looked
 * whether it lies or, with the paper's code, after it did not look like a lie.
 */
export type Status = 'exact' | 'checked' | 'recovered' | 'unverified'

/**
 * When queries get answers that are not proven, with byzantine > 0: never, or with the paper's code after liars were located; at
 * once; or at the deadline, rather than an error, where answers are proven.
 */
export type Deliver = 'located' | 'early' | 'deadline'

/** What a caller chooses for a query, or for all that do not say otherwise. */
export interface Choices {
  /**
   * What becomes of a query whose answer is missing; see `Policy`. Default 'auto' with a scheme whose code is systematic
   * and where nobody lies, 'retry' without a scheme, else 'recover'.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9; 0.98 where answers are proven. */
  minConfidence?: number
  /** With byzantine > 0, when an answer to a query itself is given. Default 'located'. */
  deliver?: Deliver
  /**
   * What `auto` does at the deadline with a recovery below `minConfidence`: 'fail' rejects with DEADLINE, and the error's `recovery`
   * has it; 'give' answers with it, status `recovered`. Default 'fail'.
   */
  atDeadline?: AtDeadline
}

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  /** `exact`: the model's own answer. `recovered`: from other answers. `checked`, `unverified`: one worker's, see `Status`. */
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first
   * output) or, where there is none, differs by at most the tolerance (see `labelAxis` and `tolerance`): 1 for exact
   * answers; undefined until enough late answers have shown what recovered ones are worth.
   */
  confidence: number | undefined
  /** Milliseconds until the row that was answered went to a worker, and from then on; of a recovered answer, its own row. */
  waitedMs: number
  ranMs: number
  /** Whether it was asked for twice since it was late. */
  hedged: boolean
  /** Who answered: one worker or, for an answer that was decoded, all whose answers it was made of; none for a remembered one. */
  workers: string[]
  /** What happened to the group; resolves when its last row has an outcome, never rejects. */
  group: Promise<GroupReport>
}

/** What a run says of an answer. */
export type Given = Pick<Prediction, 'status' | 'confidence' | 'waitedMs' | 'ranMs' | 'hedged' | 'workers'>

/** How a query ended. */
export type Ending = Status | Code

/** What a ticket's group does when its time comes. */
export interface Run {
  due(ticket: Ticket): void
  late(ticket: Ticket): void
  left(ticket: Ticket): void
}

/** What all tickets of a predictor share. */
export interface House {
  readonly clock: Clock
  readonly outputs: readonly TensorSpec[]
  /** Told before the caller is, once for each ticket. */
  settled(ending: Ending): void
}

export class Ticket {
  readonly since: number
  ending: Ending | undefined
  /** It has waited longer than nearly all others. */
  late = false
  /** Where it has its place, while it waits: who still has a ticket that was answered keeps nothing of its group. */
  run: Run | undefined
  readonly #deadlineMs: number
  readonly #house: House
  #resolve: ((prediction: Prediction) => void) | undefined
  #reject: ((error: ApproxiferError) => void) | undefined
  #deadlines: Deadlines | undefined
  /** Its place among them. */
  #place = 0
  #lateWatch: LateWatch<Ticket> | undefined
  #latePlace = 0
  #unlisten: (() => void) | undefined

  /**
   * @param row        the query's values; nobody writes to it
   * @param maxWaitMs  how long it may wait for others to fill its group
   * @param deadlineMs how long it may take
   */
  constructor(
    readonly row: Float32Array,
    readonly choices: Required<Choices>,
    readonly maxWaitMs: number,
    deadlineMs: number,
    house: House,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ) {
    this.since = house.clock.now()
    this.#deadlineMs = deadlineMs
    this.#house = house
    this.#resolve = resolve
    this.#reject = reject
  }

  /** When its deadline is. */
  get dueAt(): number {
    return this.since + this.#deadlineMs
  }

  get open(): boolean {
    return this.ending === undefined
  }

  /** From here on it has a deadline and can be aborted. To be called when it is on its way: until then, time counts. */
  watch(deadlines: Deadlines, signal: AbortSignal | undefined): void {
    if (!this.open) return
    this.#deadlines = deadlines
    this.#place = deadlines.add(this)
    if (!signal) return
    const abort = () => this.leave(aborted(signal))
    this.#unlisten = onAbort(signal, abort)
    if (signal.aborted) abort() // while it was being sent
  }

  /** From here on it is told when it is late. */
  noticeLate(watch: LateWatch<Ticket>): void {
    if (!this.open) return
    this.#lateWatch = watch
    this.#latePlace = watch.add(this)
  }

  /** @param answer  copied */
  answer(answer: Float32Array, given: Given, group: Promise<GroupReport>): void {
    if (!this.open) return
    const output = fromRow(answer, this.#house.outputs)
    const resolve = this.#resolve
    this.#settle(given.status)
    resolve?.({ output, ...given, group })
  }

  /** Its deadline has come. @param recovery  what there is in the place of an answer, and its confidence */
  expire(why: string, recovery?: { answer: Float32Array; confidence?: number | undefined }): void {
    if (!recovery) return this.fail(new ApproxiferError('DEADLINE', why))
    const { answer, confidence } = recovery
    const unsure = { output: fromRow(answer, this.#house.outputs), confidence }
    this.fail(
      new ApproxiferError('DEADLINE', `${why}; what was recovered is not confident enough`, { recovery: unsure }),
    )
  }

  fail(error: ApproxiferError): void {
    if (!this.open) return
    const reject = this.#reject
    this.#settle(error.code)
    reject?.(error)
  }

  /** It fails, and its run need not go on for it. */
  leave(error: ApproxiferError): void {
    const { run } = this
    this.fail(error)
    run?.left(this)
  }

  #settle(ending: Ending): void {
    this.ending = ending
    this.run = this.#resolve = this.#reject = undefined
    this.#deadlines?.remove(this.#place)
    this.#lateWatch?.remove(this.#latePlace)
    this.#unlisten?.()
    this.#house.settled(ending)
  }
}
