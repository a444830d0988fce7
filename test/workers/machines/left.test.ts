/** A link that tells who has left: a machine whose connection closes is lost at once. */

import type { ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { identityOf } from '../../../src/workers/worker'
import { keyOf } from '../../shared/fixed-keys'
import { HandWorker } from '../../shared/hand-predictor'
import { MemoryFleet } from '../../shared/memory-fleet'
import { joined, row } from '../../shared/nats-fleet'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const key = keyOf('at a link')
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A machine with one worker, and its gateway; no time passes. */
async function fleet(proves: boolean) {
  const memory = new MemoryFleet(proves)
  const clock = new VirtualClock()
  const onWarning = vi.fn()
  const hand = new HandWorker('hand')
  const join = async () => {
    const served = await memory.machine({ workers: [hand], name: 'm', key, clock })
    ends.push(() => served.machine.close())
    return served
  }
  const served = await join()
  const changes = memory.workers({ clock, onWarning })
  ends.push(() => changes.return?.())
  const worker = await joined(changes)
  return { ...served, memory, changes, worker, hand, clock, onWarning, join }
}

/** What the worker answers to this, once it has it. */
async function asked(worker: ModelWorker, hand: HandWorker, x: number) {
  const call = inferRow(worker, row(x))
  await until(() => hand.calls.length > 0)
  hand.calls[0].answer()
  return [...(await call)]
}

describe.each([false, true])('a machine at a link (that proves who speaks: %s)', (proves) => {
  it('whose process dies is lost at once; its open calls reject, and another under its key joins', async () => {
    const { worker, hand, link, join, changes, onWarning, clock } = await fleet(proves)
    expect(await asked(worker, hand, 3)).toEqual([6, 2])
    const open = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    const onFree = vi.fn()
    worker.onFree = onFree
    link.die()
    await expect(open).rejects.toMatchObject({
      code: 'WORKER',
      message: `${worker.name} is gone: its connection was closed`,
    })
    expect([worker.gone, worker.free, clock.now()]).toEqual([true, false, 0])
    expect(onFree).toHaveBeenCalled()
    expect(onWarning.mock.calls).toEqual([[`${worker.name} was lost: it is gone: its connection was closed`]])
    await expect(inferRow(worker, row(2))).rejects.toMatchObject({ code: 'WORKER' })
    hand.calls.length = 0
    await join()
    const again = await joined(changes)
    expect([identityOf(again), again.name === worker.name]).toEqual([key.identity, false])
    expect(await asked(again, hand, 4)).toEqual([8, 2])
    await clock.run(20_000)
    expect((await changes.next()).value).toEqual({ remove: worker.name }) // nobody has heard it for that long
  })

  it('whose connection breaks is lost, and the same worker when it is back', async () => {
    const { worker, hand, link } = await fleet(proves)
    const open = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    link.lose()
    await expect(open).rejects.toMatchObject({ code: 'WORKER' })
    hand.calls[0].answer() // which nobody hears
    expect(worker.gone).toBe(true)
    link.resume()
    await until(() => worker.free)
    expect(await asked(worker, hand, 5)).toEqual([10, 2])
  })

  it('that answers and leaves has answered', async () => {
    const { worker, hand, machine, changes } = await fleet(proves)
    const call = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    const change = changes.next()
    const left = machine.drain(1000)
    hand.calls[0].answer()
    await until(() => hand.calls.length === 0)
    expect([...(await call)]).toEqual([2, 2])
    expect((await change).value).toEqual({ drain: worker.name })
    await machine.close()
    await left
    await until(() => worker.gone === true)
  })
})

describe('what is said', () => {
  it.each([
    [false, true],
    [true, false],
  ])('where the link proves who speaks (%s) has signatures and MACs: %s', async (proves, isProven) => {
    const { memory, worker, hand } = await fleet(proves)
    await asked(worker, hand, 1)
    const of = (what: string) => memory.hub.said.filter(({ to }) => to.startsWith(`${what}/`))
    expect(of('heartbeat').length).toBeGreaterThan(0)
    for (const { bytes } of of('heartbeat')) expect(bytes[0] === 1).toBe(isProven)
    const frames = [...of('worker'), ...of('reply')]
    expect(frames.length).toBeGreaterThan(4) // a question, its answer, and a row and its answer of a value each
    for (const { bytes } of frames) expect(bytes.subarray(-32).some((byte) => byte)).toBe(isProven)
    expect(worker.signed).toBe(true)
  })

  it('in the name of another goes nowhere where the link proves who speaks', async () => {
    const { memory, worker, hand, link } = await fleet(true)
    const beat = memory.hub.said.findLast(({ to }) => to.startsWith('heartbeat/'))
    const gone = new TextDecoder().decode(beat?.bytes).replace('"up"', '"gone"')
    memory.hub.open(keyOf('other').identity).say(beat?.to ?? '', new TextEncoder().encode(gone))
    expect(await asked(worker, hand, 1)).toEqual([2, 2])
    link.say(beat?.to ?? '', new TextEncoder().encode(gone)) // its own word
    await until(() => worker.gone === true)
  })
})
