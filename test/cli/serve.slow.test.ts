import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Metrics } from '../../src/cli/serve/metrics'
import { NO_SECOND_ADDRESS } from '../shared/machine-needs'
import { type Answer, ask, binary, json, LENET, LENGTH, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const LABELS = readFileSync('models/mnist-labels.npy').subarray(-400)

it('a scrape asks for what the predictors know once, and lets others have their turn between its families', async () => {
  let asked = 0
  const metrics = new Metrics(
    () => {
      asked++
      return []
    },
    () => 0,
    () => 0,
  )
  let turns = 0
  const count = () => {
    turns++
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await metrics.response()
  clearImmediate(timer)
  expect([asked, turns > 10]).toEqual([1, true])
})

describe('a server of one model', () => {
  let served: Served
  beforeAll(async () => {
    const limits = [
      '--max-body',
      '1',
      '--max-bodies',
      '2.5',
      '--header-timeout',
      '1',
      '--request-timeout',
      '2',
      '--max-connections',
      '50',
    ]
    served = await Served.start([`digits=${LENET}`, '--workers', '2', ...limits])
  })
  afterAll(async () => {
    expect(await served.stop()).toBe(0)
  })

  it('says on stderr, in one line, where it is', () => {
    expect(served.stderr).toBe(`serving digits on ${served.url}\n`)
  })

  it('answers as JSON and binary alike', async () => {
    const text = await served.infer(json(3, { id: 'a' }))
    expect([text.status, text.headers.get('content-type')]).toEqual([200, 'application/json'])
    const { id, model_name, outputs } = await text.json()
    expect([id, model_name, outputs[0].shape]).toEqual(['a', 'digits', [1, 10]])
    const values: number[] = outputs[0].data
    expect(values.indexOf(Math.max(...values))).toBe(LABELS[3])
    const raw = await served.infer(binary(3).body, { headers: binary(3).headers })
    const length = Number(raw.headers.get(LENGTH))
    const bytes = await raw.arrayBuffer()
    expect([...new Float32Array(bytes.slice(length))]).toEqual(values.map(Math.fround))
  })

  it('writes a line per request: what became of it, and nothing of what it was', async () => {
    await served.infer(json(0, { id: 'logged' }))
    const line = await served.line(({ id }) => id === 'logged')
    expect(Object.keys(line)).toEqual(
      expect.arrayContaining(['level', 'time', 'route', 'model', 'version', 'status', 'ms', 'rows', 'statuses']),
    )
    expect(line).toMatchObject({ level: 'info', route: 'infer', model: 'digits', status: 200, rows: 1 })
    expect(line.statuses).toEqual({ exact: 1 })
    const secret = json(0, { id: 'refused' }).replace('[1,1,28,28]', '[1,1,28,"my secret"]')
    expect((await served.infer(secret)).status).toBe(400)
    const bad = await served.line(({ status }) => status === 400)
    expect(bad.reason).toMatch(/shape.*: expected/)
    expect(JSON.stringify(served.lines)).not.toContain('my secret')
  })

  it('counts what it did, in the text that Prometheus reads', async () => {
    const before = await served.metrics()
    for (let i = 0; i < 5; i++) await served.infer(json(i))
    await served.infer('{}')
    const after = await served.metrics()
    const more = (sample: string) => (after.get(sample) ?? 0) - (before.get(sample) ?? 0)
    expect(more('approxifer_requests_total{route="infer",model="digits",code="200"}')).toBe(5)
    expect(more('approxifer_requests_total{route="infer",model="digits",code="400"}')).toBe(1)
    expect(more('approxifer_queries_total{model="digits",status="exact"}')).toBe(5)
    expect(more('approxifer_request_seconds_count{model="digits"}')).toBe(6)
    expect(more('approxifer_request_seconds_bucket{le="+Inf",model="digits"}')).toBe(6)
    expect(more('approxifer_rows_total{model="digits",outcome="on_time"}')).toBeGreaterThanOrEqual(5)
    expect(after.get('approxifer_queries_open{model="digits"}')).toBe(0)
    expect(after.get('approxifer_workers{model="digits",state="up"}')).toBe(2)
    expect(after.has('nodejs_eventloop_lag_p99_seconds')).toBe(true)
  })

  it('makes no label of a model that a stranger invents', async () => {
    expect((await served.infer(json(), {}, 'no-such-model')).status).toBe(404)
    expect([...(await served.metrics()).keys()].join()).not.toContain('no-such-model')
  })

  it('streams what happens, without inputs or outputs', async () => {
    const gone = new AbortController()
    const response = await fetch(`${served.url}/events?model=digits`, { signal: gone.signal })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let told = ''
    await served.infer()
    while (!told.includes('"event":"request"') || !told.endsWith('\n\n')) {
      told += new TextDecoder().decode((await reader.read()).value)
    }
    const batches = [...told.matchAll(/event: batch\ndata: (.*)\n\n/g)].map(([, data]) => JSON.parse(data))
    const events = batches.flatMap((batch) => batch.events)
    const [{ query }] = events
    expect([...new Set(batches.map(({ model }) => model))]).toEqual(['digits'])
    expect(events).toMatchObject([
      { event: 'asked', query, kind: 'query', traceparent: expect.stringMatching(/^00-/) },
      { event: 'began', query, attempt: 0, why: 'first' },
      { event: 'answered', query, attempt: 0, onTime: true },
      { event: 'ended', query, status: 'exact', hedged: false },
      { event: 'request', status: 200, rows: 1, queries: [query] },
    ])
    expect(told).not.toMatch(/"(inputs?|outputs?|data)"/)
    expect((await served.metrics()).get('approxifer_events_clients')).toBe(1)
    gone.abort()
    await until(async () => (await served.metrics()).get('approxifer_events_clients') === 0)
  })

  it.each([
    ['of a length that is too large', { body: new Uint8Array(1_100_000) }],
    ['that says no length and is too large', { body: endless(), duplex: 'half' } as RequestInit],
  ])('refuses a body %s', async (_, init) => {
    const response = await fetch(`${served.url}/v2/models/digits/infer`, { method: 'POST', ...init })
    expect(response.status).toBe(413)
    expect((await response.json()).error).toMatch(/^the body: expected at most 1048576 bytes/)
  })

  it('answers 408 to who sends headers by the drop, and to who sends a body so', async () => {
    const slow = await Promise.all([
      served.raw('POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nX-'),
      served.raw('POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"in'),
    ])
    for (const told of slow) {
      expect(told).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
      expect(told).toContain('{"error":"request: expected all of it within the time limit, got a part"}')
    }
  })

  it('answers who has closed his own side', async () => {
    const told = await served.raw('GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n', { end: true })
    expect(told).toMatch(/^HTTP\/1\.1 200 OK[^]*\{"live":true\}$/)
  })

  it.each([
    ['is no HTTP', 'GARBAGE\r\n\r\n', 400],
    ['has a header of 20 KiB', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['has no host', 'GET /v2 HTTP/1.1\r\n\r\n', 400],
    ['has a host that is none', 'GET /v2 HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400],
    ['has two lengths', 'POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
  ])('answers with a sentence what %s', async (_, text, status) => {
    const told = await served.raw(text)
    expect(told).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(JSON.parse(told.split('\r\n\r\n')[1]).error).toMatch(/expected/)
  })

  it('answers 503 on connections beyond the limit, and serves the others', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(served.port, '/v2', agent)))
    agent.destroy()
    const refused = answers.filter(({ status }) => status === 503)
    expect(refused.length).toBeGreaterThanOrEqual(10)
    expect(refused[0].text).toMatch(/connections: expected at most 50/)
    expect(refused[0].headers.connection).toBe('close')
    expect(answers.filter(({ status }) => status === 200).length).toBe(60 - refused.length)
    await until(async () => (await fetch(`${served.url}/v2`)).status === 200)
  })

  it('says which methods /metrics and /events take: what is there is not called missing', async () => {
    const asked = async (path: string, method: string) => {
      const response = await fetch(served.url + path, { method })
      return [response.status, response.headers.get('allow'), await response.text()]
    }
    expect(await asked('/metrics', 'HEAD')).toEqual([200, null, ''])
    const sentence = (methods: string) => JSON.stringify({ error: `the method: expected ${methods}, got "POST"` })
    expect(await asked('/metrics', 'POST')).toEqual([405, 'GET, HEAD', sentence('GET or HEAD')])
    expect(await asked('/events', 'POST')).toEqual([405, 'GET', sentence('GET')])
    expect((await asked('/events', 'HEAD')).slice(0, 2)).toEqual([405, 'GET'])
  })

  it('sends no header for pages of other origins', async () => {
    const response = await served.infer(json(), { headers: { origin: 'https://example.org' } })
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})

it.skipIf(NO_SECOND_ADDRESS)(
  `reads bodies of 2.5 MiB at a time, says 429 to others, and forgets those whose clients have gone${NO_SECOND_ADDRESS}`,
  async () => {
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--max-body', '1', '--max-bodies', '2.5'])
    const head = 'POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n'
    const from = ['127.0.0.2', '127.0.0.3'] // one address has half of the room
    const sockets = from.map((localAddress) => connect({ port: served.port, host: '127.0.0.1', localAddress }))
    for (const socket of sockets) socket.write(`${head}{`)
    const text = json().replace('"data":[', `"data":[${' '.repeat(900_000)}`)
    const third = () => served.infer(text)
    await until(async () => (await third()).status === 429)
    const refused = await third()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    expect((await refused.json()).error).toMatch(
      /^all requests and their answers: expected at most 2621440 bytes together/,
    )
    expect((await served.infer()).status).toBe(200)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await third()).status === 200)
    expect(await served.stop()).toBe(0)
  },
)

describe('SIGTERM', () => {
  it('under load: every request that reached the server has its answer, and the process ends with 0', async () => {
    const served = await Served.start([`digits=${LENET}`, '--workers', '2'])
    const agent = new Agent({ keepAlive: true })
    const answers: Answer[] = []
    const errors: string[] = []
    let stopping = false
    const client = async (from: number) => {
      for (let i = from; errors.length < 100; i += 16) {
        try {
          answers.push(await ask(served.port, '/v2/models/digits/infer', agent, json(i % 400)))
        } catch (error) {
          errors.push(String((error as { code?: string }).code))
          if (stopping) return
        }
      }
    }
    const clients = Promise.all(Array.from({ length: 16 }, (_, i) => client(i)))
    await until(async () => answers.length > 50)
    stopping = true
    const code = await served.stop()
    await clients
    expect(code).toBe(0)
    expect(new Set(errors)).toEqual(new Set(['ECONNREFUSED'])) // never a reset: that would be a request without an answer
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(served.lines.at(-1)?.msg).toBe('closed')
  })

  it('is told to load balancers first: not ready, and still at work', async () => {
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--drain-delay', '600'])
    served.process.kill('SIGTERM')
    await served.line(({ signal }) => signal === 'SIGTERM')
    const ready = await fetch(`${served.url}/v2/health/ready`)
    expect([ready.status, await ready.json()]).toMatchObject([503, { ready: false, error: expect.any(String) }])
    expect((await fetch(`${served.url}/v2/health/ready`, { method: 'HEAD' })).status).toBe(503)
    expect((await fetch(`${served.url}/v2/health/live`)).status).toBe(200)
    expect((await served.infer()).status).toBe(200)
    served.process.kill('SIGTERM') // a second one waits for nothing
    await until(async () => served.process.exitCode !== null)
    expect(served.process.exitCode).toBe(1)
  })

  it('ends streams of events at once', async () => {
    const served = await Served.start([`digits=${LENET}`, '--workers', '1'])
    const { body } = await fetch(`${served.url}/events`)
    const [code] = await Promise.all([served.stop(), new Response(body).text()])
    expect(code).toBe(0)
  })
})

/** More than the limit, in pieces. */
function endless(): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull(stream) {
      if (sent++ < 40) stream.enqueue(new Uint8Array(65_536))
      else stream.close()
    },
  })
}
