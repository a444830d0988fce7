/** Learning beside serving: what of it may be done now, and what waits for its share of the time. */

import type { Clock } from '../clock'
import type { FirstAnswers } from '../refutation'
import { allFinite } from '../tensor'
import type { Experience } from './experience'
import { Lookups } from './lookups'
import type { Recollection } from './memory'
import type { MemoryUse } from './service'
import { TimeBudget } from './time-budget'
import { Training, type TrainingTask } from './training'

/**
 * Share of the time that learning may take: with a memory that cannot help yet, and later. A fifth later on made the median
 * answer of a model of .1 ms a tenth slower; where answers are given unasked each one learned saves others (MNIST, 5,000 queries one after the
 * other, .01: 63 % unasked with a twentieth, 73 with a fifth), and next to nothing where that does not pay. It is a share of what lookups
 * leave: at 2.5 times of what workers can do both together held the loop all the time, and p99 was 63 ms (MNIST) and 102 (Fashion), not 21.
 */
const SHARES = { cold: 0.5, warm: 0.05, saving: 0.2, idle: 0.005 }
/** Answers that may wait to be remembered: while the memory is cold, and later, when there are enough others. */
const WAITING = { cold: 32, warm: 2 }

/**
 * Share of the time that lookups for late queries may take were all of them sure, and what of it may be saved up: where a pool slows
 * down as a whole all are late, and lookups for all of them would make them later still. With a memory that was rarely sure (CIFAR, load
 * .8) a fifth of the time for lookups made p99 1.44 times a hedge's.
 */
const LOOKING = { share: 0.2, burstMs: 20 }
/** The moving average of how often lookups were sure moves so far with each. */
const SURENESS = 0.05

export class Learning {
  readonly experience: Experience
  readonly #clock: Clock
  readonly #first: Pick<FirstAnswers, 'see'> | undefined
  readonly #training: Training
  readonly #lookups: Lookups
  /** Moving average of what a pass over the memory takes. */
  #passMs = Number.POSITIVE_INFINITY
  /** The same of what it takes to learn from an answer. */
  #lessonMs = Number.POSITIVE_INFINITY
  readonly #looking: TimeBudget
  /** For those whose deadline has come: they would get nothing, however rarely lookups are sure. */
  readonly #dueLooks: TimeBudget
  /** Moving average of how often lookups were sure. */
  #sure = 1
  /** What was recalled in another one may follow from what was taken out since. */
  epoch = 0
  /** What a warm memory is for: late answers; to answer unasked; or nothing now. */
  use: MemoryUse = 'warm'

  /** @param part  of the time that learning may take, which others take their parts of @param first  sees the model's first answers */
  constructor(
    experience: Experience,
    clock: Clock,
    warn: (text: string) => void,
    part = 1,
    first?: Pick<FirstAnswers, 'see'>,
  ) {
    this.experience = experience
    this.#first = first
    this.#clock = clock
    this.#dueLooks = new TimeBudget(clock, () => part * LOOKING.share, LOOKING.burstMs)
    this.#looking = new TimeBudget(clock, () => part * LOOKING.share * this.#sure, LOOKING.burstMs)
    const share = () => part * SHARES[experience.memory === 'cold' ? 'cold' : this.use]
    const failed = (why: string) => warn(`nothing was learned from a group: ${why}`)
    this.#lookups = new Lookups(clock)
    this.#training = new Training(clock, share, failed, () => this.#lookups.busy)
  }

  /**
   * What the memory says of a query that is late or lost.
   *
   * @param due     else it gets an error
   * @param wanted  whether anybody still wants to know
   * @param told    once, before this returns or a little later; undefined where that would take too much time
   */
  look(query: Float32Array, due: boolean, wanted: () => boolean, told: (said: Recollection | undefined) => void): void {
    const time = due ? this.#dueLooks : this.#looking
    const isWanted = () => time.has && wanted()
    this.#lookUp(query, isWanted, (said, ms) => {
      if (ms !== undefined) time.take(ms)
      told(said)
    })
  }

  #lookUp(
    query: Float32Array,
    wanted: () => boolean,
    told: (said: Recollection | undefined, ms: number | undefined) => void,
  ): void {
    this.#lookups.add({
      steps: () => this.experience.recalling(query),
      wanted: () => this.experience.memory === 'warm' && query.length > 0 && wanted(),
      told: (said, ms) => {
        if (ms !== undefined) {
          this.#sees(ms)
          this.#training.time.yield(ms)
        }
        told(said, ms)
      },
    })
  }

  /**
   * What the memory says of a query that no worker was asked for, unless that takes longer than the `ms` of an answer, as where many come
   * at once.
   *
   * @param wanted  whether anybody still wants to know
   * @param told    as of `look`, and what it took
   */
  recall(
    query: Float32Array,
    ms: number,
    wanted: () => boolean,
    told: (said: Recollection | undefined, ms: number | undefined) => void,
  ): void {
    if (this.experience.memory !== 'warm' || !query.length || this.#lookups.waiting * this.#passMs > ms)
      return told(undefined, undefined)
    this.#lookUp(query, wanted, told)
  }

  /** What a lookup takes, and to learn from an answer; Infinity while nobody knows. And the most that learning may take, as parts of the time. */
  get costs(): { lookMs: number; lessonMs: number; shares: typeof SHARES } {
    return { lookMs: this.#passMs, lessonMs: this.#lessonMs, shares: SHARES }
  }

  /** The same of a query whose answer it may check, however long that takes; in another task, since its row goes first. */
  see(query: Float32Array, wanted: () => boolean, told: (said: Recollection | undefined) => void): void {
    const isWanted = () => query.length > 0 && wanted()
    this.#lookups.add({ steps: () => this.experience.recalling(query), wanted: isWanted, told }, true)
  }

  /** Whether what a lookup said was sure enough to be given. */
  judge(sure: boolean): void {
    this.#sure += SURENESS * (Number(sure) - this.#sure)
  }

  /**
   * Takes a query and a worker's answer to it, and returns at once: the caller and the next query go first.
   *
   * @param from  whose answer it is, for `forget`
   * @returns whether there is time to learn from it
   */
  remember(query: Float32Array, answer: Float32Array, from?: string): boolean {
    const { experience } = this
    if (!allFinite(answer)) return false
    this.#first?.see(answer)
    experience.confidence.observe(answer)
    if (experience.memory === 'none' || !query.length || this.#training.waiting >= WAITING[experience.memory])
      return false
    return this.#training.add(this.#timed(experience.train(query, answer, from)), query.byteLength + answer.byteLength)
  }

  /** Learns something a little later, if there is time. @param bytes  that it holds on to */
  later(task: TrainingTask, bytes: number): void {
    this.#training.add(task, bytes)
  }

  /** Takes out what an identity's answers taught, also those that wait to be learned, with what else does. */
  forget(from: string): void {
    this.epoch++
    this.#training.stop()
    this.#lookups.restart()
    const forgetting = this.experience.forget(from)
    forgetting.next()
    this.#training.add(forgetting, 0)
  }

  /** Forgets all that was learned, also what waits to be: the model is another. */
  renew(): void {
    this.epoch++
    this.#training.stop()
    this.#lookups.restart()
    this.experience.renew()
  }

  /** All that was learned, the last answer included. */
  save(): Uint8Array {
    this.#lookups.restart()
    this.#training.finish()
    return this.experience.save()
  }

  close(): void {
    this.#training.stop()
    this.#lookups.stop()
  }

  /** The first steps of a task are a pass over the memory. */
  *#timed(task: ReturnType<Experience['train']>): Generator<void> {
    const isPass = this.experience.memory === 'warm'
    for (let ms = 0; ; ) {
      const start = this.#clock.now()
      const { value, done } = task.next()
      ms += this.#clock.now() - start
      if (done) {
        this.#lessonMs = averaged(this.#lessonMs, ms)
        return
      }
      yield
      if (value === 'compared' && isPass) this.#sees(ms)
    }
  }

  /** A pass over the memory took so long. */
  #sees(ms: number): void {
    this.#passMs = averaged(this.#passMs, ms)
  }
}

const averaged = (mean: number, ms: number) => (Number.isFinite(mean) ? 0.9 * mean + 0.1 * ms : ms)
