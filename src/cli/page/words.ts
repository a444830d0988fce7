/** What events and states mean, in words for whoever has not read the documentation. */

import type { PredictorEvent } from '../../events'
import type { ModelOverview, WorkerOverview, WorkerState } from '../serve/overview'
import type { BarOutcome } from './recent'

export const outcomeWords: Record<BarOutcome, string> = {
  working: 'at work',
  answered: 'answered',
  late: 'late: another answer was given before',
  unneeded: 'stopped: no longer needed',
  lost: 'lost: the worker gave no answer',
  lied: 'lied: the answer was shown to be wrong',
}

const stateWords: Record<WorkerState, string> = {
  up: 'up',
  new: 'new',
  earning: 'earning trust',
  failing: 'failing',
  gone: 'out of reach',
  ejected: 'ejected',
}

/** Of workers that need to be looked at. */
const troubles = ['ejected', 'failing', 'gone'] as const satisfies WorkerState[]

export const isTroubled = (state: WorkerState) => (troubles as readonly WorkerState[]).includes(state)

export const allOf = ({ states }: ModelOverview) => Object.values(states).reduce((sum, count) => sum + count, 0)

/** How many workers there are, and how many in each state. */
export function workersIn(model: ModelOverview): string {
  const { up, ...others } = model.states
  const states = Object.entries(others).filter(([, count]) => count)
  const words = states.map(([state, count]) => `, ${number(count)} ${stateWords[state as WorkerState]}`)
  return `${number(up)} of ${counted(allOf(model), 'worker')} up${words.join('')}`
}

export function stateOf({ state, lies }: WorkerOverview): string {
  if (state !== 'ejected') return stateWords[state]
  return lies ? 'ejected: it lied' : 'ejected: it deviates'
}

const statusWords: Record<string, string> = {
  exact: 'the model’s own answer',
  checked: 'one worker’s answer, and the memory agrees',
  audited: 'one worker’s answer, of a worker that is checked at random',
  unverified: 'one worker’s answer, which nothing has checked',
  remembered: 'the memory’s answer, no worker was asked',
  DEADLINE: 'no answer by the deadline',
  WORKER: 'no answer: workers failed on it',
  QUORUM: 'no answer: too few workers agree',
  OVERLOADED: 'refused: the workers have too much to do',
  ABORTED: 'the caller left before the answer',
}

type EndedEvent = Extract<PredictorEvent, { event: 'ended' }>
type RecoveredEvent = Extract<PredictorEvent, { event: 'recovered' }>

/** Of a query. */
export function howAnswered({ status, reused }: EndedEvent, recovered: RecoveredEvent | undefined): string {
  if (reused) return 'the answer to an equal query'
  if (status === 'recovered' && recovered?.source === 'code') return 'recovered from answers to other queries'
  if (status === 'recovered') return 'recovered from the memory'
  return statusWords[status] ?? `no answer: ${status.toLowerCase()}`
}

/** Of an event that an operator wants to know; undefined for others. */
export function tellOf(event: PredictorEvent): string | undefined {
  if (event.event === 'model') return `${event.workers} workers have the model ${event.id.slice(0, 12)}: ${event.state}`
  if (!('identity' in event)) return undefined
  const { worker } = event
  if (event.event === 'joined') return `${worker} joined`
  if (event.event === 'left') return `${worker} left`
  if (event.event === 'lost') return `${worker} is out of reach, and is tried again`
  if (event.event === 'back') return `${worker} is back`
  if (event.event === 'lied') return `${worker} lied: an answer of it was shown to be wrong`
  if (event.event === 'ejected')
    return `${worker} is ejected: ${event.why === 'lied' ? 'it lied' : 'its answers differ from others’'}`
  if (event.event === 'readmitted') return `${worker} has answered right for long enough, and gets queries again`
  if (event.event === 'kept') return `${worker} lied, and is asked on, since hardly any worker would be left`
  return undefined
}

/** Of a worker: what is known for it and against it. */
export function reputationOf({ state, lies, proven, ejections, rightAnswersLeft }: WorkerOverview): string {
  const against = lies ? `${counted(lies, 'lie')}` : 'no lies'
  const facts = [against, ...(proven ? [`${number(proven)} proven right`] : [])]
  if (ejections) facts.push(`ejected ${ejections === 1 ? 'once' : `${number(ejections)} times`}`)
  if (state === 'ejected' || state === 'earning') facts.push(`${counted(rightAnswersLeft, 'right answer')} to go`)
  return facts.join(', ')
}

export function number(value: number): string {
  return value.toLocaleString('en')
}

export function counted(count: number, what: string): string {
  return `${number(count)} ${what}${count === 1 ? '' : 's'}`
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms < 10 ? ms.toFixed(1) : number(Math.round(ms))} ms`
}
