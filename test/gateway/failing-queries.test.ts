/** Queries on which the model itself fails, through gateways as workers: they are an error of their own, and hold up nobody. */

import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { expect, it } from 'vitest'
import { HandWorker } from '../shared/hand-predictor'
import { serveGateway } from '../shared/http-server'
import { PATIENCE_MS } from '../shared/waiting'

const POISON = 3

/** Answers at once, but what it fails on. */
function worker(name: string): HandWorker {
  const own = new HandWorker(name)
  const infer = own.infer.bind(own)
  own.infer = (...args) => {
    const answer = infer(...args)
    queueMicrotask(() => {
      const [call] = own.calls
      if (call?.row[0] === POISON) call.fail(new Error('an id that it does not know') as never)
      else call?.answer()
    })
    return answer
  }
  return own
}

it('one caller’s queries that no worker can run keep no other waiting, and are 500', async () => {
  const servers = await Promise.all(
    ['a', 'b'].map((name) => serveGateway({ models: { m: { workers: [worker(name)] } } })),
  )
  const workers = httpWorkers(servers.map(({ url }) => url), { model: 'm' }) // biome-ignore format: one line
  const predictor = await createPredictor({ workers, onWarning() {} })
  const ends: string[] = []
  for (let i = 0; i < 60; i++) {
    const isPoison = i % 6 === 0
    const deadlineMs = isPoison ? PATIENCE_MS : 900 // the others are not kept waiting, however slow a machine is at failing
    const asked = predictor.predict(Float32Array.of(isPoison ? POISON : 10 + i, 1), { deadlineMs })
    await asked.then(({ status }) => ends.push(status), ({ code, message }) => ends.push(isPoison ? `${code} ${/answers 500/.test(message)}` : code)) // biome-ignore format: one line
  }
  expect(ends.filter((end) => end === 'exact').length).toBe(50)
  expect(new Set(ends)).toEqual(new Set(['exact', 'WORKER true']))
  await predictor.close()
  await Promise.all(servers.map((server) => server.close()))
})

it('a gateway that is closing says so of each model', async () => {
  const server = await serveGateway({ models: { m: { workers: [worker('a')] } } })
  const ready = async () => (await fetch(`${server.url}/v2/models/m/ready`)).status
  expect(await ready()).toBe(200)
  await server.gateway.close()
  expect(await ready()).toBe(503)
  await server.close()
})
