/** One attempt at a pool: when its caller is told what. */

import { expect, it, vi } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import { poolService } from '../../src/layers/pool-service'
import { listener, queryOf } from '../shared/fake-service'
import { type HandAttempt, HandPool } from '../shared/hand-pool'
import { HandWorker } from '../shared/hand-predictor'

/** @param isFree  a worker begins before `submit` has returned, as in a pool */
function service(isFree = true) {
  const worker = new HandWorker('a')
  const pool = new HandPool(isFree ? [worker] : [])
  const submit = pool.submit.bind(pool)
  const blocked: boolean[] = []
  vi.spyOn(pool, 'submit').mockImplementation((row) => {
    const attempt = submit(row)
    if (isFree) attempt.owner.began?.(attempt)
    blocked.push(row.apart.some((apart) => apart.blocks('a')))
    return attempt
  })
  const taken: string[] = []
  const take = (how: string) => (attempt: unknown) => {
    taken.push(how)
    const own = attempt as HandAttempt
    if (own.phase === 'queued') Object.assign(own, { phase: 'settled', outcome: { kind: 'cancelled' } })
  }
  Object.assign(pool, { cancel: take('cancel'), release: take('release') })
  const { log, caller, outcomes } = listener()
  const query = queryOf()
  const call = poolService(pool)(query, caller)
  const own = pool.attempts[0] as HandAttempt
  return { call, log, outcomes, worker, own, query, blocked, taken }
}
const microtasks = () => Promise.resolve()

it('what began at once is told when the call is known, and keeps the pool from sending another attempt there at once', async () => {
  const { log, own, blocked } = service()
  expect([log, blocked]).toEqual([[], [true]])
  await microtasks()
  own.answer(Float32Array.of(7))
  expect(log).toEqual(['began a', 'ended a', 'exact 7', 'done'])
})

it('nothing is told of a worker that has lost it before the call is known, but of the next one', async () => {
  const { log, own } = service()
  Object.assign(own, { worker: undefined, phase: 'queued' })
  await microtasks()
  expect(log).toEqual([])
  Object.assign(own, { worker: new HandWorker('b'), phase: 'running' })
  own.owner.began?.(own)
  own.answer(Float32Array.of(7))
  expect(log).toEqual(['began b', 'ended b', 'exact 7', 'done'])
})

it('an answer that comes before that is told after it', () => {
  const { log, own } = service()
  own.answer(Float32Array.of(7))
  expect(log).toEqual(['began a', 'ended a', 'exact 7', 'done'])
})

it('a queued attempt that is dropped is over at once', () => {
  const { call, log, taken } = service(false)
  call.drop('teach')
  expect([taken, log]).toEqual([['release'], ['ended undefined', 'done']])
})

it.each([
  ['left', undefined, 'cancel'],
  ['over', undefined, 'release'],
  ['over', true, 'cancel'],
  ['teach', true, 'release'],
] as const)(
  'one that runs and is dropped (%s) at a worker that an abort frees (%s): %s; its answer still is told',
  async (why, interruptible, how) => {
    const { call, log, own, worker, taken } = service()
    Object.assign(worker, { interruptible })
    await microtasks()
    call.drop(why)
    own.answer(Float32Array.of(7))
    expect([taken, log]).toEqual([[how], ['began a', 'ended a', 'done']])
  },
)

it('one that expires settles, once, and is told to the end', async () => {
  const { call, log, own } = service()
  await microtasks()
  call.expire()
  call.expire()
  own.answer(Float32Array.of(7))
  expect(log).toEqual(['began a', 'DEADLINE', 'ended a', 'done'])
})

it('a failure says whose fault it is: the load, where no worker had begun', async () => {
  const [failing, refused] = [service(), service(false)]
  await microtasks()
  failing.own.fail(new ApproxiferError('WORKER', 'broke'))
  refused.own.fail(new ApproxiferError('OVERLOADED', 'too late'), 'nobody')
  expect([...failing.outcomes, ...refused.outcomes]).toMatchObject([{ blame: 'worker' }, { blame: 'load' }])
})

it('an attempt that is over while it is submitted is told when the call is known', async () => {
  const pool = new HandPool([new HandWorker('a')])
  const submit = pool.submit.bind(pool)
  vi.spyOn(pool, 'submit').mockImplementation((row) => {
    const attempt = submit(row)
    attempt.owner.began?.(attempt)
    attempt.fail(new ApproxiferError('CLOSED', 'closed by its worker'), 'nobody')
    return attempt
  })
  const { log, caller } = listener()
  poolService(pool)(queryOf(), caller)
  expect(log).toEqual([])
  await Promise.resolve()
  await Promise.resolve()
  expect(log).toEqual(['began a', 'ended a', 'CLOSED', 'done'])
})
