/** Which web pages a gateway serves. */

import { afterEach, expect, it } from 'vitest'
import { inputOf, post, request, started } from '../shared/started-gateway'

type Gateway = Awaited<ReturnType<typeof started>>['gateway']

const PAGE = 'https://page.example'
const [INFER, MODEL] = ['/v2/models/m/infer', '/v2/models/m']

let gateway: Gateway
afterEach(() => gateway.close())

/** A request of a page. @returns the reply's status, and its headers for the page's browser */
async function asked(headers: Record<string, string>, method = 'POST', path = INFER) {
  const page = { origin: PAGE, ...headers }
  const response = await gateway(
    method === 'POST' ? post(inputOf(1), page, path) : request(path, { method, headers: page }),
  )
  const own = [...response.headers].filter(([name]) => name.startsWith('access-control') || name === 'vary')
  return [response.status, Object.fromEntries(own)]
}
const preflight = (headers: Record<string, string> = {}) =>
  asked({ 'access-control-request-method': 'POST', ...headers }, 'OPTIONS')

it('a page of another origin gets in only where it is allowed', async () => {
  const { events, ...rest } = await started()
  gateway = rest.gateway
  const sentence = `Origin: expected the server's own, or one that cors (serve: --cors) lists, got "${PAGE}"`
  expect(await asked({})).toEqual([403, {}])
  expect(await asked({ origin: 'null' })).toEqual([403, {}])
  expect(await asked({ origin: 'http://test:81' })).toEqual([403, {}])
  expect(await preflight()).toEqual([403, {}])
  expect(events.map(({ status }) => status)).toEqual([403, 403, 403, 403])
  expect(events[0].error).toBe(sentence)
  expect(await asked({}, 'GET', MODEL)).toEqual([200, {}]) // its browser hides the reply
})

it('pages of the server itself get in, behind a proxy as well', async () => {
  gateway = (await started()).gateway
  expect(await asked({ origin: 'http://test' })).toEqual([200, {}])
  expect(await asked({ origin: 'https://test' })).toEqual([200, {}]) // the proxy has TLS
  expect(await asked({ 'sec-fetch-site': 'same-origin' })).toEqual([200, {}]) // the proxy has another host
  expect(await asked({ 'sec-fetch-site': 'same-site' })).toEqual([403, {}])
})

const READ = { 'access-control-expose-headers': 'inference-header-content-length,retry-after' }
const SENT = expect.stringMatching(/^authorization,content-type,.*inference-header-content-length/)

it.each([
  ['listed', [PAGE, 'https://other.example'], { 'access-control-allow-origin': PAGE, vary: 'origin' }],
  ['any', ['*'], { 'access-control-allow-origin': '*' }],
])('a page of an allowed origin (%s) may send what it needs, and read replies and errors', async (_, cors, may) => {
  gateway = (await started({ cors })).gateway
  expect(await asked({})).toEqual([200, { ...may, ...READ }])
  expect(await asked({}, 'GET', '/v2/models/none')).toEqual([404, { ...may, ...READ }])
  const allowed = {
    ...{ 'access-control-allow-methods': 'GET,POST', 'access-control-allow-headers': SENT },
    'access-control-max-age': '600',
  }
  expect(await preflight()).toEqual([204, { ...may, ...READ, ...allowed }])
  const [, headers] = await preflight({ 'access-control-request-private-network': 'true' })
  expect(headers).toHaveProperty('access-control-allow-private-network', 'true')
})

it('a page of an origin that is not listed reads nothing, also where others are', async () => {
  gateway = (await started({ cors: ['https://other.example'] })).gateway
  expect(await asked({})).toEqual([403, { vary: 'origin' }])
  expect(await preflight()).toEqual([403, { vary: 'origin' }])
  expect(await asked({}, 'GET', MODEL)).toEqual([200, { vary: 'origin' }])
})

it('with cors: false a server around the gateway decides', async () => {
  gateway = (await started({ cors: false })).gateway
  expect(await asked({})).toEqual([200, {}])
  expect(await preflight()).toEqual([405, {}])
})

it('a wrong origin is refused', async () => {
  gateway = (await started()).gateway
  await expect(started({ cors: ['page.example'] })).rejects.toThrow(
    "cors: expected origins such as 'https://example.org', or '*', got",
  )
})
