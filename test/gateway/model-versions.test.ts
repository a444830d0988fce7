/** The models of a predictor's workers, told and steered over the gateway. */

import type { Change } from 'approxifer'
import type { Principal } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { turn } from '../shared/hand-predictor'
import { answerOf, inputOf, model, post, refusal, request, started, workersOf } from '../shared/started-gateway'
import { Feed } from '../shared/worker-changes'

const PATH = '/v2/models/m/model-versions'

/** Workers of two models, the old one's twice what is asked, the new one's three times. */
async function twoModels(more: object = {}) {
  const [old, other] = [workersOf(3), workersOf(2, ({ calls: [call] }) => call.answer(call.row.map((v) => 3 * v)))]
  old.forEach((worker) => Object.assign(worker, { fingerprint: 'x' }))
  other.forEach((worker, i) => Object.assign(worker, { fingerprint: 'y', name: `n${i}` }))
  const feed = new Feed<Change>()
  feed.tell(...old.map((add) => ({ add })))
  const warnings: string[] = []
  const onWarning = (text: string) => warnings.push(text)
  const own = model(feed as never, { rollout: {}, onWarning, ...more })
  const { gateway } = await started({}, { m: own })
  feed.tell(...other.map((add) => ({ add })))
  await turn()
  const answer = async () => (await answerOf(gateway, post(inputOf(1, [1, 2])))).json
  const verb = (path: string, headers = {}) => request(`${PATH}/${path}`, { method: 'POST', headers })
  const steer = async (path: string, headers = {}, principal: Principal | undefined = { operator: true }) => {
    const response = await gateway(verb(path, headers), principal)
    return { status: response.status, json: await response.json() }
  }
  return { gateway, feed, warnings, answer, steer }
}

it('says which models there are, and lets one that gathers take over, or be refused', async () => {
  const { gateway, answer, steer } = await twoModels()
  const counts = { compared: 0, agreed: 0, answered: 0, failed: 0 }
  const [x, y] = [{ id: 'x', workers: 3, ...counts }, { id: 'y', workers: 2, ...counts }] // biome-ignore format: one line
  const { json } = await answerOf(gateway, request(PATH))
  expect(json).toEqual({
    name: 'm',
    model_versions: [
      { ...x, state: 'serving' },
      { ...y, state: 'gathering' },
    ],
  })
  expect(await answer()).toMatchObject({ outputs: [{ data: [2, 4] }], parameters: { fingerprint: 'x' } })
  expect((await steer('y/refuse')).json.model_versions[1]).toEqual({ ...y, state: 'refused' })
  expect((await steer('y/promote')).json.model_versions).toEqual([{ ...y, state: 'serving' }, { ...x, state: 'refused' }]) // biome-ignore format: one line
  expect(await answer()).toMatchObject({ outputs: [{ data: [3, 6] }], parameters: { fingerprint: 'y' } })
})

it('refuses what cannot be', async () => {
  const { gateway, steer } = await twoModels()
  expect((await steer('z/promote')).json.error).toBe("the model version: expected 'x', 'y', got \"z\"")
  expect((await steer('z/promote')).status).toBe(404)
  expect((await steer('x/refuse')).status).toBe(400)
  expect((await refusal(gateway, request(`${PATH}/y/promote`)))[0]).toBe(405)
  expect((await refusal(gateway, request('/v2/models/no/model-versions')))[0]).toBe(404)
})

describe('which model serves is changed by nobody', () => {
  it.each<[string, Record<string, string>, Principal | undefined]>([
    ['whom nobody knows', {}, undefined],
    ['with a client’s token', {}, { tenant: '' }],
    ['with a client’s token that names tenants', {}, { name: 'proxy' }],
    ['with a token of a tenant', {}, { tenant: 't' }],
    ['with a token of some models', {}, { models: ['m'] }],
    ['from a page of another origin', { origin: 'https://evil.example' }, { operator: true }],
    ['from a page of no origin', { origin: 'null' }, { operator: true }],
    ['from a page at another port', { origin: 'http://test:81' }, { operator: true }],
    ['from a page whose host begins like ours', { origin: 'http://test.evil.example' }, { operator: true }],
  ])('%s', async (_, headers, principal) => {
    const { gateway, answer, steer } = await twoModels()
    for (const verb of ['promote', 'refuse']) {
      const asked = request(`${PATH}/y/${verb}`, { method: 'POST', headers, body: 'x' }) // text/plain, as a page may send it unasked
      const response = principal ? await gateway(asked, principal) : await gateway(asked)
      expect([verb, response.status]).toEqual([verb, 403])
    }
    expect((await answer()).parameters.fingerprint).toBe('x')
    expect((await steer('y/promote', { origin: 'https://test' })).status).toBe(200) // a page of its own, behind a proxy with TLS
    await gateway.close()
  })

  it('who may not ask that model, though an operator; who may, may', async () => {
    const { gateway, steer } = await twoModels()
    expect(await steer('y/promote', {}, { operator: true, models: ['other'] })).toMatchObject({ status: 403 })
    expect((await steer('y/promote', {}, { operator: true, models: ['m'], tenant: 't' })).status).toBe(200)
    await gateway.close()
  })
})

it('a model without the option says that it serves, and steers nothing', async () => {
  const { gateway } = await started()
  expect((await answerOf(gateway, request(PATH))).json.model_versions).toMatchObject([{ id: 'unknown', state: 'serving', workers: 2 }]) // biome-ignore format: one line
  expect((await gateway(request(`${PATH}/unknown/promote`, { method: 'POST' }), { operator: true })).status).toBe(400)
})

it('a callback that throws costs a warning', async () => {
  const onEvent = () => {
    throw new Error('no!')
  }
  const { warnings, answer } = await twoModels({ onEvent })
  expect(warnings).toContain('onEvent threw: no!')
  expect(await answer()).toMatchObject({ outputs: [{ data: [2, 4] }] })
})
