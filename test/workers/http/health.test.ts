/** A server in trouble: when it gets calls, when it is asked whether it is well, and what is told. */

import { describe, expect, it, vi } from 'vitest'
import { errorReply, readyWorker, row } from '../../shared/http-worker'
import { silence } from '../../shared/pretend-server'
import { inferRow } from '../../shared/vectors'

describe('a server in trouble', () => {
  it.each([502, 404, 302])(
    'that answers %i at once is gone, not fast; it is asked again until it is back',
    async (status) => {
      const { worker, server, clock } = await readyWorker()
      server.instead = () => errorReply(status, 'from a proxy')
      await expect(inferRow(worker, row)).rejects.toThrow(`there:8000 answers ${status}: from a proxy`)
      expect(worker.free).toBe(false)
      await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER' })
      await clock.run(clock.now()) // it is looked at once
      expect([worker.free, worker.gone]).toEqual([false, true])
      const told = vi.fn()
      worker.onFree = told
      await clock.run(clock.now() + 5000)
      expect([worker.free, told.mock.calls.length > 0]).toEqual([false, true])
      server.instead = undefined
      await clock.run(clock.now() + 10_000)
      expect([worker.free, worker.gone]).toEqual([true, false])
      expect([...(await inferRow(worker, row))]).toEqual([6, 8])
    },
  )

  it('what it was never asked is not to blame for it', async () => {
    const { worker, server, clock } = await readyWorker()
    server.isGone = true
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.isGone = false
    await clock.run(clock.now() + 1000)
    server.instead = () => errorReply(503, 'starting')
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'OVERLOADED' })
  })

  it.each([429, 503])('that answers %i with Retry-After is left alone for so long, and is not gone', async (status) => {
    const { worker, server, clock } = await readyWorker()
    server.instead = ({ method }) =>
      method === 'POST' ? errorReply(status, 'busy', { 'retry-after': '2' }) : undefined
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.instead = undefined
    const from = clock.now()
    let freeAt = Number.NaN
    worker.onFree = () => {
      freeAt = clock.now()
    }
    expect([worker.free, worker.gone]).toEqual([false, false])
    await clock.run(from + 1999)
    expect([worker.free, server.inferences]).toEqual([false, 1])
    await clock.run(from + 2001)
    expect([worker.free, freeAt - from]).toEqual([true, 2001])
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
  })

  it('a few failures are the rows’, many in a row are looked into', async () => {
    const { worker, server, clock } = await readyWorker()
    server.instead = ({ method }) => (method === 'POST' ? errorReply(500, 'broken') : undefined)
    for (let i = 0; i < 2; i++) {
      await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER' })
      expect(worker.free).toBe(true)
    }
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER' })
    expect(worker.free).toBe(false)
    await clock.run(clock.now() + 1)
    expect(worker.gone).toBe(true) // its probe failed, too
  })

  it('idle, it is found gone without a query, and a dead connection in bounded time', async () => {
    const { worker, server, clock } = await readyWorker()
    await clock.run(60_000)
    expect(worker.free).toBe(true)
    const health = server.asked.filter(({ path }) => path === '/v2/models/m/ready').length
    expect(health).toBeGreaterThan(15)
    server.instead = () => silence // a partition
    await clock.run(clock.now() + 3000 + 5000)
    expect(worker.gone).toBe(true)
    server.instead = undefined
    await clock.run(clock.now() + 75_000)
    expect(worker.free).toBe(true)
  })

  it('an aborted call ends its request; the worker is free once the server answers', async () => {
    const { worker, server, clock } = await readyWorker()
    server.instead = () => silence
    const abort = new AbortController()
    const call = inferRow(worker, row, { signal: abort.signal })
    await clock.run(clock.now())
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    expect(server.asked[0].signal.aborted).toBe(true)
    expect([worker.free, worker.gone]).toEqual([false, false])
    server.instead = undefined
    await clock.run(clock.now() + 70_000)
    expect(worker.free).toBe(true)
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
  })
})

describe('one that is lost', () => {
  it('is told of once, however often it is tried again, and once more when it is back', async () => {
    const { server, clock, warnings } = await readyWorker()
    for (const times of [1, 2]) {
      server.isGone = true
      await clock.run(clock.now() + 60_000)
      expect(warnings.length).toBe(2 * times - 1)
      expect(warnings.at(-1)).toMatch(/^there:8000 was lost: it cannot be reached: .*ECONNREFUSED; it is tried again/)
      server.isGone = false
      await clock.run(clock.now() + 12_000)
      expect([warnings.length, warnings.at(-1)]).toEqual([2 * times, 'there:8000 is back'])
    }
  })

  it('and comes and goes twice a second is told of once, until it stays', async () => {
    const { worker, server, clock, warnings } = await readyWorker()
    let losses = 0
    for (let times = 0; times < 20; times++) {
      server.isGone = true
      inferRow(worker, row).catch(() => {})
      await clock.run(clock.now() + 50)
      if (worker.gone) losses++
      server.isGone = false
      await clock.run(clock.now() + 450)
      expect(worker.gone).toBe(false)
    }
    expect([losses, warnings.length]).toEqual([20, 1])
    await clock.run(clock.now() + 2000)
    expect(warnings.slice(1)).toEqual(['there:8000 is back'])
  })
})
