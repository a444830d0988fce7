/** A query that is asked for nobody: neither its caller nor its deadline ends it, so that no error of what was kept or remembered goes unseen. */

import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { Prediction } from '../prediction'
import { type Ended, SharedCaller, tooLate } from '../query/caller'
import type { Ask, Request } from './reuse'

/** How long an audit may take: as long as it takes that workers die and come back. */
const AUDIT_MS = 60_000

interface AuditContext {
  clock: Clock
  ended: Ended
  ask: Ask
}

/** Its caller has the answer if it is still there. @param told  undefined: no answer ever came */
export function audit(
  { payload, caller, signal, options }: Request,
  { clock, ended, ask }: AuditContext,
  told: (prediction: Prediction | undefined) => void,
): void {
  const now = clock.now()
  const end = (error: ApproxiferError) => caller.isOpen && caller.fail(error, ended)
  const forget = clock.after(caller.dueAt - now, () => end(tooLate(caller)))
  const turn = { ...caller.turn, rank: 0 as const } // nothing is given until it is known
  const asked = { choices: { ...caller.choices, policy: 'retry' as const }, turn, dueAt: now + AUDIT_MS }
  const own = new SharedCaller(
    asked,
    now,
    (prediction) => {
      forget()
      told(prediction)
      if (caller.isOpen) caller.answer(prediction, ended)
    },
    (error) => {
      forget()
      told(undefined)
      end(error)
    },
  )
  if (signal) caller.listen(signal, end)
  ask({ payload, caller: own, signal: undefined, options, refusal: false }) // it is let in however much waits: refused it would count as wrong
}

/** The caller has the answer, and somebody else learns of it. */
export function overheard(request: Request, ended: Ended, told: (prediction: Prediction) => void): Request {
  const { caller } = request
  const answered = (prediction: Prediction) => {
    told(prediction)
    if (caller.isOpen) caller.answer(prediction, ended)
  }
  const failed = (error: ApproxiferError) => caller.isOpen && caller.fail(error, ended)
  return { ...request, caller: new SharedCaller(caller, caller.since, answered, failed) }
}
