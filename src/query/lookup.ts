/** Asks the memory for a query. */

import { isConfident } from '../choices'
import type { Recollection } from '../memory/memory'
import type { Context } from './context'
import { urgencyOf } from './facts'
import type { Query } from './query'

/** After its deadline a query waits no longer for others' lookups: behind a burst of queries with hardly any time it was 90 ms. */
const OVERTIME_MS = 20

/** Asks the memory for a query that is late or lost. @param later  called when it is known, if that is not before this returns */
export function lookUp(query: Query, { learning, clock }: Context, now: number, later: () => void): void {
  const { recovery, caller } = query
  if (!recovery) return
  const { vector } = query.payload
  const urgency = urgencyOf(query, now)
  if (learning?.experience.memory !== 'warm') return recovery.remembered(undefined, urgency)
  recovery.ask()
  let isLater = false
  const told = (said: Recollection | undefined) => {
    recovery.remembered(said, urgency)
    const { policy, minConfidence } = caller.choices
    if (said) learning.judge(isConfident(policy, minConfidence, recovery.confidence))
    if (isLater) later()
  }
  const wanted = () => caller.isOpen && clock.now() <= caller.dueAt + OVERTIME_MS
  // Else it gets nothing: at its deadline, or where it is lost and only recovers.
  const isLast = urgency === 2 || (urgency === 1 && caller.choices.policy === 'recover')
  learning.look(vector, isLast, wanted, told)
  isLater = true
}
