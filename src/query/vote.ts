/**
 * What workers' answers to one query prove where some may lie: E + 1 that agree prove an answer, a confident memory checks a single
 * one, and what is far from a proven one is a lie.
 */

import { judgedOf, outputIn } from '../criterion'
import { inUnits } from '../memory/units'
import type { Payload } from '../payload'
import { rmsDifference, rootMeanSquare } from '../stats'
import type { Judgement } from '../trust/acceptance'
import { findingOf } from '../trust/equality'
import { identityOf, type ModelWorker } from '../workers/worker'
import { type Asked, answerOf, isLive, workerOf } from './asked'
import type { Context } from './context'
import type { QueryRecovery } from './recovery'

/** An answer to give. */
export interface Elected {
  readonly asked: Asked
  readonly status: 'exact' | 'checked'
  readonly confidence: number | undefined
}

export class Vote {
  readonly #context: Context
  readonly #recovery: QueryRecovery | undefined
  /** `open`: a memory may check. `wanted`: workers have to agree. Or the answers that agree, and prove each other. */
  #proof: 'open' | 'wanted' | readonly Payload[] = 'wanted'
  #agreeing = 0
  /** Whether answers differ so that nothing is proven yet. */
  isDisputed = false

  constructor(context: Context, recovery: QueryRecovery | undefined) {
    this.#context = context
    this.#recovery = recovery
  }

  /** Whether what is remembered may make one worker's answer enough, so that it should be looked up now. */
  begin(): boolean {
    const { learning, trust, first } = this.#context
    const isAudited = trust.audits()
    const mayCheck = trust.integrity < 1 && first?.doubt === undefined
    if (isAudited || !mayCheck || learning?.experience.memory !== 'warm') return false
    this.#proof = 'open'
    return true
  }

  /** Whether it is known what a memory says. */
  get #isLookedUp(): boolean {
    return (this.#recovery?.lookup(0) ?? 'done') === 'done'
  }

  /** How many workers have to answer alike, as far as is known. */
  get needed(): number {
    const { acceptance, trust } = this.#context
    if (typeof this.#proof !== 'string') return 0
    const isSure = this.#isLookedUp ? (this.#recovery?.confidence ?? 0) >= trust.integrity : true
    return this.#proof === 'open' && isSure ? 1 : acceptance.needed
  }

  /** The first worker is under suspicion: it may have to be proven. @returns whether it has to be now */
  suspects(worker: ModelWorker): boolean {
    const { trust } = this.#context
    if (this.#proof !== 'open' || !trust.isSuspected(worker) || !trust.audits(worker)) return false
    this.#proof = 'wanted'
    return true
  }

  /** Answers that it takes beyond those that came and those that may. @param isSilent  attempts that run too long to be waited for */
  lacking(all: readonly Asked[], isSilent: (asked: Asked) => boolean): number {
    const live = all.filter((asked) => asked.purpose !== 'trial' && isLive(asked))
    const silent = this.isDisputed ? live.filter(isSilent).length : 0
    return this.needed - this.#agreeing - live.length + Math.min(silent, this.#context.mostLost) // more: all are slow
  }

  /** Answers of workers that are believed. */
  believed(all: readonly Asked[]): Asked[] {
    const { trust } = this.#context
    return all.filter((asked) => asked.purpose !== 'trial' && answerOf(asked) && trust.isTrusted(workerOf(asked)))
  }

  /**
   * Draws conclusions from all answers so far.
   *
   * @param isOpen  whether somebody waits
   * @param give    told what to give, before anybody is ejected for what is known now
   */
  judge(payload: Payload, all: readonly Asked[], isOpen: boolean, give: (elected: Elected) => void): void {
    if (typeof this.#proof !== 'string') return this.#compare(all, this.#proof)
    const { acceptance, trust } = this.#context
    const told = this.believed(all)
    const judgement = acceptance.judge(
      told.map((asked) => answerOf(asked) as Payload),
      trust.equality,
    )
    this.#agreeing = judgement.agreeing.length
    this.isDisputed = this.#agreeing < told.length
    if (judgement.isProven) return this.#prove(payload, told, judgement, all, give)
    if (isOpen && told.length === 1 && this.#proof === 'open' && this.#isLookedUp) this.#check(told[0], give)
  }

  #prove(
    payload: Payload,
    told: readonly Asked[],
    { agreeing, lies }: Judgement,
    all: readonly Asked[],
    give: (elected: Elected) => void,
  ): void {
    const { learning, trust } = this.#context
    const right = agreeing.map((i) => told[i])
    const [first] = right
    const own = answerOf(first) as Payload
    this.#proof = right.map((asked) => answerOf(asked) as Payload)
    this.isDisputed = false
    for (const asked of right) {
      asked.verdict = 'compared'
      trust.proven(workerOf(asked))
    }
    give({ asked: first, status: 'exact', confidence: 1 })
    if (this.#recovery?.report?.given) this.#recovery.grade(own, undefined)
    const memory = this.#recovery?.memory
    // What a confident lookup got wrong must be told, also where there is no time to remember: what it got right is told every time.
    if (learning && !learning.remember(payload.vector, own.vector) && memory)
      learning.experience.confidence.rehearse({ ...memory, missing: 1 }, own.vector)
    for (const i of lies) this.#lied(told[i])
    this.#compare(all, this.#proof)
  }

  /** Answers beside, or after, those that proved the right one. */
  #compare(all: readonly Asked[], agreeing: readonly Payload[]): void {
    const { trust } = this.#context
    for (const asked of all) {
      const answer = answerOf(asked)
      if (!answer || asked.verdict !== 'none') continue
      asked.verdict = 'compared'
      const finding = findingOf(answer, agreeing, trust.equality)
      if (finding === 'right') trust.proven(workerOf(asked))
      if (finding === 'lie') this.#lied(asked)
      if (finding === 'deviant') trust.deviated(workerOf(asked))
    }
  }

  #lied(asked: Asked): void {
    asked.verdict = 'lie'
    this.#context.trust.lied(workerOf(asked))
  }

  /** Whether a confident memory shares the answer's label: it is then given. */
  #check(asked: Asked, give: (elected: Elected) => void): void {
    const { trust, learning, first } = this.#context
    const { memory, confidence = 0 } = this.#recovery ?? {}
    this.#proof = 'wanted' // unless it passes, and then nobody asks
    if (!learning || !memory || confidence < trust.integrity || first?.doubt !== undefined) return
    const { vector } = answerOf(asked) as Payload
    const passed = learning.experience.confidence.agrees(memory.answer, vector) === true
    const { criterion, rounding } = trust.equality
    const distances = judgedOf(criterion).map((each, i) => {
      const [own, other] = [memory.answer, vector].map((answer) => outputIn(inUnits(answer, [each]), each))
      const least = rounding * rootMeanSquare(other) // no error is smaller than what counts as the same
      return rmsDifference(own, other) / Math.max(memory.errors?.[i] ?? memory.error, least, 1e-9)
    })
    trust.checked(workerOf(asked), passed, rootMeanSquare(distances))
    if (!passed) return
    learning.experience.confidence.rehearse({ ...memory, missing: 1 }, vector, identityOf(workerOf(asked)))
    give({ asked, status: 'checked', confidence })
  }
}
