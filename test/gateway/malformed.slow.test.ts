/** Requests that are none, over a real socket: each gets a 4xx with a sentence; none a 5xx, and none hangs. */

import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { HandWorker } from '../shared/hand-predictor'
import { serveGateway, type TestServer } from '../shared/http-server'
import { messages } from '../shared/recorded-http'
import { inferring } from '../shared/vectors'

const REQUESTS = Number(process.env.APPROXIFER_MALFORMED ?? 3000)
const AT_A_TIME = 8

const pair = () => ['a', 'b'].map((name) => Object.assign(new HandWorker(name), { infer: inferring((row) => row) }))
const warnings: string[] = []
const onWarning = (text: string) => warnings.push(text)
const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME })
let server: TestServer
/** Ends requests that are not here within 2 s. */
let strict: TestServer

beforeAll(async () => {
  const start = (requestMs?: number) =>
    serveGateway(
      { models: { m: { workers: pair(), hedge: false } }, maxBytes: 20_000, maxRows: 50, onWarning },
      requestMs,
    )
  server = await start()
  strict = await start(2000)
})
afterAll(async () => {
  agent.destroy()
  await Promise.all([server?.close(), strict?.close()])
})

interface Asked {
  method: string
  path: string
  headers: Record<string, string>
  body: Buffer
}

const random = seeded(Number(process.env.APPROXIFER_SEED ?? 1))
const { below } = random
const oneOf = <T>(all: readonly T[]): T => all[below(all.length)]

/** One that is fine: JSON or binary, packed or not. */
function sound(): Asked {
  const rows = 1 + below(3)
  const x = { name: 'x', shape: [rows, 2], datatype: 'FP32' }
  const values = Float32Array.from({ length: 2 * rows }, () => random.gauss())
  const binary = below(2) === 1
  const input = binary ? { ...x, parameters: { binary_data_size: 8 * rows } } : { ...x, data: [...values] }
  const text = JSON.stringify({ id: 'a', inputs: [input], outputs: [{ name: 'y' }], parameters: { policy: 'retry' } })
  const headers: Record<string, string> = binary ? { 'inference-header-content-length': String(text.length) } : {}
  const body = Buffer.concat([Buffer.from(text), binary ? Buffer.from(values.buffer) : Buffer.alloc(0)])
  return { method: 'POST', path: '/v2/models/m/infer', headers, body }
}

const strange = [
  'null',
  '-1',
  '1e999',
  '""',
  '{}',
  '[]',
  'true',
  '"\\ud800"',
  '9007199254740993',
  '"FP64"',
  '"__proto__"',
  '[[1],2]',
  '1.5',
]
const names = ['inputs', 'outputs', 'name', 'shape', 'datatype', 'data', 'parameters', 'binary_data_size', 'id']

/** What may become of a request; each makes most of them wrong. */
const damages: ((asked: Asked) => Asked)[] = [
  (asked) => ({ ...asked, body: asked.body.subarray(0, below(asked.body.length)) }),
  (asked) => ({ ...asked, body: Buffer.concat([asked.body, Buffer.alloc(1 + below(40), below(256))]) }),
  (asked) => {
    const body = Buffer.from(asked.body)
    for (let i = 0; i <= below(3); i++) body[below(body.length)] = below(256)
    return { ...asked, body }
  },
  (asked) => {
    const name = oneOf(names)
    const text = asked.body.toString('latin1')
    const changed = text.replace(
      new RegExp(`"${name}":("[^"]*"|\\[[^\\]]*\\]|[^,}\\]]+)`),
      `"${name}":${oneOf(strange)}`,
    )
    return { ...asked, body: Buffer.from(changed, 'latin1') }
  },
  (asked) => ({
    ...asked,
    body: Buffer.from(asked.body.toString('latin1').replace(`"${oneOf(names)}"`, `"${oneOf(names)}"`), 'latin1'),
  }),
  (asked) => ({
    ...asked,
    headers: {
      ...asked.headers,
      'inference-header-content-length': oneOf(['0', '1', '-1', 'x', '99999', '1e3', String(below(200))]),
    },
  }),
  (asked) => ({
    ...asked,
    headers: { ...asked.headers, 'content-encoding': oneOf(['gzip', 'deflate', 'br', 'gzip, gzip', 'x']) },
  }),
  (asked) => ({
    ...asked,
    headers: { ...asked.headers, 'content-encoding': 'gzip' },
    body: gzipSync(asked.body).subarray(below(3), -1 - below(9)),
  }),
  (asked) => ({
    ...asked,
    headers: {
      ...asked.headers,
      'content-type': oneOf(['text/html', 'multipart/form-data; boundary=a', 'application/xml', 'x']),
    },
  }),
  (asked) => ({
    ...asked,
    path: oneOf([
      '/',
      '/v2/models/m',
      '/v2/models/%zz/infer',
      '/v2/models/n/infer',
      '/v2/models/m/versions/7/infer',
      '//',
      '/v2/models/m/infer/..',
      '/v2/repository/index',
      '/v2/models/__proto__/infer',
    ]),
  }),
  (asked) => ({ ...asked, method: oneOf(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'GET']) }),
  (asked) => ({ ...asked, body: Buffer.alloc(20_001 + below(5000), ' ') }),
  (asked) => ({
    ...asked,
    headers: { ...asked.headers, 'content-encoding': 'gzip' },
    body: gzipSync(Buffer.alloc(1e6, '[')),
  }),
  (asked) => ({ ...asked, body: Buffer.from(oneOf(['[', '{', '"', '{"a":']).repeat(1 + below(4000))) }),
  (asked) => ({
    ...asked,
    body: Buffer.from(asked.body.toString('latin1').replace(/"inputs":\[/, `"inputs":[{"name":"x"},`), 'latin1'),
  }),
]

function send({ method, path, headers, body }: Asked, { port } = server): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const all = { ...headers, 'content-length': String(body.length) }
    const outgoing = request({ agent, port, host: '127.0.0.1', method, path, headers: all }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8')
      incoming.on('data', (part) => {
        text += part
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode as number, text }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

it(`${REQUESTS} generated ones, some of which are still fine`, async () => {
  const counts: Record<number, number> = {}
  let sent = 0
  const client = async () => {
    while (sent++ < REQUESTS) {
      const asked = oneOf(damages)(sound())
      const { status, text } = await send(asked)
      counts[status] = (counts[status] ?? 0) + 1
      if (status === 200) continue
      const error = isJson(text) ? JSON.parse(text).error : undefined
      const shown = [
        asked.method,
        asked.path,
        asked.headers,
        asked.body.subarray(0, 300).toString('latin1'),
        status,
        text,
      ]
      expect(status >= 400 && status < 500, JSON.stringify(shown)).toBe(true)
      expect(error, JSON.stringify(shown)).toMatch(/expected .*, got /)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, client))
  expect(warnings).toEqual([])
  expect(Object.keys(counts).map(Number).sort()).toEqual([200, 400, 404, 405, 413, 415])
  expect(counts[200]).toBeLessThan(REQUESTS / 3)
  if (process.env.APPROXIFER_MALFORMED) console.log(JSON.stringify(counts))
})

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object'
  } catch {
    return false
  }
}

/** What comes of bytes on a connection, until it is closed. @param end  whether the client ends its half */
function raw(bytes: string, end = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: strict.port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('data', (part) => {
      text += part
      if (messages(Buffer.from(text)).length) socket.end()
    })
    socket.on('close', () => resolve(text))
    socket.on('end', () => socket.end())
    socket.on('error', reject)
    socket.write(bytes)
    if (end) socket.end()
  })
}

const head = 'POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n'

it('bodies and heads that stop half-way, whether the client waits or has ended its half', async () => {
  const cut = [
    'POST /v2/mod',
    head,
    `${head}Content-Length: 100\r\n\r\n{"inputs":`,
    `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"inp`,
    `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
    `${head}Content-Length: 10\r\nContent-Length: 11\r\n\r\n`,
    'rubbish\r\n\r\n',
  ]
  const replies = await Promise.all(cut.flatMap((bytes) => [raw(bytes), raw(bytes, true)]))
  for (const [i, reply] of replies.entries()) {
    // A connection whose client has ended it may be ended without a word.
    if (i % 2 && reply === '') continue
    expect([cut[i >> 1], reply]).toEqual([
      cut[i >> 1],
      expect.stringMatching(/^HTTP\/1\.1 4\d\d [\s\S]*\{"error":".*expected/),
    ])
  }
  expect(strict.gateway.predictor('m').stats().open).toBe(0)
})

it('fifty that send a byte now and then hold up nobody, and are ended', async () => {
  const slow = Array.from({ length: 50 }, () => {
    const socket = connect(strict.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`${head}Content-Length: 1000\r\n\r\n`)
    const drip = setInterval(() => socket.write(' '), 100)
    socket.resume()
    return new Promise<void>((resolve) => {
      socket.on('close', () => {
        clearInterval(drip)
        resolve()
      })
    })
  })
  for (let i = 0; i < 50; i++) expect((await send(sound(), strict)).status).toBe(200)
  await Promise.all(slow)
})
