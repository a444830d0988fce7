import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scratch, serve } from '../shared/cli'
import { freePort } from '../shared/nats-server'
import { QuirkServer } from '../shared/oip-quirks'
import { digit, json, LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const { folder } = scratch()
const put = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('a token of the configuration', () => {
  const lenet = JSON.stringify({ model: join(process.cwd(), LENET), workers: 1, limits: { tenants: 4 } })
  const config = `
models:
  digits: ${lenet}
  others: ${lenet.replace('4', '2')}
tokenFile: plain
tokens:
  - { token: shop-secret, name: shop, tenant: shop, models: [digits] }
  - { file: bank, tenant: bank, priority: normal }
  - { token: proxy, tenants: true }
  - { token: slow, rate: 2 }
`
  let served: Served
  beforeAll(async () => {
    put('plain', 'plain\n')
    put('bank', 'bank-1\nbank-2\n')
    served = await Served.start(['--config', put('tokens.yaml', config)])
  })
  afterAll(async () => {
    expect(await served.stop()).toBe(0)
    expect(JSON.stringify(served.lines)).not.toContain('shop-secret')
  })
  const headers = (token: string) => ({ authorization: `Bearer ${token}` })
  const ask = (token: string, parameters: object = {}, model = 'digits') =>
    served.infer(json(0, { parameters }), { headers: headers(token) }, model)
  const told = async (answer: Response) => [answer.status, (await answer.json()).error] as const
  const status = async (token: string, path: string) => (await fetch(served.url + path, { headers: headers(token) })).status // biome-ignore format: one line

  it.each([
    ['its own tenant', 'shop-secret', 'shop', 200],
    ['another', 'shop-secret', 'bank', 403],
    ['any, with a token that nothing is said of', 'plain', 'shop', 403],
    ['any, as a proxy may', 'proxy', 'shop', 200],
    ['its own, with the second token of a file', 'bank-2', 'bank', 200],
  ])('names in a request %s', async (_, token, tenant, expected) => {
    expect((await ask(token)).status).toBe(200)
    expect((await ask(token, { tenant })).status).toBe(expected)
  })

  it('invents no tenants, who would take the place of others', async () => {
    await ask('shop-secret')
    for (let i = 0; i < 10; i++) {
      expect(await told(await ask('plain', { tenant: `invented-${i}` }))).toEqual([
        403,
        `parameters.tenant: expected none with this token, got "invented-${i}"`,
      ])
    }
  })

  it('asks its models and no others, whether there are such or not', async () => {
    for (const model of ['others', 'none']) {
      expect(await told(await ask('shop-secret', {}, model))).toEqual([403, `the model: expected one of digits, which its token may ask, got "${model}"`]) // biome-ignore format: one line
    }
    expect(await status('shop-secret', '/v2/models/others')).toBe(403)
    expect(await status('shop-secret', '/v2/models/digits')).toBe(200)
    for (const path of ['/metrics', '/events']) expect([path, await status('shop-secret', path)]).toEqual([path, 403])
    expect([await status('plain', '/metrics'), (await ask('plain', {}, 'others')).status]).toEqual([200, 200])
  })

  it('has no higher priority than it is given', async () => {
    expect((await ask('bank-1', { priority: 'low' })).status).toBe(200)
    expect(await told(await ask('bank-1', { priority: 1 }))).toEqual([403, 'parameters.priority: expected \'normal\' at most with this token, got "high"']) // biome-ignore format: one line
    expect((await ask('bank-1', { priority: 'urgent' })).status).toBe(400)
    expect((await ask('plain', { priority: 'high' })).status).toBe(200)
  })

  it('asks no more queries a second than its rate, and is told when it may again', async () => {
    const input = {
      name: 'input',
      datatype: 'FP32',
      shape: [4, 1, 28, 28],
      data: Array(4)
        .fill([...digit(0)])
        .flat(),
    }
    const four = () => served.infer(JSON.stringify({ inputs: [input] }), { headers: headers('slow') })
    expect((await four()).status).toBe(200)
    const since = performance.now()
    const refused = await four()
    const seconds = Number(refused.headers.get('retry-after'))
    expect([refused.status, seconds]).toEqual([429, expect.any(Number)])
    await until(async () => (await four()).status === 200)
    const waited = (performance.now() - since) / 1000
    expect(waited).toBeGreaterThan(seconds - 1.2) // rounded up to whole seconds
    expect((await ask('plain')).status).toBe(200)
  })

  it('is one of more tenants than are kept apart: a warning says so', async () => {
    const { model, msg } = await served.line(({ level }) => level === 'warn')
    expect([model, msg]).toEqual(['others', expect.stringMatching(/^tokens have 3 tenants, more than are kept apart/)])
  })

  it('is told of in the log by its name', async () => {
    await ask('shop-secret')
    expect(await served.line(({ principal }) => principal === 'shop')).toMatchObject({ route: 'infer', status: 200 })
  })
})

describe('tokens that cannot be meant', () => {
  it.each([
    ['an unknown name', '{ token: a, tenat: b }', /tokens\[0\]\.tenat: expected 'tenant'/],
    [
      'neither a token nor a file',
      '{ tenant: b }',
      /tokens\[0\]: expected one of token, file and certificate, got none/,
    ],
    ['both', '{ token: a, file: b }', /tokens\[0\]: expected one of token, file and certificate, got 2/],
    ['a tenant of a proxy', '{ token: a, tenant: b, tenants: true }', /tokens\[0\]\.tenant: expected none beside/],
    [
      'a number',
      '{ token: 123 }',
      /tokens\[0\]\.token: expected a text without spaces, in quotes where it could be a number, got another\n/,
    ],
    ['the same twice', '{ token: a, tenant: b }, { token: a }', /tokens: expected each token once, got one twice/],
    ['two words', '{ token: a b }', /tokens\[0\]\.token: expected a text without spaces, /],
    ['no rate', '{ token: a, rate: 0 }', /tokens\[0\]\.rate: expected a number from 0\.001/],
    ['no weight', '{ token: a, weight: 0 }', /tokens\[0\]\.weight: expected an integer .*1.*1000/],
    ['no priority', '{ token: a, priority: urgent }', /tokens\[0\]\.priority: expected 'high' \| 'normal' \| 'low'/],
  ])('%s', (_, entry, sentence) => {
    const file = put('wrong.yaml', `models: { m: { model: ${join(process.cwd(), LENET)} } }\ntokens: [${entry}]\n`)
    const [code, stderr] = serve('--config', file)
    expect([code, stderr]).toEqual([2, expect.stringMatching(sentence)])
  })
})

describe('a file of tokens that is emptied while the server is at work, beside another one', () => {
  it('is an error in the log, and what was read before counts', async () => {
    const model = JSON.stringify({ model: join(process.cwd(), LENET), workers: 1 })
    put('first', 'one\n')
    put('second', 'two\n')
    const config = `models: { digits: ${model} }\ntokenFile: first\ntokens: [{ file: second, models: [digts] }]\n`
    const served = await Served.start(['--config', put('two.yaml', config)])
    expect(await served.line(({ msg }) => String(msg).startsWith('tokens: models'))).toMatchObject({
      msg: 'tokens: models: expected one of digits, got "digts"',
    })
    put('second', '')
    await served.line(({ msg }) => msg === 'reading the tokens failed: the earlier state stays in use')
    const ask = (token: string) => served.infer(json(), { headers: { authorization: `Bearer ${token}` } })
    expect([(await ask('one')).status, (await ask('two')).status, (await ask('three')).status]).toEqual([200, 403, 401])
    expect(await served.line(({ route }) => route === 'refused')).toMatchObject({
      ...{ method: 'POST', path: '/v2/models/digits/infer', address: '127.0.0.1', status: 401 },
      reason: expect.stringContaining('expected a bearer token that is known here'),
    })
    const metrics = await (await fetch(`${served.url}/metrics`, { headers: { authorization: 'Bearer one' } })).text()
    expect(metrics).toContain('approxifer_requests_total{route="refused",model="",code="401"} 1')
    put('two.yaml', `models: { digts: ${model} }\ntlsClientCa: first\n`)
    await served.line(({ msg }) => String(msg).startsWith('reloading failed'))
    put('two.yaml', `models: { digts: ${model} }\n`)
    await served.line(({ msg }) => msg === 'no token is left: everybody may ask')
    expect(await served.line(({ msg }) => msg === 'unloaded')).toMatchObject({ model: 'digits' })
    expect(await served.stop()).toBe(0)
  })
})

describe('outputs and shapes that are asked for', () => {
  it('of workers elsewhere are theirs', async () => {
    const outputs = ['y', 'z'].map((name) => ({ name, datatype: 'FP32' as const, shape: [1] }))
    const run = ([[x]]: Float32Array[]) => outputs.map((output, i) => ({ ...output, values: [x + i] }))
    const worker = await new QuirkServer('triton', { name: 'm', inputs: [{ name: 'x', shape: [1] }], outputs, run }).listen() // biome-ignore format: one line
    const served = await Served.start(['m', '--workers', worker.url, '--outputs', 'z'])
    const input = { name: 'x', datatype: 'FP32', shape: [1, 1], data: [5] }
    const answer = await (await served.infer(JSON.stringify({ inputs: [input] }), {}, 'm')).json()
    expect(answer.outputs).toMatchObject([{ name: 'z', data: [6] }])
    const metadata = await (await fetch(`${served.url}/v2/models/m`)).json()
    expect(metadata.outputs.map(({ name }: { name: string }) => name)).toEqual(['z'])
    expect(await served.stop()).toBe(0)
    await worker.kill()
  })

  it('of machines behind a NATS server are said where those start', async () => {
    const served = new Served(['m', '--workers', `nats://127.0.0.1:${await freePort()}/fleet`, '--outputs', 'z'])
    const [code] = await once(served.process, 'exit')
    expect([code, served.stderr]).toEqual([2, 'approxifer: m: onnx (--outputs): expected none with a fleet: set it on its machines, as approxifer work --outputs\n']) // biome-ignore format: one line
  })
})
