/** What the page knows of a band: calls whose digits are still seen, answers of the memory, and what is wrong with machines. */

import type { Given } from '../../src/film/film'
import { faultWords, LIARS } from '../../src/film/script'
import type { BandReport, MachineReport, NumberedCall } from './messages'

/** Milliseconds for which a digit flies to its machine, and back; and for which one that nobody waits for any more is still seen. */
export const THERE_MS = 200
export const BACK_MS = 420
/** From when on an inference is said to be late. */
export const LATE_MS = 420

export class Scene {
  readonly calls = new Map<number, NumberedCall>()
  /** What the memory answered in place of a machine. */
  readonly recovered: Given[] = []
  machines: readonly MachineReport[] = []
  slowestMs = 0
  wrong = 0
  inferences = 0
  waiting = 0
  /** Answers so far. */
  answers = 0
  /** Answers of each machine so far. */
  readonly answered: number[] = []

  /** @returns the wrong answers that were handed out since the last report, and errors in the place of an answer */
  update(now: number, report: BandReport): readonly Given[] {
    for (const call of report.calls) {
      this.calls.set(call.id, call)
      if (call.outcome === 'answered' || call.outcome === 'lie') {
        this.answered[call.machine] = (this.answered[call.machine] ?? 0) + 1
      }
    }
    for (const [id, { ended }] of this.calls) if (ended !== undefined && now > ended + BACK_MS) this.calls.delete(id)
    this.recovered.push(...report.given.filter(({ status }) => status === 'recovered'))
    while (this.recovered.length && now > this.recovered[0].at + THERE_MS + BACK_MS) this.recovered.shift()
    const { machines, slowestMs, wrong, inferences, waiting } = report
    Object.assign(this, { machines, slowestMs, wrong, inferences, waiting })
    this.answers += report.given.length
    return report.given.filter(({ isRight }) => !isRight)
  }
}

/** A machine's state in words. */
export function stateOf({ fault, isEjected, isPassedOver }: MachineReport): string {
  if (isEjected) return 'lied: out'
  if (isPassedOver) return 'passed over'
  return fault ? faultWords[fault] : ''
}

/** What is said where more machines lie than approxifer is set for; empty where it can tell who lies. One that is out has no say any more. */
export function warningOf(machines: readonly MachineReport[]): string {
  const liars = machines.filter(({ fault, isEjected }) => fault === 'lying' && !isEjected).length
  if (liars <= LIARS) return ''
  return `${liars} machines lie at once, more than the ${LIARS} it is set for (byzantine: ${LIARS}): it may eject honest ones, and hand out lies.`
}

/** How an answer came about, in words. */
export function wordsOf({ label, status, askedAt, at, confidence }: Given): string {
  const ways: Record<Given['status'], string> = {
    exact: 'two machines gave the same answer',
    checked: 'a machine’s answer, and the memory agrees',
    recovered: `no machine was in time: the memory predicts it${confidence ? `, ${Math.floor(100 * confidence)} % sure` : ''}`,
    remembered: 'the memory’s answer: no machine was asked',
    unverified: 'one machine’s answer, which nothing confirms',
    audited: 'one machine’s answer, which nothing confirms',
    failed: 'no machine could answer',
  }
  const after = `after ${seconds(at - askedAt, 2)}`
  return label === undefined ? `No answer: ${ways[status]}, ${after}.` : `${ways[status]}, ${after}`
}

export const seconds = (ms: number, digits = 1) => `${(ms / 1000).toFixed(digits)} s`
