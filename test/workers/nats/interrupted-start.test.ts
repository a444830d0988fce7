/** A machine whose connection breaks while it joins. */

import { expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { natsWorkers } from '../../../src/workers/nats/fleet'
import { serveNats } from '../../../src/workers/nats/serve'
import { HandWorker } from '../../shared/hand-predictor'
import { Broker } from '../../simulation/nats-broker'
import { CALM, Network } from '../../simulation/network'

it('is found when the connection is back, and can be told to leave', async () => {
  const clock = new VirtualClock()
  const broker = new Broker(new Network(clock, 1, CALM), 1_048_576)
  const [own, theirs] = [broker.connect(), broker.connect()]
  const changes = natsWorkers(own, { fleet: 'f', clock })
  const first = changes.next()
  const worker = new HandWorker('w')
  const starting = serveNats(theirs, { fleet: 'f', workers: [worker], name: 'm', clock })
  await Promise.resolve()
  theirs.cut(30)
  await clock.run(200)
  const service = await starting
  expect(await first).toEqual({ done: false, value: { add: expect.objectContaining({ name: service.names[0] }) } })
  const leaving = service.close()
  await clock.run(400)
  await leaving
  expect(worker.closed).toBe(1)
  await changes.return?.()
  await clock.run(1000)
  expect(clock.pending).toBe(0)
})
