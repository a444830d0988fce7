/** What nobody shall be able to do: have the server answer nobody else. EXHAUSTION=full for the sizes that are promised. */

import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { NO_SECOND_ADDRESS } from '../shared/machine-needs'
import { json, LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const FULL = process.env.EXHAUSTION === 'full'
/** Connections, of which a server by default takes 1,024. */
const [MANY, MOST] = FULL ? [5000, 1024] : [150, 50]
const model = [`digits=${LENET}`, '--workers', '1']

let served: Served
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  expect(await served.stop()).toBe(0)
})

async function start(...args: string[]): Promise<void> {
  served = await Served.start([...model, '--admin-port', '0', '--max-connections', String(MOST), ...args])
}

/** From an address of its own; each part of 127.0.0.0/8 is this machine. */
function open(from = '127.0.0.1', text = ''): Socket {
  const socket = connect({ port: served.port, host: '127.0.0.1', localAddress: from })
    .on('error', () => {})
    .resume()
  sockets.push(socket)
  if (text) socket.write(text)
  return socket
}

async function crowd(text = ''): Promise<Socket[]> {
  const all: Socket[] = []
  while (all.length < MANY) {
    const some = Array.from({ length: 50 }, () => open('127.0.0.1', text))
    all.push(...some)
    await Promise.all(some.map((socket) => once(socket, 'connect')))
  }
  return all
}

/** A request on a connection of its own. @returns its status, undefined where it was not answered */
function ask(from: string, path: string, body?: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const { port } = served
    const options = { host: '127.0.0.1', port, path, localAddress: from, agent: false, method: body ? 'POST' : 'GET' }
    const asked = request(options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    asked.on('error', () => resolve(undefined)).end(body)
  })
}

const infer = (from: string) => ask(from, '/v2/models/digits/infer', json())
const admin = (path: string) => fetch(served.adminUrl + path)

describe('--admin-port', () => {
  it('has health, metrics and events, which are no longer on the other; and no models', async () => {
    await start()
    const [live, ready, ofModel] = ['/v2/health/live', '/v2/health/ready', '/v2/models/digits/ready']
    for (const path of [live, ready, ofModel]) {
      expect([(await admin(path)).status, await ask('127.0.0.1', path)]).toEqual([200, 200])
    }
    expect(await (await admin('/metrics')).text()).toContain('approxifer_connections')
    for (const path of ['/metrics', '/events']) expect(await ask('127.0.0.1', path)).toBe(404)
    const gone = new AbortController()
    const events = await fetch(`${served.adminUrl}/events`, { signal: gone.signal })
    expect(events.headers.get('content-type')).toBe('text/event-stream')
    gone.abort()
    const refused = await fetch(`${served.adminUrl}/v2/models/digits/infer`, { method: 'POST', body: json() })
    const sentence =
      'the path: expected /, health, /metrics, /events, or a model’s metadata or /model-versions on --admin-port; models are asked on --port'
    expect([refused.status, await refused.json()]).toEqual([404, { error: sentence }])
  })

  it('wants a token where the other does, but for health and metrics, which scrapers read without', async () => {
    served = await Served.start([...model, '--admin-port', '0'], { APPROXIFER_TOKEN: 'secret' })
    const paths = ['/v2/health/ready', '/metrics', '/events', '/v2/models/digits/ready']
    const statuses = await Promise.all(paths.map(async (path) => (await admin(path)).status))
    expect(statuses).toEqual([200, 200, 401, 401])
    for (const [path, status] of Object.entries({ '/metrics': 401, '/events': 401 })) {
      expect(await ask('127.0.0.1', path)).toBe(status)
    }
  })

  it('that is taken is named, and the server ends', async () => {
    await start()
    const { port } = new URL(served.adminUrl)
    const other = new Served([...model, '--admin-port', port])
    await once(other.process, 'exit')
    const sentence = `port ${port} of 127.0.0.1 is in use: stop the program that uses it, or choose another port with --admin-port`
    expect([other.process.exitCode, other.stderr]).toEqual([1, `approxifer: ${sentence}\n`])
  })
})

describe.skipIf(NO_SECOND_ADDRESS)(`${MANY} connections where there is room for ${MOST}${NO_SECOND_ADDRESS}`, () => {
  it('that ask nothing give way: to new ones of theirs, and to others, who keep theirs', async () => {
    await start('--header-timeout', '60')
    const kept = open('127.0.0.2', 'GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(kept, 'data')
    const all = await crowd()
    await until(async () => (await infer('127.0.0.1')) === 200)
    expect([await infer('127.0.0.3'), await ask('127.0.0.1', '/v2/health/live')]).toEqual([200, 200])
    expect((await admin('/v2/health/live')).status).toBe(200)
    kept.write('GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(String(await once(kept, 'data'))).toMatch(/^HTTP\/1.1 200 OK/)
    await until(() => all.filter(({ closed }) => closed).length >= Math.max(1, MANY - MOST - 256))
  })

  it.each([
    ['headers by the drop', 'POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nX-'],
    ['a body by the drop', 'POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"in'],
    ['a body of 64 MB, of which nothing comes', 'POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n'], // biome-ignore format: one line
  ])('that send %s keep out nobody from another address', async (_, text) => {
    await start('--header-timeout', '60')
    await crowd(text)
    const larger = json().replace('"data":[', `"data":[${' '.repeat(100_000)}`)
    await until(async () => (await ask('127.0.0.2', '/v2/models/digits/infer', larger)) === 200)
    for (let i = 0; i < 10; i++) expect(await ask('127.0.0.2', '/v2/models/digits/infer', larger)).toBe(200)
    expect((await admin('/v2/health/live')).status).toBe(200)
  })
})
