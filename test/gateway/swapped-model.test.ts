/** A gateway whose model is replaced behind one connection, between two examinations, as its clients see it. */

import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { afterEach, expect, it } from 'vitest'
import { serveGateway } from '../shared/http-server'
import { until } from '../shared/patience'
import { Callers, fingerprints, queries, type Which, worker } from '../shared/rollout'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const named = (which: Which) => ({ workers: [worker(which)] })

async function startGateway() {
  const server = await serveGateway({ models: { digits: named('old') } })
  ends.push(() => server.close())
  return server
}

const rollouts = [
  ['as ever', undefined],
  ['beside a rollout', { shadow: 1 }],
] as const

it.each(rollouts)(
  'no answer of the wrong model is exact when one of three gateways takes another model under load, %s',
  async (_, rollout) => {
    const servers = await Promise.all([startGateway(), startGateway(), startGateway()])
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const workers = httpWorkers(
      servers.map(({ url }) => url),
      { model: 'digits', concurrency: 2, onWarning },
    )
    const predictor = await createPredictor({ workers, rollout, onWarning })
    ends.push(() => predictor.close())
    const callers = new Callers(predictor, 6)
    await callers.more(300)
    await servers[0].gateway.load('digits', named('new'))
    await until(() => (rollout ? predictor.generations().length > 1 : warnings.some((text) => text.includes('has another model')))) // biome-ignore format: one line
    await callers.more(300)
    await callers.stop()
    expect(callers.counts).toMatchObject({ new: 0, neither: 0, failed: 0 })
    const { old, new: other } = fingerprints
    expect(predictor.generations().map(({ id }) => id)).toEqual(rollout ? [old, other] : [old])
  },
)

it('when most gateways have another model, answers say which one', async () => {
  const servers = await Promise.all([startGateway(), startGateway(), startGateway()])
  const workers = httpWorkers(
    servers.map(({ url }) => url),
    { model: 'digits' },
  )
  const predictor = await createPredictor({ workers, onWarning: () => {} })
  ends.push(() => predictor.close())
  const given = async () => (await predictor.predict(queries[0])).fingerprint
  expect(await given()).toBe(fingerprints.old)
  for (const { gateway } of servers) await gateway.load('digits', named('new'))
  const callers = new Callers(predictor, 2) // so that it is noticed
  await callers.more(30, 'new')
  await callers.stop()
  expect([await given(), predictor.generations()[0].id]).toEqual([fingerprints.new, fingerprints.new])
})

it('an answer says which model made it', async () => {
  const { gateway, url } = await startGateway()
  const given = async () => {
    const input = { name: 'input', shape: [2, 1, 28, 28], datatype: 'FP32', data: [...queries[0], ...queries[1]] }
    const init = { method: 'POST', body: JSON.stringify({ inputs: [input] }) }
    return (await (await fetch(`${url}/v2/models/digits/infer`, init)).json()).parameters.fingerprint
  }
  expect((await gateway.predictor('digits').predict(queries[0])).fingerprint).toBe(fingerprints.old)
  expect(await given()).toBe(fingerprints.old)
  await gateway.load('digits', named('new'))
  expect(await given()).toBe(fingerprints.new)
})
