/** Which attempts of a query are queued where no worker is free. */

import { expect, it, vi } from 'vitest'
import { NORMAL } from '../../src/pool/attempt'
import { Inquiry } from '../../src/query/inquiry'
import { HandPool } from '../shared/hand-pool'
import { HandWorker, query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

it.each([
  ['clone', 0.5, 1],
  ['clone', 0.4, 0],
  ['hedge', 1, 0],
] as const)('a %s at utilisation %d: %d cancelled', (purpose, utilisation, count) => {
  const pool = new HandPool([new HandWorker('w0')])
  pool.utilisation = utilisation
  const cancelled = vi.spyOn(pool, 'cancel')
  const owner = { began() {}, settled() {} }
  const inquiry = new Inquiry(pool, {
    payload: payloadOf(query(1)),
    owner,
    dueAt: 100,
    turn: NORMAL,
    coding: undefined,
  })
  inquiry.ask('first', 'normal', 0)
  expect(inquiry.ask(purpose, 'low', 1).attempt.phase).toBe('queued')
  expect(cancelled).toHaveBeenCalledTimes(count)
})
