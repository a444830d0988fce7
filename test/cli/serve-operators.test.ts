/** Who may change which model `approxifer serve` has serve: an operator, and no page in somebody's browser. */

import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { LENET, Served } from '../shared/served-process'

const { folder } = scratch()
let served: Served
afterEach(() => served.stop())

/** @returns the status of `promote` and of `refuse`: 404 for an operator, since there is no such model */
async function verbs(url: string, headers: Record<string, string> = {}): Promise<number[]> {
  const statuses: number[] = []
  for (const verb of ['promote', 'refuse']) {
    const path = `${url}/v2/models/digits/model-versions/none/${verb}`
    // As `fetch` would not: with any Host.
    statuses.push(
      await new Promise<number>((resolve, reject) => {
        const asked = request(
          path,
          { method: 'POST', headers: { 'content-type': 'text/plain', ...headers } },
          (response) => {
            response.resume().on('end', () => resolve(response.statusCode ?? 0))
          },
        )
        asked.on('error', reject).end()
      }),
    )
  }
  return statuses
}
const [OPERATOR, REFUSED] = [
  [404, 404],
  [403, 403],
]
const token = (token: string) => ({ authorization: `Bearer ${token}` })

it('without tokens nobody on --port, and on --admin-port who names the server as it is', async () => {
  served = await Served.start([`digits=${LENET}`, '--workers', '1', '--admin-port', '0', '--cors', '*'])
  const { url, adminUrl } = served
  const { port } = new URL(adminUrl)
  const asked: [string, Record<string, string>, number[]][] = [
    [url, {}, REFUSED],
    [url, { origin: 'http://evil.example', host: 'evil.example' }, REFUSED],
    [adminUrl, {}, OPERATOR],
    [adminUrl, { host: `localhost:${port}` }, OPERATOR],
    [adminUrl, { host: `[::1]:${port}` }, OPERATOR],
    [adminUrl, { host: `10.1.2.3:${port}` }, OPERATOR],
    [adminUrl, { host: `LOCALHOST.:${port}`, origin: `http://localhost.:${port}` }, OPERATOR],
    [adminUrl, { host: `evil.example:${port}` }, REFUSED],
    [adminUrl, { host: `localhost.evil.example:${port}` }, REFUSED],
    [adminUrl, { host: `evil.example:${port}`, origin: `http://evil.example:${port}` }, REFUSED], // its name leads here by now
    [adminUrl, { origin: 'http://evil.example' }, REFUSED],
    [adminUrl, { origin: 'null' }, REFUSED],
    [adminUrl, { origin: url }, REFUSED], // another port is another origin
    [adminUrl, { origin: adminUrl }, OPERATOR],
  ]
  for (const [at, headers, expected] of asked)
    expect([at, headers, await verbs(at, headers)]).toEqual([at, headers, expected])
  expect((await fetch(`${adminUrl}/v2/models/digits/model-versions`)).status).toBe(200)
  const said = await fetch(`${url}/v2/models/digits/model-versions/none/promote`, { method: 'POST' })
  expect((await said.json()).error).toMatch(
    /expected an operator's, on --admin-port or with a token that has operator: true/,
  )
})

it('with tokens one that says operator, and on --admin-port any but those of a tenant or some models', async () => {
  const file = join(folder, 'operators.yaml')
  const path = JSON.stringify(join(process.cwd(), LENET))
  writeFileSync(
    file,
    `models: { digits: { model: ${path}, workers: 1, limits: { tenants: 3 } } }
adminPort: 0
tokens:
  - { token: plain }
  - { token: scraper, operator: false }
  - { token: shop, tenant: shop }
  - { token: some, models: [digits] }
  - { token: proxy, tenants: true }
  - { token: boss, operator: true }
  - { token: lead, operator: true, tenant: shop, models: [digits] }
`,
  )
  served = await Served.start(['--config', file])
  const { url, adminUrl } = served
  const both = async (name: string, more = {}) => [
    name,
    await verbs(url, { ...token(name), ...more }),
    await verbs(adminUrl, { ...token(name), ...more }),
  ]
  expect(await both('plain')).toEqual(['plain', REFUSED, OPERATOR])
  expect(await both('proxy')).toEqual(['proxy', REFUSED, OPERATOR])
  for (const name of ['shop', 'some', 'scraper']) expect(await both(name)).toEqual([name, REFUSED, REFUSED])
  for (const name of ['boss', 'lead']) {
    expect(await both(name)).toEqual([name, OPERATOR, OPERATOR])
    expect(await both(name, { host: 'gateway.example' })).toEqual([name, OPERATOR, OPERATOR])
    expect(await both(name, { origin: 'https://evil.example' })).toEqual([name, REFUSED, REFUSED])
  }
  expect(await verbs(adminUrl)).toEqual([401, 401])
})
