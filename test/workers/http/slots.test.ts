/** A server that is given several calls at once. */

import { describe, expect, it } from 'vitest'
import { errorReply, readyWorker, row } from '../../shared/http-worker'
import { type Asked, type Reply, silence } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'

/** A worker on a server whose inferences the test answers, in the order in which they were asked. */
async function openWorker(concurrency?: number) {
  const made = await readyWorker({ concurrency })
  const { server, clock } = made
  const waiting: { answer(reply?: Reply): void }[] = []
  server.instead = ({ method, json }: Asked) => {
    if (method !== 'POST' || !json) return undefined
    const [{ data }] = json.inputs
    if (data[0] !== row[0]) return undefined // the probe query
    return new Promise((resolve) => {
      waiting.push({ answer: (reply = server.answer(data, json.id)) => resolve(reply) })
    })
  }
  const call = async (signal?: AbortSignal) => {
    const outcome = inferRow(made.worker, row, signal && { signal }).then(
      (answer) => answer.join(),
      ({ code }) => code,
    )
    await clock.run(clock.now())
    return { outcome }
  }
  /** Asked whether it is ready, since last time. */
  const readiness = () => server.asked.splice(0).filter(({ path }) => path.endsWith('/ready')).length
  return { ...made, waiting, call, readiness }
}

it('an abort frees a server that is said to end its work then, and no other', async () => {
  expect((await readyWorker({ interruptible: true })).worker.interruptible).toBe(true)
  expect((await readyWorker()).worker.interruptible).toBe(undefined)
  await expect(readyWorker({ interruptible: 'yes' as never })).rejects.toThrow('interruptible: expected true or false')
})

describe('a worker with slots', () => {
  it('has one at first where nothing is said, and as many as pay later', async () => {
    const { worker, waiting, call, clock } = await openWorker()
    expect(worker.slots).toBe(1)
    for (let round = 0; round < 60; round++) {
      const calls = []
      while (worker.free) calls.push(await call())
      await clock.run(clock.now() + 10)
      for (const { answer } of waiting.splice(0)) answer()
      await Promise.all(calls.map(({ outcome }) => outcome))
    }
    expect(worker.slots).toBeGreaterThanOrEqual(16)
  })

  it('takes as many calls at once as it says, and one more when one of them has settled', async () => {
    const { worker, waiting, call, clock } = await openWorker(3)
    expect(worker.slots).toBe(3)
    const calls = [await call(), await call()]
    expect(worker.free).toBe(true)
    calls.push(await call())
    expect(worker.free).toBe(false)
    expect(await (await call()).outcome).toBe('OVERLOADED')
    waiting[1].answer()
    expect(await calls[1].outcome).toBe('6,8')
    expect(worker.free).toBe(true)
    const last = await call()
    await clock.run(clock.now() + 10)
    for (const { answer } of waiting) answer()
    expect(await Promise.all([calls[0], calls[2], last].map(({ outcome }) => outcome))).toEqual(['6,8', '6,8', '6,8'])
  })

  it('is not asked whether it is there after an abort, where it has answered another call since', async () => {
    const { worker, waiting, call, readiness, clock } = await openWorker(3)
    const abort = new AbortController()
    const [aborted, answered] = [await call(abort.signal), await call()]
    await clock.run(clock.now() + 10)
    waiting[1].answer()
    await answered.outcome
    readiness()
    abort.abort()
    expect([await aborted.outcome, worker.free, readiness()]).toEqual(['ABORTED', true, 0])
    const next = new AbortController()
    const late = await call(next.signal)
    await clock.run(clock.now() + 10)
    next.abort()
    expect([await late.outcome, worker.free, readiness()]).toEqual(['ABORTED', false, 1])
    await clock.run(clock.now())
    expect(worker.free).toBe(true)
  })

  it('is examined before an answer counts, and takes no further call until then', async () => {
    const { worker, server, waiting, call, clock } = await openWorker(3)
    const [first, second] = [await call(), await call()]
    await clock.run(clock.now() + 40_000) // so long after the last examination another is due
    expect(worker.free).toBe(false)
    server.factor = 3
    waiting[0].answer()
    expect(await first.outcome).toBe('WORKER')
    expect([worker.free, worker.gone]).toEqual([false, true])
    waiting[1].answer()
    expect(await second.outcome).toBe('WORKER')
  })

  it('gets no more than those that it did not refuse, and one more after a few answers', async () => {
    const { worker, waiting, call, clock } = await openWorker(3)
    const [busy, other] = [await call(), await call()]
    waiting[0].answer(errorReply(429, 'busy'))
    expect([await busy.outcome, worker.slots, worker.free, worker.gone]).toEqual(['OVERLOADED', 1, false, false])
    waiting[1].answer()
    expect([await other.outcome, worker.free]).toEqual(['6,8', true])
    const slots = []
    for (let i = 2; i < 8; i++) {
      await clock.run(clock.now() + 10)
      const { outcome } = await call()
      waiting[i].answer()
      await outcome
      slots.push(worker.slots)
    }
    expect(slots).toEqual([1, 2, 2, 2, 2, 2])
  })

  it('gets one call where it refused all sixteen, and sixteen again once it has answered that', async () => {
    const { worker, waiting, call, clock } = await openWorker(16)
    const burst = []
    for (let i = 0; i < 16; i++) burst.push(await call())
    for (const { answer } of waiting.splice(0)) answer(errorReply(503, 'busy'))
    await Promise.all(burst.map(({ outcome }) => outcome))
    await clock.run(clock.now() + 10)
    expect([worker.slots, worker.free]).toEqual([1, true])
    const { outcome } = await call()
    waiting[0].answer()
    await outcome
    expect(worker.slots).toBe(16)
  })

  it('that is gone does not come back by an abort of a call that was open', async () => {
    const { worker, server, call, clock } = await openWorker(2)
    const abort = new AbortController()
    const hung = await call(abort.signal)
    server.instead = () => errorReply(502, 'from a proxy')
    await (await call()).outcome
    await clock.run(clock.now())
    expect(worker.gone).toBe(true)
    server.instead = ({ method }) => (method === 'POST' ? silence : undefined)
    abort.abort()
    expect(await hung.outcome).toBe('ABORTED')
    await clock.run(clock.now())
    expect(worker.gone).toBe(true)
  })
})
