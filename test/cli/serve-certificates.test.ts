/** Clients that bring a certificate in place of a token. */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { scratch, serve } from '../shared/cli'
import { json, LENET, Served } from '../shared/served-process'

const openssl = spawnSync('openssl', ['version']).status === 0
const { folder } = scratch()
const at = (name: string) => join(folder, name)
const own = ['--tls-cert', at('server.pem'), '--tls-key', at('server.key')]
const model = JSON.stringify({ model: join(process.cwd(), LENET), workers: 1, limits: { tenants: 2 } })

function run(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { cwd: folder })
  expect([status, status ? String(stderr) : '']).toEqual([0, ''])
}

/** Signs NAME.pem with CA.pem. */
function certify(name: string, ca: string): void {
  run('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  run(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${ca}.pem`,
    '-CAkey',
    `${ca}.key`,
    '-days',
    '1',
    '-out',
    `${name}.pem`,
  )
}

function authority(name: string, ...more: string[]): void {
  run('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`, ...more) // biome-ignore format: one line
}

/** Status and body of an inference asked with this certificate. */
function ask({ url }: Served, name: string | undefined, parameters = {}, token?: string): Promise<[number, string]> {
  const brought = name ? { cert: readFileSync(at(`${name}.pem`)), key: readFileSync(at(`${name}.key`)) } : {}
  const headers = token ? { authorization: `Bearer ${token}` } : {}
  return new Promise((resolve, reject) => {
    const options = { ...brought, ca: readFileSync(at('server.pem')), method: 'POST', headers, agent: false }
    const asked = request(`${url}/v2/models/digits/infer`, options, async (response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve([response.statusCode as number, body])
    })
    asked.on('error', reject).end(json(0, { parameters }))
  })
}

describe.skipIf(!openssl)('a client certificate', () => {
  beforeAll(() => {
    authority('server', '-addext', 'subjectAltName=IP:127.0.0.1')
    for (const ca of ['ca', 'other-ca']) authority(ca)
    certify('shop', 'ca')
    certify('bank', 'ca')
    certify('forged', 'other-ca')
  })

  it('of any name is enough where none are named; one of another authority is none', async () => {
    const served = await Served.start(['--tls-client-ca', at('ca.pem'), ...own, `digits=${LENET}`])
    expect((await ask(served, 'shop'))[0]).toBe(200)
    expect((await ask(served, undefined))[1]).toContain(
      'expected a bearer token or certificate that is known here, got none',
    )
    expect((await ask(served, 'forged'))[0]).toBe(401)
    expect(await served.stop()).toBe(0)
  })

  it('is whose it is named for, and no other is taken then; a token counts first', async () => {
    const tokens = '[{ certificate: shop, tenant: shop, models: [digits] }, { token: secret, tenant: bank }]'
    writeFileSync(at('serve.yaml'), `models: { digits: ${model} }\ntlsClientCa: ca.pem\ntokens: ${tokens}\n`)
    const served = await Served.start(['--config', at('serve.yaml'), ...own])
    const statuses = async (...asked: [string | undefined, object?, string?][]) =>
      Promise.all(asked.map(async (each) => (await ask(served, ...each))[0]))
    expect(
      await statuses(
        ['shop', { tenant: 'shop' }],
        ['shop', { tenant: 'bank' }],
        ['bank'],
        [undefined],
        ['bank', { tenant: 'bank' }, 'secret'],
        ['shop', {}, 'guessed'],
      ),
    ).toEqual([200, 403, 401, 401, 200, 401])
    writeFileSync(
      at('serve.yaml'),
      `models: { digits: ${model} }\ntlsClientCa: ca.pem\ntokens: ${tokens.replace('shop,', 'bank,')}\n`,
    )
    await served.line(({ msg }) => msg === 'tokens were read again')
    expect(await statuses(['shop'], ['bank'])).toEqual([401, 200])
    expect(await served.stop()).toBe(0)
  })

  it('a token of its name stands for no certificate', async () => {
    const served = await Served.start(['--tls-client-ca', at('ca.pem'), ...own, `digits=${LENET}`])
    expect((await ask(served, undefined, {}, 'shop'))[0]).toBe(401)
    expect(await served.stop()).toBe(0)
  })
})

describe('is refused', () => {
  it('an authority without a certificate of the server’s own, and a name without an authority', () => {
    const alone = serve(LENET, '--tls-client-ca', at('ca.pem'))
    expect(alone).toEqual([2, 'approxifer: --tls-client-ca: expected --tls-cert and --tls-key beside it, got none\n'])
    writeFileSync(at('named.yaml'), `models: { digits: ${model} }\ntokens: [{ certificate: shop }]\n`)
    const named = serve('--config', at('named.yaml'))
    expect(named).toEqual([2, 'approxifer: tokens[0].certificate: expected --tls-client-ca beside it, got none\n'])
  })
})
