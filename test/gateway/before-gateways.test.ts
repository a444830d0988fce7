/** A predictor before gateways that answer 429 with Retry-After, since they have as many queries as they take. */

import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { expect, it, onTestFinished } from 'vitest'
import { HandWorker, query } from '../shared/hand-predictor'
import { serveGateway } from '../shared/http-server'
import { listOf } from '../shared/vectors'

/** Answers twice the query after 10 ms. */
function worker(name: string): HandWorker {
  const infer: HandWorker['infer'] = async ([{ data }]) => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    return listOf((data as Float32Array).map((value) => 2 * value))
  }
  return Object.assign(new HandWorker(name), { infer, slots: 2, capacity: 2 })
}

it.each([
  ['a row a request', 1],
  ['several rows a request', 16],
])('gateways that take two queries at a time, %s: sixty at once are all answered', async (_, maxBatch) => {
  const model = (name: string) => ({ workers: [worker(name)], limits: { queries: 2 } })
  const gateways = await Promise.all(['a', 'b'].map((name) => serveGateway({ models: { m: model(name) } })))
  for (const gateway of gateways) onTestFinished(() => gateway.close())
  const urls = gateways.map(({ url }) => url)
  const workers = httpWorkers(urls, { model: 'm', concurrency: 8, maxBatch, onWarning: () => {} })
  const predictor = await createPredictor({ workers, deadlineMs: 30_000, onWarning: () => {} })
  onTestFinished(() => predictor.close())
  const answers = await Promise.all(Array.from({ length: 60 }, (_, x) => predictor.predict(query(x))))
  expect(answers.map(({ output }) => output.y.data[0])).toEqual(Array.from({ length: 60 }, (_, x) => 2 * x))
  const { workers: after } = predictor.stats()
  expect(after.map(({ failed, gone }) => [failed, gone])).toEqual([
    [0, false],
    [0, false],
  ])
  expect(after.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(0)
})
