/** A machine that leaves, and what is sent over its link. */

import type { ModelWorker } from 'approxifer'
import { afterEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
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
async function fleet() {
  const memory = new MemoryFleet()
  const clock = new VirtualClock()
  const hand = new HandWorker('hand')
  const served = await memory.machine({ workers: [hand], name: 'm', key, clock })
  ends.push(() => served.machine.close())
  const changes = memory.workers({ clock })
  ends.push(() => changes.return?.())
  const worker = await joined(changes)
  return { ...served, memory, changes, worker, hand }
}

/** What the worker answers to this, once it has it. */
async function asked(worker: ModelWorker, hand: HandWorker, x: number) {
  const call = inferRow(worker, row(x))
  await until(() => hand.calls.length > 0)
  hand.calls[0].answer()
  return [...(await call)]
}

it('a machine that answers and leaves has answered', async () => {
  const { worker, hand, machine, changes } = await fleet()
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

it('a heartbeat has a signature, and a frame a MAC', async () => {
  const { memory, worker, hand } = await fleet()
  await asked(worker, hand, 1)
  const of = (what: string) => memory.hub.said.filter(({ to }) => to.startsWith(`${what}/`))
  expect(of('heartbeat').length).toBeGreaterThan(0)
  for (const { bytes } of of('heartbeat')) expect(bytes[0]).toBe(1)
  const frames = [...of('worker'), ...of('reply')]
  expect(frames.length).toBeGreaterThan(4) // a ping, its answer, and a query and its answer of a value each
  for (const { bytes } of frames) expect(bytes.subarray(-32).some((byte) => byte)).toBe(true)
  expect(worker.signed).toBe(true)
})
