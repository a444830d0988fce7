/** What is told of a verdict on a worker. */

import { expect, it } from 'vitest'
import { Events, type PredictorEvent } from '../../src/events'
import { judge } from '../../src/predictor/ejection'
import type { Settings } from '../../src/predictor/settings'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Evidence } from '../../src/trust/evidence'
import type { Verdict } from '../../src/trust/reputation'
import { house, query, turn } from '../shared/hand-predictor'
import { HeardEvents } from '../shared/heard-events'

const evidence = new Evidence().of('key')

it.each<[Verdict['kind'], object]>([
  ['ejected', { event: 'ejected', why: 'lied' }],
  ['deviant', { event: 'ejected', why: 'deviant' }],
  ['readmitted', { event: 'readmitted' }],
  ['kept', { event: 'kept' }],
])('%s is an event, with what is known of the worker', async (kind, event) => {
  const told: PredictorEvent[] = []
  const events = new Events(new VirtualClock(), (each) => told.push(each))
  judge({ worker: 'w', identity: 'key', kind, evidence }, [], { events, warn: () => {} } as unknown as Settings)
  await turn()
  expect(told).toEqual([{ at: 0, worker: 'w', identity: 'key', evidence, ...event }])
})

it('a verdict is heard before an answer that comes of the same proof', async () => {
  const heard = new HeardEvents()
  const { onEvent } = heard
  const scheme = { queries: 1, byzantine: 1 }
  const { predictor, workers } = await house(8, { scheme, memory: false, onWarning() {}, onEvent })
  const asked = predictor.predict(query(1)).then(() => heard.of('ejected').length)
  const [liar, honest] = workers.filter(({ calls }) => calls.length)
  liar.calls[0].answer(Float32Array.of(90, -90))
  honest.calls[0].answer()
  await turn()
  workers.find(({ calls }) => calls.length)?.calls[0].answer()
  expect(await asked).toBe(1)
  await predictor.close()
})
