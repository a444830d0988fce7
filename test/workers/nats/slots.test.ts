import { createPredictor } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it, vi } from 'vitest'
import { handMember } from '../../shared/hand-member'
import { HandWorker, settled } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const fleets = natsFleets()

/** One that answers several calls at once. */
const several = (slots: number) => Object.assign(new HandWorker('a'), { slots, capacity: slots })

describe.skipIf(!natsInstalled)('slots of workers over NATS', () => {
  it('a machine gets as many rows at once as its worker takes; one more is refused here', async () => {
    const hand = several(3)
    const { changes } = await fleets.start([hand])
    const worker = await joined(changes)
    expect([worker.slots, worker.takesNext]).toEqual([3, false])
    const calls = [1, 2, 3].map((x) => inferRow(worker, row(x)))
    expect(worker.free).toBe(false)
    await expect(inferRow(worker, row(4))).rejects.toMatchObject({ code: 'OVERLOADED' })
    await until(() => hand.calls.length === 3)
    hand.calls[1].answer()
    expect([...(await calls[1])]).toEqual([4, 2])
    expect(worker.free).toBe(true)
    const fourth = inferRow(worker, row(4))
    await until(() => hand.calls.length === 3)
    for (const call of [...hand.calls]) call.answer()
    expect((await Promise.all([calls[0], calls[2], fourth])).map(([y]) => y)).toEqual([2, 6, 8])
  })

  it('one that says nothing of slots takes one row at once, and the next ahead', async () => {
    const { name, changes } = await fleets.start([new HandWorker('a')])
    await joined(changes)
    const beat = handMember(await fleets.connect(), name, 'old')
    for (const slots of [0, 1.5, 1e9, '4']) beat({ slots }) // no heartbeats
    beat()
    const worker = await joined(changes)
    expect([worker.name, worker.slots, worker.takesNext]).toEqual(['old', 1, true])
  })

  it.each([
    [true, true],
    [false, undefined], // it is told of aborts all the same: what waits at the machine is dropped
    [undefined, undefined],
  ])('a machine tells whether an abort frees its worker: %s', async (interruptible, told) => {
    const { changes } = await fleets.start([Object.assign(several(2), { interruptible })])
    expect((await joined(changes)).interruptible).toBe(told)
  })

  it('rows of all coordinators together: a few wait at the machine, more are refused there', async () => {
    const hand = several(2)
    const { name, changes } = await fleets.start([hand], { serving: { maxPending: 1 } })
    const others = natsWorkers(fleets.url, { fleet: name })
    fleets.end(() => others.return?.())
    const [mine, theirs] = [await joined(changes), await joined(others)]
    const open = [inferRow(theirs, row(1)), inferRow(theirs, row(2))]
    await until(() => hand.calls.length === 2)
    const waits = inferRow(mine, row(3))
    await expect(inferRow(mine, row(4))).rejects.toMatchObject({ code: 'OVERLOADED' })
    hand.calls[0].answer()
    await until(() => hand.calls[1]?.row[0] === 3)
    for (const call of [...hand.calls]) call.answer()
    expect((await Promise.all([...open, waits])).map(([y]) => y)).toEqual([2, 4, 6])
  })

  it('a query whose only machine is full of others’ rows waits until that has room, and nobody has failed', async () => {
    const hand = several(2)
    const { name, changes } = await fleets.start([hand], { serving: { maxPending: 1 } })
    const others = natsWorkers(fleets.url, { fleet: name })
    fleets.end(() => others.return?.())
    const [one, two] = [await joined(changes), await joined(others)]
    const open = [one, one, two].map((worker, x) => inferRow(worker, row(x)))
    await until(() => hand.calls.length === 2)
    const predictor = await createPredictor({ workers: natsWorkers(fleets.url, { fleet: name }), deadlineMs: 60_000 })
    fleets.end(() => predictor.close())
    const waits = predictor.predict(row(7))
    const own = () => predictor.stats().workers[0]
    await until(() => own().refused > 2)
    expect(await settled(waits)).toBe('open')
    await until(() => {
      for (const call of [...hand.calls]) call.answer()
      return own().onTime > 0
    })
    expect((await waits).output.y.data[0]).toBe(14)
    expect([own().failed, own().gone]).toEqual([0, false])
    await Promise.all(open)
  })

  it('a slot is free when the machine has done with the aborted call in it, or never got that', async () => {
    const [hand, own] = [several(2), await fleets.connect()]
    const { changes } = await fleets.start([hand], { own })
    const worker = await joined(changes)
    const [first, second] = [new AbortController(), new AbortController()]
    const running = inferRow(worker, row(1), first)
    await until(() => hand.calls.length === 1)
    vi.spyOn(own, 'publish').mockImplementationOnce(() => {})
    const lost = inferRow(worker, row(2), second)
    second.abort()
    await expect(lost).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => worker.free)
    first.abort()
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => hand.calls[0].signal?.aborted === true)
    hand.calls[0].answer()
    const third = inferRow(worker, row(3))
    await until(() => worker.free) // when the machine has said so, which a busy one does late
    const both = [third, inferRow(worker, row(4))]
    await until(() => hand.calls.length === 2)
    for (const call of [...hand.calls]) call.answer()
    await Promise.all(both)
  })

  it('answers to others do not hide that one hangs: its worker is restarted', async () => {
    const hand = several(2)
    const { changes, theirs } = await fleets.start([hand], { serving: { hangMs: 1000 } })
    const worker = await joined(changes)
    const hangs = inferRow(worker, row(0))
    await until(() => hand.calls.length === 1)
    for (let x = 1; x <= 9; x++) {
      await theirs.run(100 * x)
      const other = inferRow(worker, row(x))
      await until(() => hand.calls.length === 2)
      hand.calls[1].answer()
      await other
    }
    expect(hand.restarts).toEqual([])
    await theirs.run(1000)
    expect([hand.restarts, await settled(hangs)]).toEqual([['did not answer within 1000 ms'], 'open'])
    hand.calls[0].answer()
    await hangs
  })

  it('a worker with a number of slots that is none is not served', async () => {
    const serve = (slots: number) => serveNats(fleets.url, { fleet: 'f', workers: [several(slots)] })
    for (const slots of [0, 1.5, 1025]) {
      await expect(serve(slots)).rejects.toThrow(`workers[0].slots: expected an integer from 1 to 1024, got ${slots}`)
    }
  })
})
