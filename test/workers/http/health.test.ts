/** A server in trouble: when it gets calls, when it is asked whether it is well, and what is told. */

import type { ApproxiferError } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { errorReply, readyWorker, row } from '../../shared/http-worker'
import { silence } from '../../shared/simulated-server'
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

  it.each([
    [429, '2', 2000],
    [503, '2', 2000],
    [429, '0.5', 500],
    [429, '86400', 60_000],
    [429, undefined, undefined],
    [503, 'in a while', undefined],
    [429, '-5', undefined],
    [429, '1e3', undefined],
    [429, 'Thu, 01 Jan 2026 00:00:03 GMT', 3000],
    [429, 'Wed, 31 Dec 2025 23:59:00 GMT', undefined],
  ])('that answers %i with Retry-After %s is busy, and not gone: it wants %s ms', async (status, after, retryMs) => {
    const { worker, server, clock, warnings } = await readyWorker()
    const headers = { date: 'Thu, 01 Jan 2026 00:00:00 GMT', ...(after !== undefined && { 'retry-after': after }) }
    server.instead = ({ method }) => (method === 'POST' ? errorReply(status, 'busy', headers) : undefined)
    await expect(inferRow(worker, row)).rejects.toSatisfy((error: ApproxiferError) => {
      return error.code === 'OVERLOADED' && error.retryMs === retryMs
    })
    await clock.run(clock.now() + 1)
    expect([worker.free, worker.gone, warnings]).toEqual([true, false, []])
    server.instead = undefined
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
  })

  it('a 503 is asked about, once for all of them: where it says that it is not ready it is gone', async () => {
    const { worker, server, clock } = await readyWorker({ concurrency: 8 })
    await clock.run(clock.now() + 2000)
    server.asked.length = 0
    server.instead = ({ path }) => (path === '/v2' ? undefined : errorReply(503, 'starting'))
    const calls = [1, 2, 3, 4].map(() => inferRow(worker, row).catch(({ code }) => code))
    expect(await Promise.all(calls)).toEqual(Array(4).fill('OVERLOADED'))
    await clock.run(clock.now())
    expect(worker.gone).toBe(true)
    expect(server.asked.filter(({ path }) => path.endsWith('/ready'))).toHaveLength(1)
  })

  it('one that refuses, answers and refuses again is hardly asked whether it is ready', async () => {
    const { worker, server, clock } = await readyWorker()
    let times = 0
    server.instead = ({ method }) => (method === 'POST' && ++times % 2 ? errorReply(503, 'busy') : undefined)
    for (let i = 0; i < 2000; i++) {
      await inferRow(worker, row).catch(() => {})
      await clock.run(clock.now() + 10)
    }
    const questions = server.asked.filter(({ method }) => method === 'GET').length
    expect([worker.gone, questions]).toEqual([false, 1]) // of 20 s
  })

  it.each([429, 503])('one that has refused everything with %i for 30 s is down, and comes back', async (status) => {
    const { worker, server, clock, warnings } = await readyWorker({ probe: { everyMs: 1_000_000 } })
    const from = clock.now()
    server.instead = ({ method }) => (method === 'POST' ? errorReply(status, 'busy') : undefined)
    const goneAt = async () => {
      while (!worker.gone) {
        if (worker.free) await inferRow(worker, row).catch(() => {})
        await clock.run(clock.now() + 100)
      }
      return clock.now() - from
    }
    expect(await goneAt()).toBeCloseTo(30_000, -3)
    expect(warnings).toEqual([`there:8000 was lost: it answers ${status}: busy; it is tried again until it answers`])
    server.instead = undefined
    await clock.run(clock.now() + 12_000)
    expect([worker.free, worker.gone, warnings.at(-1)]).toEqual([true, false, 'there:8000 is back'])
  })

  it('one that has no time for the probe query when it is due is not gone: it takes no call until it has answered', async () => {
    const { worker, server, clock } = await readyWorker({ probe: { everyMs: 10_000 } })
    server.instead = ({ method }) => (method === 'POST' ? errorReply(429, 'busy') : undefined)
    await clock.run(clock.now() + 15_000)
    expect([worker.free, worker.gone]).toEqual([false, false])
    server.instead = undefined
    await clock.run(clock.now() + 200)
    expect([worker.free, worker.gone]).toEqual([true, false])
    expect(server.inferences).toBeLessThan(60)
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
