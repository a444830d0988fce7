/** More is asked than can be answered in time. */

import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { answerOf, hang, inputOf, model, post, refusal, started, workersOf } from '../shared/started-gateway'

it('who would wait too long is refused at once: 429, and when to try again', async () => {
  let isSlow = false
  const workers = workersOf(1, (worker) => (isSlow ? hang() : worker.calls[0].answer()))
  // An answer takes a second.
  const clock = new VirtualClock()
  const { infer } = workers[0]
  workers[0].infer = (...query) => {
    if (!isSlow) clock.spend(1000)
    return infer(...query)
  }
  const { gateway, events } = await started({}, { m: model(workers, { testing: { clock }, deadlineMs: 2500 }) })
  for (let i = 0; i < 30; i++) {
    expect((await gateway(post(inputOf(1)))).status).toBe(200)
    await clock.run(clock.now())
  }
  isSlow = true
  const [, second] = [0, 1].map(() => gateway(post({ ...inputOf(1), parameters: { deadline_ms: 60_000 } })))
  while (gateway.predictor('m').stats().open < 2) await new Promise(setImmediate)
  const since = performance.now()
  const { status, headers, json } = await answerOf(gateway, post(inputOf(1)))
  expect(performance.now() - since).toBeLessThan(500) // a few ms, on a machine that has nothing else to do
  expect([status, headers.get('retry-after')]).toEqual([429, '2'])
  expect(json.error).toBe(
    'row 0: it has 2500 ms, and would wait 1500 ms for workers before it is begun: too late for most',
  )
  expect(events.at(-1)).toMatchObject({ status: 429 })
  const isPatient = post({ ...inputOf(1), parameters: { deadline_ms: 60_000, priority: 'low' } })
  const third = gateway(isPatient)
  while (gateway.predictor('m').stats().open < 3) await new Promise(setImmediate)
  await gateway.close()
  expect([(await second).status, (await third).status]).toEqual([503, 503])
})

it('a priority is a word, or a number as Triton has them: 1 goes first, 0 is none', async () => {
  const { gateway } = await started()
  for (const priority of ['high', 'normal', 'low', 0, 1, 2, 3, 17]) {
    expect((await gateway(post({ ...inputOf(1), parameters: { priority } }))).status).toBe(200)
  }
  const wrong = await refusal(gateway, post({ ...inputOf(1), parameters: { priority: 'first' } }))
  expect(wrong).toEqual([400, `parameters.priority: expected 'high' | 'normal' | 'low', got "first"`])
  const negative = await refusal(gateway, post({ ...inputOf(1), parameters: { priority: -1 } }))
  expect(negative).toEqual([400, 'parameters.priority: expected an integer >= 0, got -1'])
  await gateway.close()
})
