/** The page of operators as `approxifer serve` sends it, and what it asks for. */

import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { overviewOf } from '../../src/cli/serve/overview'
import { LENET, Served } from '../shared/served-process'

const DIGITS = [`digits=${LENET}`, '--workers', '2']
const TOKEN = 'a-secret'
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` }
const JSON_ASKED = { accept: 'application/json' }

/** As `fetch` would not: with just these headers, and the body as it came. */
function raw(url: string, headers: Record<string, string> = {}) {
  return new Promise<{ headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    const asked = request(url, { headers }, async (response) => {
      resolve({ headers: response.headers, body: Buffer.concat(await response.toArray()) })
    })
    asked.on('error', reject).end()
  })
}

const hashOf = (text = '') => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

describe('with a token', () => {
  let served: Served
  beforeAll(async () => {
    served = await Served.start(DIGITS, { APPROXIFER_TOKEN: TOKEN })
  })
  afterAll(() => served.stop())
  const get = (path: string, headers = {}, method = 'GET') => fetch(served.url + path, { headers, method })

  it('everybody gets the page, and it tells nothing of the server', async () => {
    const response = await get('/')
    const html = await response.text()
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(/digits|mnist|worker 0|127\.0\.0\.1|a-secret/.exec(html)?.[0]).toBe(undefined)
    expect((await get('/', {}, 'HEAD')).status).toBe(200)
    const refused = await get('/', {}, 'POST')
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  it('a policy lets only its own script and style run, and reach only this server', async () => {
    const response = await get('/')
    const html = await response.text()
    const policy = response.headers.get('content-security-policy') ?? ''
    const directives = Object.fromEntries(policy.split('; ').map((each) => each.split(/ (.*)/)))
    expect(directives).toEqual({
      'default-src': "'none'",
      'script-src': hashOf(/<script>(.*?)<\/script>/s.exec(html)?.[1]),
      'style-src': hashOf(/<style>(.*?)<\/style>/s.exec(html)?.[1]),
      'img-src': 'data:',
      'connect-src': "'self'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
      'require-trusted-types-for': "'script'",
      'trusted-types': 'lit-html',
    })
    expect(html.match(/<(script|style)\b/g)).toEqual(['<style', '<script'])
    expect(/\s(style|on[a-z]+)="/.exec(html)?.[0]).toBe(undefined)
    const addresses = html.match(/https?:\/\/[\w.]+/g) ?? []
    expect(addresses.filter((each) => each !== 'http://www.w3.org')).toEqual([]) // the name of SVG, which nobody fetches
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('it is sent packed to whoever takes that, and once', async () => {
    const plain = await raw(`${served.url}/`)
    const packed = await raw(`${served.url}/`, { 'accept-encoding': 'br, gzip' })
    const refused = await raw(`${served.url}/`, { 'accept-encoding': 'gzip;q=0, br' })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(packed.body.length).toBeLessThan(100_000)
    for (const { headers, body } of [plain, refused]) {
      expect(headers['content-encoding']).toBe(undefined)
      expect(body.toString()).toMatch(/^<!doctype html>/)
    }
    const etag = String(plain.headers.etag)
    const known = await get('/', { 'if-none-match': etag })
    expect([known.status, await known.text()]).toEqual([304, ''])
  })

  it('what it shows is told with the token alone', async () => {
    for (const path of ['/metrics', '/events', '/v2/models/digits']) {
      expect((await get(path, JSON_ASKED)).status).toBe(401)
      expect((await get(path, { ...JSON_ASKED, authorization: 'Bearer another' })).status).toBe(401)
    }
    const overview = await (await get('/metrics', { ...JSON_ASKED, ...AUTHORIZED })).json()
    const [{ model, states, workers }] = overview.models
    expect([model, states.new + states.up, workers.length]).toEqual(['digits', 2, 2])
    expect(workers[0]).toMatchObject({ worker: 'worker 0', slots: 1, lies: 0, ejections: 0, rightAnswersLeft: 0 })
    expect(overview.port).toBe(undefined)
  })

  it('programs that read numbers get them as before', async () => {
    for (const accept of ['*/*', 'text/plain', 'application/json, text/plain, */*']) {
      const response = await get('/metrics', { ...AUTHORIZED, accept })
      expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    }
  })
})

describe('with a port of operators', () => {
  let served: Served
  afterEach(() => served.stop())

  it('the page is there alone, with what it asks for, and says where models are asked', async () => {
    served = await Served.start([...DIGITS, '--admin-port', '0'], { APPROXIFER_TOKEN: TOKEN })
    const { url, adminUrl, port } = served
    const status = async (path: string, headers = {}) => (await fetch(path, { headers })).status
    expect([await status(`${url}/`), await status(`${url}/`, AUTHORIZED)]).toEqual([401, 404])
    expect(await status(`${adminUrl}/`)).toBe(200)
    expect(await status(`${adminUrl}/v2/models/digits`)).toBe(401)
    expect(await status(`${adminUrl}/v2/models/digits`, AUTHORIZED)).toBe(200)
    expect((await (await fetch(`${adminUrl}/metrics`, { headers: JSON_ASKED })).json()).port).toBe(port)
  })
})

it('of many workers those in trouble are told, and the busiest', () => {
  const worker = (i: number) => ({
    ...{ worker: `w${i}`, identity: `w${i}`, onTime: i, late: 0, failed: 1, rejected: 2, suspected: 0, refused: 0 },
    ...{ expectedMs: 5, slots: 3, gone: false, proven: 0, lies: 0, checksPassed: 0, checksFailed: 0, deviating: 0 },
    ...{ deviation: 0, silent: 0, suspicion: 0, ejections: 0, rightAnswersLeft: 0 },
  })
  const workers = Array.from({ length: 1000 }, (_, i) => worker(i))
  Object.assign(workers[1], { gone: true })
  Object.assign(workers[2], { expectedMs: Number.POSITIVE_INFINITY })
  Object.assign(workers[3], { ejections: 1, rightAnswersLeft: 20, lies: 1, gone: true })
  Object.assign(workers[4], { rightAnswersLeft: 5 })
  const stats = { open: 7, modelVersions: [], workers } as unknown as Parameters<typeof overviewOf>[1]
  const told = overviewOf('m', stats)
  expect(told.states).toEqual({ up: 996, new: 0, earning: 1, failing: 1, gone: 1, ejected: 1 })
  expect(told.workers.length).toBe(100)
  expect(told.workers.slice(0, 4).map((each) => [each.worker, each.state])).toEqual([
    ['w3', 'ejected'],
    ['w2', 'failing'],
    ['w1', 'gone'],
    ['w999', 'up'],
  ])
  expect(told.workers[1]).toMatchObject({ expectedMs: null, slots: 3, failed: 3 })
})
