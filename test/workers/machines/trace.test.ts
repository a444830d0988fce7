/** The trace of who asks goes on to a machine, which gives it to its own worker. */

import type { ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeValues, UNLIMITED } from '../../../src/workers/machines/frames'
import type { MachineWorker } from '../../../src/workers/machines/worker'
import { HandWorker } from '../../shared/hand-predictor'
import { MemoryFleet } from '../../shared/memory-fleet'
import { joined, row } from '../../shared/nats-fleet'
import { TRACE, traced } from '../../shared/traced-worker'
import { listOf } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A machine of one worker, with its gateway. */
async function fleet(own: ModelWorker, key?: false) {
  const memory = new MemoryFleet()
  const { machine } = await memory.machine({ workers: [own], ...(key === false && { key }) })
  const changes = memory.workers()
  ends.push(
    () => machine.close(),
    () => changes.return?.(),
  )
  return { memory, machine, worker: (await joined(changes)) as MachineWorker }
}

describe('at a link', () => {
  it('a traceparent reaches the machine’s worker, with the whole row; who says none gives none', async () => {
    const { own, seen } = traced()
    const { worker } = await fleet(own)
    for (const traceparent of [TRACE, undefined]) {
      expect([...(await worker.infer(listOf(row(3)), { traceparent }))[0].data]).toEqual([6, 2])
    }
    expect(seen).toEqual([TRACE, undefined])
  })

  it('a worker that takes no aborts gets it, too', async () => {
    const { own, seen } = traced()
    const { worker } = await fleet(Object.assign(own, { interruptible: false }))
    await worker.infer(listOf(row(3)), { traceparent: TRACE })
    await worker.infer(listOf(row(3)))
    expect(seen).toEqual([TRACE, undefined])
  })

  it('what is no traceparent does not go on', async () => {
    const { own, seen } = traced()
    const { memory, worker } = await fleet(own)
    const said = memory.hub.said.length
    for (const traceparent of ['mine', TRACE.toUpperCase(), '\u{1f600}'.repeat(30)]) {
      expect([...(await worker.infer(listOf(row(1)), { traceparent }))[0].data]).toEqual([2, 2])
    }
    expect(seen).toEqual([undefined, undefined, undefined])
    expect(memory.hub.said.slice(said).every(({ bytes }) => !new TextDecoder().decode(bytes).includes('mine'))).toBe(
      true,
    )
  })
})

it('a machine ignores what is none, and answers the row', async () => {
  const hand = new HandWorker('hand')
  const { own, seen } = traced(hand)
  const { memory, machine, worker } = await fleet(own, false)
  const stranger = memory.hub.open()
  for (const [i, text] of ['x'.repeat(55), TRACE].entries()) {
    for (const frame of encodeValues('row', row(5), 1000, UNLIMITED, text)) {
      stranger.say(worker.address, Uint8Array.from(frame), `reply/somebody/${i}`)
    }
    await until(() => seen.length > i)
  }
  expect(seen).toEqual([undefined, TRACE])
  const short = [...encodeValues('row', Float32Array.of(), 1000, UNLIMITED, TRACE.slice(1))]
  stranger.say(worker.address, Uint8Array.from(short[0]), 'reply/somebody/2') // ends before the text would
  await until(() => machine.forged === 1)
})
