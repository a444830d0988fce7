/** With the paper's code no answer is the model's own: whoever wants exact answers or errors is told. */

import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { HandWorker, query } from '../shared/hand-predictor'
import { model, started } from '../shared/started-gateway'

const workers = () => [1, 2, 3].map((i) => new HandWorker(`w${i}`))
const sentence =
  "policy: expected 'recover' with the paper’s code, which decodes every answer and asks nobody again, got 'retry'"

it('policy retry is refused, of the predictor and of a query', async () => {
  const scheme = { preset: 'aaai22' as const, queries: 2, stragglers: 1 }
  const options = { scheme, right: 'label' as const, maxWaitMs: 60_000 }
  await expect(createPredictor({ ...options, workers: workers(), policy: 'retry' })).rejects.toThrow(sentence)
  const predictor = await createPredictor({ ...options, workers: workers() })
  await expect(predictor.predict(query(1), { policy: 'retry' })).rejects.toThrow(sentence)
  await expect(predictor.predictAll([query(1)], { policy: 'retry' })).rejects.toThrow(sentence)
  await predictor.close()
})

it('over HTTP it is a 400', async () => {
  const scheme = { preset: 'aaai22', queries: 2, stragglers: 1 }
  const { gateway } = await started({}, { m: model(workers(), { scheme }) })
  const inputs = [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }]
  const body = JSON.stringify({ inputs, parameters: { policy: 'retry' } })
  const reply = await gateway(new Request('http://here/v2/models/m/infer', { method: 'POST', body }))
  expect([reply.status, await reply.json()]).toMatchObject([400, { error: expect.stringContaining(sentence) }])
  await gateway.close()
})
