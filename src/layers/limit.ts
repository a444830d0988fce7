/** Each query ends at its deadline. The outermost layer: beneath it no call may wait for ever. */

import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import type { Layer, Outcome } from '../service'

/** A call that has expired settles within so many milliseconds; else it is settled here. */
const GRACE_MS = 20

export function limit({ clock }: { clock: Clock }): Layer {
  return (next) => (query, caller) => {
    let isOpen = true
    let cancel = () => {}
    const close = (outcome?: Outcome) => {
      if (!isOpen) return
      isOpen = false
      cancel()
      if (outcome) caller.settled(outcome)
    }
    const call = next(query, {
      began: (attempt) => caller.began?.(attempt),
      ended: (attempt) => caller.ended?.(attempt),
      settled: close,
      done: () => caller.done?.(),
    })
    const late = () => {
      close({ kind: 'failure', error: new ApproxiferError('DEADLINE', 'no answer in time'), blame: 'nobody' })
      call.drop('over')
    }
    const expire = () => {
      if (!isOpen) return
      cancel()
      cancel = clock.after(GRACE_MS, late)
      call.expire()
    }
    if (query.dueAt < Number.POSITIVE_INFINITY) cancel = clock.after(Math.max(0, query.dueAt - clock.now()), expire)
    return {
      drop(why) {
        close()
        call.drop(why)
      },
      expire,
    }
  }
}
