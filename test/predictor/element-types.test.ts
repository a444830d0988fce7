/** Every element type from a caller to a model on another machine and back: over HTTP to a gateway, and over NATS. */

import { createPredictor, type Predictor } from 'approxifer'
import { createGateway } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Signature, TensorList } from '../../src/base/tensor'
import { EchoWorker } from '../shared/echo'
import { bitsOf, everyType, everyValue } from '../shared/element-values'
import { natsFleets } from '../shared/nats-fleet'
import { natsInstalled } from '../shared/nats-server'

const forms = [true, false].flatMap((isOpen) => [true, false].map((batched) => [isOpen, batched] as const))
const signatureOf = (isOpen: boolean, batched: boolean): Signature => ({
  ...everyType(isOpen),
  ...(!batched && { batched }),
})
const quiet = { onWarning: () => {} }

/** What the model of every type is asked comes back, to the bit. */
async function expectEchoes(predictor: Predictor, { inputs, outputs }: Signature): Promise<void> {
  onTestFinished(() => predictor.close())
  const named = (query: TensorList) => Object.fromEntries(inputs.map(({ name }, i) => [name, query[i]]))
  const queries = [0, 1, 2, 3].map(everyValue)
  const predictions = await Promise.all(queries.map((query) => predictor.predict(named(query) as never)))
  for (const [row, { output }] of predictions.entries()) {
    outputs.forEach(({ name }, i) => {
      expect([name, output[name].shape]).toEqual([name, [2, 5]])
      expect([name, bitsOf(output[name].data)]).toEqual([name, bitsOf(queries[row][i].data)])
    })
  }
}

describe.each(forms)('every type (lengths that differ: %s, batched: %s)', (isOpen, batched) => {
  it.each([true, false])('over HTTP (binary: %s)', async (binary) => {
    const signature = signatureOf(isOpen, batched)
    const gateway = createGateway({ models: { m: { workers: [new EchoWorker(signature)] as never } }, ...quiet })
    onTestFinished(() => gateway.close())
    await gateway.ready()
    const fetch = ((url: string, init: RequestInit) => gateway(new Request(url, init))) as typeof globalThis.fetch
    const workers = httpWorkers(['http://a:1', 'http://b:1'], { model: 'm', binary, fetch, ...quiet })
    await expectEchoes(await createPredictor({ workers, ...quiet }), signature)
  })
})

describe.skipIf(!natsInstalled)('every type over NATS', () => {
  const fleets = natsFleets()

  it.each(forms)('(lengths that differ: %s, batched: %s)', async (isOpen, batched) => {
    const signature = signatureOf(isOpen, batched)
    const { changes } = await fleets.start([new EchoWorker(signature) as never])
    await expectEchoes(await createPredictor({ workers: changes, ...quiet }), signature)
  })
})
