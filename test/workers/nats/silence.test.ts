import type { ModelWorker } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { HandWorker, settled, turn } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('workers on NATS that fall silent', () => {
  it('one that misses three heartbeats is gone, its calls reject; heard again, it takes rows', async () => {
    const hand = new HandWorker('a')
    const own = await fleets.connect()
    const { changes, clock, theirs, connection } = await fleets.start([hand], { own })
    const worker = await joined(changes)
    const call = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    const partition = vi.spyOn(connection, 'publish').mockImplementation(() => {}) // the server keeps its subscriptions
    for (const each of [connection, own]) await each.flush() // what was on its way is heard at the time at which it was sent
    await clock.run(1500)
    expect([await settled(call), worker.gone, worker.free]).toEqual(['open', false, true])
    await clock.run(1700)
    await expect(call).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('missed 3 heartbeats'),
    })
    expect([worker.gone, worker.free]).toEqual([true, false])
    const onFree = vi.fn()
    worker.onFree = onFree // before anything may be heard
    await expect(inferRow(worker, row(1))).rejects.toMatchObject({ code: 'WORKER' })
    partition.mockRestore()
    while (!worker.free) {
      await theirs.run(theirs.now() + 500) // it goes on beating
      await turn()
    }
    expect([worker.gone, onFree.mock.calls.length > 0]).toEqual([false, true])
  })

  it('one that is lost is told of once, and once more when it is back for a while', async () => {
    const own = await fleets.connect()
    const { changes, clock, theirs, connection, onWarning } = await fleets.start([new HandWorker('a')], { own })
    const worker = await joined(changes)
    const told = () => onWarning.mock.calls.map(([text]) => text)
    for (const times of [1, 2]) {
      const partition = vi.spyOn(connection, 'publish').mockImplementation(() => {})
      for (const each of [connection, own]) await each.flush() // what was on its way is heard before time goes on
      await clock.run(clock.now() + 5000)
      expect(told().slice(2 * times - 2)).toEqual([`${worker.name} was lost: it missed 3 heartbeats`])
      partition.mockRestore()
      await theirs.run(theirs.now() + 500)
      await until(() => worker.free)
      await clock.run(clock.now() + 1100)
      expect(told().slice(2 * times - 1)).toEqual([`${worker.name} is back`])
    }
  })

  it('one with a late heartbeat is asked, and answers', async () => {
    const hand = new HandWorker('a')
    const { changes, clock } = await fleets.start([hand])
    const worker = await joined(changes)
    const call = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    for (let at = 100; at <= 3000; at += 100) {
      await clock.run(at)
      const own = worker as ModelWorker & { isPinged: boolean }
      if (own.isPinged) await until(() => !own.isPinged)
    }
    expect([await settled(call), worker.free]).toEqual(['open', true])
    hand.calls[0].answer()
    await call
  })

  it('one whose process died is found with its first missed heartbeat: nobody listens any more', async () => {
    const hand = new HandWorker('a')
    const { name, service, changes, clock, connection } = await fleets.start([hand])
    const worker = await joined(changes)
    const call = inferRow(worker, row(1))
    call.catch(() => {})
    await until(() => hand.calls.length === 1)
    await connection.close() // as the kernel does with those of a dead process
    const raw = await fleets.connect()
    const ask = () => raw.request(`approxifer.${name}.worker.${service.names[0]}`, '', { timeout: 100 })
    await until(() => expect(ask()).rejects.toThrow(/no responders/i)) // the server has noticed
    await clock.run(700)
    await until(() => !worker.free) // the server has said so, as others could
    await clock.run(1000)
    await expect(call).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('nobody listens') })
    expect(worker.gone).toBe(true)
  })

  it('a thread that stalled, or a machine that slept, blames nobody: who could have been heard?', async () => {
    const { changes, clock } = await fleets.start([new HandWorker('a')])
    const worker = await joined(changes)
    await clock.run(50)
    clock.spend(9000)
    await clock.run(9150)
    expect(worker.gone).toBe(false)
  })

  it('one that is silent for long is removed, and joins again when it is heard', async () => {
    const { changes, clock, theirs } = await fleets.start([new HandWorker('a')], { options: { forgetMs: 3000 } })
    const worker = await joined(changes)
    let isGone = false
    const gone = changes.next().finally(() => (isGone = true))
    for (; !isGone; await turn()) await clock.run(clock.now() + 3200) // a heartbeat of the start may come meanwhile
    expect((await gone).value).toEqual({ remove: worker.name })
    await theirs.run(500)
    const again = await joined(changes)
    expect([again.name, again.free]).toEqual([worker.name, true])
  })
})
