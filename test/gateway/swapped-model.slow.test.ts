/** A gateway whose model is replaced, behind one connection between two examinations, or while it answers a request, as its clients see it. */

import { ApproxiferError, type Change, createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { afterEach, describe, expect, it } from 'vitest'
import { turn } from '../shared/hand-predictor'
import { serveGateway } from '../shared/http-server'
import { QuirkServer } from '../shared/oip-quirks'
import { Callers, fingerprints, queries, served, type Which, worker } from '../shared/rollout-digits'
import { answerOf, inputOf, model, post, started, workersOf } from '../shared/started-gateway'
import { until } from '../shared/waiting'
import { Feed } from '../shared/worker-changes'

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
    await until(() => (rollout ? predictor.modelVersions().length > 1 : warnings.some((text) => text.includes('has another model')))) // biome-ignore format: one line
    await callers.more(300)
    await callers.stop()
    expect(callers.counts).toMatchObject({ new: 0, neither: 0, failed: 0 })
    const { old, new: other } = fingerprints
    expect(predictor.modelVersions().map(({ id }) => id)).toEqual(rollout ? [old, other] : [old])
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
  expect([await given(), predictor.modelVersions()[0].id]).toEqual([fingerprints.new, fingerprints.new])
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

describe('a request of several rows whose model is replaced before the last is answered, where workers tell no fingerprint', () => {
  /** Three rows, of which the first has its answer, twice what it asked; from then on workers answer three times that, or no more. */
  async function replaced(ask: object = {}, isAnsweredAgain = true) {
    let factor = 2
    let answers = 1
    const workers = workersOf(1, ({ calls }) => {
      if (answers-- > 0) calls[0].answer(calls[0].row.map((v) => factor * v))
    })
    const feed = new Feed<Change>()
    feed.tell({ add: workers[0] })
    const { gateway } = await started({}, { m: model(feed as never, { hedge: false, onWarning() {} }) })
    ends.push(() => gateway.close())
    const reply = answerOf(gateway, post({ ...inputOf(3), ...ask }))
    await until(() => gateway.predictor('m').stats().exact === 1)
    factor = 3
    answers = isAnsweredAgain ? 100 : 2
    feed.tell({ model: undefined })
    await turn()
    for (const { calls } of workers)
      for (const call of [...calls]) call.fail(new ApproxiferError('WORKER', 'of the model that is gone'))
    return reply
  }

  it('has the rows of the new one', async () => {
    const { status, json } = await replaced()
    expect([status, json.outputs[0].data]).toEqual([200, [0, 1, 2, 3, 4, 5].map((v) => 3 * v)])
    expect(json.parameters.fingerprint).toEqual(expect.any(String)) // of all
  })

  it('or says which row is of which, where the older one’s are not answered again in time', async () => {
    const { status, json } = await replaced({ parameters: { deadline_ms: 1000 } }, false)
    expect([status, json.outputs[0].data]).toEqual([200, [0, 2, 6, 9, 12, 15]])
    const [first, ...others] = json.parameters.fingerprint
    expect([others[0] === others[1], others[0] === first]).toEqual([true, false])
  })
})

it('servers that tell no fingerprint are told apart in answers by that to the probe query', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => new QuirkServer('triton', served('old')).listen()))
  ends.push(() => Promise.all(servers.map((server) => server.kill().catch(() => {}))))
  const workers = httpWorkers(
    servers.map(({ url }) => url),
    { model: 'digits', probe: { everyMs: 200 }, onWarning() {} },
  )
  const predictor = await createPredictor({ workers, onWarning() {} })
  ends.push(() => predictor.close())
  const given = async () => (await predictor.predict(queries[0])).fingerprint
  const before = await given()
  for (const server of servers) {
    await server.kill()
    server.model = served('new')
    await server.listen()
  }
  await until(() => predictor.renewals > 0)
  const after = await given()
  expect([typeof before, typeof after, before === after]).toEqual(['string', 'string', false])
})
