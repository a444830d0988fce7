/** Which workers an attempt of a query may go to. */

import { expect, it, vi } from 'vitest'
import { type Attempt, NORMAL } from '../../src/pool/attempt'
import { Inquiry } from '../../src/query/asked'
import { HandAttempt, HandPool } from '../shared/hand-pool'
import { HandWorker, query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

/** Of one query. @param began  told what a worker begins with */
function inquiryOf(pool: HandPool, began: (attempt: Attempt) => void): Inquiry {
  const caller = { dueAt: 100, turn: NORMAL }
  return new Inquiry({ pool }, { payload: payloadOf(query(1)), caller, coding: undefined, began, settled() {} })
}

it('two workers prove an answer, not one twice: who begins with an attempt while it is submitted gets no other of its query', () => {
  const worker = new HandWorker('w0')
  const pool = new HandPool([worker])
  const blocked: boolean[] = []
  const inquiry: Inquiry = inquiryOf(pool, (attempt) => inquiry.met(attempt))
  inquiry.ask('first', 'normal', 0) // it is queued, and may go to any worker
  vi.spyOn(pool, 'submit').mockImplementation((row) => {
    const attempt = Object.assign(new HandAttempt(row), { phase: 'running' as const, worker })
    attempt.owner.began?.(attempt)
    blocked.push(inquiry.blocks('w0'))
    return attempt
  })
  inquiry.ask('proof', 'normal', 1)
  expect([...blocked, inquiry.blocks('w0'), inquiry.blocks('w1')]).toEqual([true, true, false])
})
