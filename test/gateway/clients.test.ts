/** Clients without a library: curl, as the protocol's documentation shows it, and every JSON exchange held to the OpenAPI file's schemas. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serveGateway, type TestServer } from '../shared/http-server'

const toy = {
  model: 'test/oip/toy.onnx',
  onnx: { outputs: ['y'] },
  scheme: { queries: 2, stragglers: 1 },
  onWarning: () => {},
}
let server: TestServer
beforeAll(async () => {
  server = await serveGateway({ models: { toy } })
})
afterAll(() => server?.close())

const ask = {
  id: '42',
  inputs: [{ name: 'x', shape: [2, 8], datatype: 'FP32', data: [...Array(8).fill(1), ...Array(8).fill(0)] }],
  outputs: [{ name: 'y' }],
}

/** What curl prints, with the status in a line of its own. */
async function curl(...args: string[]): Promise<{ status: number; json: any }> {
  const { stdout } = await promisify(execFile)('curl', ['-s', '-w', '\n%{http_code}', ...args])
  const [body, status] = [stdout.slice(0, stdout.lastIndexOf('\n')), stdout.slice(stdout.lastIndexOf('\n') + 1)]
  return { status: Number(status), json: JSON.parse(body) }
}

it('curl: metadata, health, inference from the command line and from a file, with and without a type', async () => {
  const infer = `${server.url}/v2/models/toy/infer`
  expect((await curl(`${server.url}/v2/health/ready`)).json).toEqual({ ready: true })
  expect((await curl(`${server.url}/v2/models/toy`)).json.inputs).toEqual([
    { name: 'x', datatype: 'FP32', shape: [-1, 8] },
  ])
  const path = join(tmpdir(), `approxifer-ask-${process.pid}.json`)
  writeFileSync(path, JSON.stringify(ask))
  const replies = await Promise.all([
    curl('-H', 'Content-Type: application/json', '-d', JSON.stringify(ask), infer),
    curl('-X', 'POST', infer, '-d', `@${path}`),
    curl('--data-binary', `@${path}`, '-H', 'Content-Type:', infer),
    curl('-H', 'Expect: 100-continue', '-d', `@${path}`, infer),
    curl('-T', path, '-X', 'POST', '-H', 'Transfer-Encoding: chunked', infer),
    curl('--compressed', '-d', `@${path}`, infer),
  ])
  for (const { status, json } of replies) {
    expect(status).toBe(200)
    expect(json.outputs[0].data[0]).toBeCloseTo(-1.45914, 4) // as KServe's server answers ones
    expect(json.id).toBe('42')
  }
})

// The protocol's OpenAPI file, as far as it says something of JSON: required names, and types.
type Schema = 'string' | 'number' | 'integer' | 'object' | 'values' | Schema[] | { [name: string]: Schema }
const tensor = { name: 'string', datatype: 'string', shape: ['integer'] } satisfies Schema
const schemas = {
  server: { name: 'string', version: 'string', extensions: ['string'] },
  model: { name: 'string', platform: 'string', 'versions?': ['string'], 'inputs?': [tensor], 'outputs?': [tensor] },
  request: {
    'id?': 'string',
    inputs: [{ ...tensor, data: 'values' }],
    'outputs?': [{ name: 'string', 'parameters?': 'object' }],
  },
  reply: {
    model_name: 'string',
    'model_version?': 'string',
    'id?': 'string',
    'parameters?': 'object',
    outputs: [{ ...tensor, 'parameters?': 'object', data: 'values' }],
  },
  error: { error: 'string' },
} satisfies Record<string, Schema>

/** Where a value is not as a schema says. */
function unlike(value: any, schema: Schema, at = ''): string[] {
  if (schema === 'values')
    return Array.isArray(value)
      ? value.flatMap((each) => (Array.isArray(each) ? unlike(each, schema, at) : unlike(each, 'number', at)))
      : [at]
  if (schema === 'integer') return Number.isInteger(value) ? [] : [at]
  if (schema === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value) ? [] : [at]
  if (typeof schema === 'string') return typeof value === schema ? [] : [at]
  if (Array.isArray(schema))
    return Array.isArray(value) ? value.flatMap((each, i) => unlike(each, schema[0], `${at}[${i}]`)) : [at]
  const known = Object.keys(schema).map((name) => name.replace('?', ''))
  const odd = Object.keys(value).filter((name) => !known.includes(name))
  return [
    ...odd.map((name) => `${at}.${name} is not in the schema`),
    ...Object.entries(schema).flatMap(([name, each]) => {
      const own = value[name.replace('?', '')]
      return own === undefined
        ? name.endsWith('?')
          ? []
          : [`${at}.${name} is missing`]
        : unlike(own, each, `${at}.${name}`)
    }),
  ]
}

it('JSON exchanges are as the OpenAPI file says', async () => {
  const { url } = server
  const get = async (path: string) => (await fetch(url + path)).json()
  const post = async (body: unknown) =>
    (await fetch(`${url}/v2/models/toy/infer`, { method: 'POST', body: JSON.stringify(body) })).json()
  expect(unlike(ask, schemas.request)).toEqual([])
  const { id: _, outputs: __, ...least } = ask
  for (const path of ['/v2/', '/v2']) expect(unlike(await get(path), schemas.server)).toEqual([])
  for (const path of ['/v2/models/toy', '/v2/models/toy/versions/1'])
    expect(unlike(await get(path), schemas.model)).toEqual([])
  for (const body of [ask, least, { ...ask, parameters: { policy: 'retry' } }]) {
    expect(unlike(await post(body), schemas.reply)).toEqual([])
  }
  for (const body of [{}, { ...ask, inputs: [] }, { ...ask, more: 1 }])
    expect(unlike(await post(body), schemas.error)).toEqual([])
  expect(unlike(await get('/v2/models/none'), schemas.error)).toEqual([])
  expect(unlike({ model_name: 1, outputs: [{ name: 'y' }], x: 1 }, schemas.reply).length).toBe(5) // it does notice
})
