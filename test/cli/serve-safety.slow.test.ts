import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { type Handler, listen } from '../../src/cli/serve/listen'
import { PROBE } from '../../src/oip/write'
import { runWith, scratch, serve } from '../shared/cli'
import { json, LENET, LENGTH, Served } from '../shared/served-process'
import { PATIENCE_MS } from '../shared/waiting'

const { folder, write } = scratch()
const model = [`digits=${LENET}`, '--workers', '1']
const text = (name: string, content: string) => write(name, Buffer.from(content))

describe('a token', () => {
  it.each([
    ['in a file, one of several', { file: true }],
    ['in the environment, with the end of line that a Secret may have', { file: false }],
  ])('%s', async (_, { file }) => {
    const args = file ? ['--token-file', text('tokens', 'old-secret\nsecret\n')] : []
    const served = await Served.start([...model, ...args], file ? {} : { APPROXIFER_TOKEN: 'secret\n' })
    const as = (token: string) => served.infer(json(), { headers: { authorization: token } })
    expect((await as('Bearer secret')).status).toBe(200)
    expect((await as('bearer secret')).status).toBe(200)
    if (file) expect((await as('Bearer old-secret')).status).toBe(200)
    for (const response of [
      await served.infer(),
      await as('Bearer secre'),
      await as('Bearer secret2'),
      await as('Basic secret'),
    ]) {
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect((await response.json()).error).toMatch(/^authorization: expected a bearer token/)
    }
    for (const path of ['/metrics', '/events', '/v2', '/v2/models/digits', '/v2/health/ready/']) {
      expect([path, (await fetch(served.url + path)).status]).toEqual([path, 401])
    }
    for (const path of ['/v2/health/live', '/v2/health/ready'])
      expect((await fetch(served.url + path)).status).toBe(200)
    expect(await (await fetch(`${served.url}/`)).text()).not.toMatch(/digits|secret/) // the operators' page, as it is for everybody
    await served.stop()
    expect(JSON.stringify(served.lines) + served.stderr).not.toMatch(/old-secret|secre/)
  })
})

it.each([
  ['of blanks', ' \n', 'expected a token%, got none'],
  ['that is empty', '', 'expected a token%, got none'],
  [
    'with a space, which no request can bring',
    'my secret',
    'expected tokens without spaces, one a line%, got one with a space',
  ],
])('a token %s is refused: else everybody would be', (_, token, sentence) => {
  const { status, stderr } = spawnSync(process.execPath, ['dist/cli.js', 'serve', ...model, '--port', '0'], {
    env: { ...process.env, APPROXIFER_TOKEN: token },
    encoding: 'utf8',
    timeout: PATIENCE_MS,
  })
  expect([status, stderr]).toEqual([2, `approxifer: APPROXIFER_TOKEN: ${sentence.replace('%', '')}\n`])
  const file = text('tokens', token)
  const refused = `approxifer: --token-file: ${sentence.replace('%', ` in ${file}`)}\n`
  expect(serve(...model, '--token-file', file)).toEqual([2, refused])
})

describe('a connection', () => {
  /** A server of one answer, and what it says to raw bytes until it ends the connection. */
  async function listening(answer: Uint8Array, handle: Handler = () => new Response(answer as BodyInit)) {
    const limits = { headerMs: 5000, requestMs: 5000, maxConnections: 10 } // the slow client below takes ten seconds
    const options = { host: '127.0.0.1', port: 0, certificate: undefined, onError: () => {}, ...limits }
    const server = await listen(handle, options)
    const open = () => connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {})
    const say = async (text: string) => {
      const socket = open()
      socket.write(text)
      let told = ''
      for await (const bytes of socket) told += bytes
      return told
    }
    return { server, open, say }
  }

  it('whose client does not read its answer is closed; one that reads slowly is not', async () => {
    const size = 32 * 2 ** 20
    const { server, open } = await listening(new Uint8Array(size))
    const [deaf, slow] = [open(), open()]
    for (const socket of [deaf, slow]) socket.pause().write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let read = 0
    const reading = setInterval(() => {
      read += slow.read()?.length ?? 0
    }, 20)
    await once(slow, 'end')
    clearInterval(reading)
    expect(read).toBeGreaterThan(size)
    while (server.connections) await new Promise((resolve) => setTimeout(resolve, 50))
    deaf.destroy()
    await server.end(0)
  })

  it('whose body was refused half-read is good for the next request', async () => {
    const { server, say } = await listening(new Uint8Array(), async (request) => {
      await request.body?.getReader().read()
      return new Response('refused')
    })
    const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    const next = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    const told = await say(`${head}${piece.repeat(40)}0\r\n\r\n${next}`)
    expect(told.match(/HTTP\/1.1 200 OK/g)?.length).toBe(2)
    await server.end(0)
  })

  it('that names no host and no path that a URL may have is told what is wrong', async () => {
    const { server, say } = await listening(new Uint8Array(1))
    for (const request of ['GET / HTTP/1.1\r\nHost: [[', 'OPTIONS * HTTP/1.1\r\nHost: a']) {
      const sentence =
        /^HTTP\/1.1 400 [\s\S]*{"error":"request: expected a host and a path that make a URL, got others"}/
      expect(await say(`${request}\r\nConnection: close\r\n\r\n`)).toMatch(sentence)
    }
    await server.end(0)
  })

  it('that expects what nobody has, or wants a tunnel, is told so in a sentence', async () => {
    const { server, say } = await listening(new Uint8Array(1))
    const expects = await say('POST / HTTP/1.1\r\nHost: a\r\nExpect: a-wonder\r\nContent-Length: 1\r\n\r\n1')
    expect(expects).toMatch(/^HTTP\/1.1 417 [\s\S]*{"error":"expect: expected 100-continue/)
    expect(await say('CONNECT b:1 HTTP/1.1\r\nHost: b\r\n\r\n')).toMatch(
      /^HTTP\/1.1 405 [\s\S]*{"error":"the method: exp/,
    )
    await server.end(0)
  })
})

describe('pages of other origins', () => {
  it('may ask if they are named', async () => {
    const served = await Served.start([...model, '--cors', 'https://example.org'], { APPROXIFER_TOKEN: 'secret' })
    const origin = 'https://example.org'
    const headers = {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    }
    const preflight = await fetch(`${served.url}/v2/models/digits/infer`, { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin)
    const allowed = preflight.headers.get('access-control-allow-headers')?.split(',')
    expect(allowed).toEqual(expect.arrayContaining(['authorization', 'content-type', LENGTH, PROBE])) // all that HTTP workers send
    const asked = await served.infer(json(), { headers: { origin, authorization: 'Bearer secret' } })
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([200, origin])
    expect(asked.headers.get('access-control-expose-headers')).toContain('inference-header-content-length')
    const refused = await served.infer(json(), { headers: { origin } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, origin]) // so that the page can read why
    const other = await served.infer(json(), {
      headers: { origin: 'https://example.com', authorization: 'Bearer secret' },
    })
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null])
    await served.stop()
  })

  it('may not ask a server without tokens that names none, and the log says so', async () => {
    const served = await Served.start(model)
    // As a page sends it without a preflight: its browser only hides the reply.
    const headers = { origin: 'https://example.org', 'content-type': 'text/plain' }
    const { status, headers: sent } = await served.infer(json(), { headers })
    expect([status, sent.get('access-control-allow-origin')]).toEqual([403, null])
    const line = await served.line(({ route }) => route === 'refused')
    const reason = "Origin: expected the server's own, or one that cors (serve: --cors) lists"
    expect(line).toMatchObject({ method: 'POST', status: 403, reason })
    expect((await served.infer(json(), { headers: { origin: served.url } })).status).toBe(200)
    await served.stop()
  })
})

describe('TLS', () => {
  const openssl = spawnSync('openssl', ['version']).status === 0

  /** Writes key.pem, and cert.pem for this name. */
  function certify(name: string): void {
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`]
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...files, ...subject]
    expect(spawnSync('openssl', made).status).toBe(0)
  }

  it.skipIf(!openssl)('by a certificate and its key', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    certify('localhost')
    const served = await Served.start([...model, '--tls-cert', cert, '--tls-key', key])
    expect(served.url).toMatch(/^https:/)
    const live = await new Promise<string>((resolve, reject) => {
      get(`${served.url}/v2/health/live`, { ca: readFileSync(cert) }, (response) => {
        response.on('data', (data) => resolve(String(data)))
      }).on('error', reject)
    })
    expect(live).toBe('{"live":true}')
    const remote = { workers: served.url, remote: { tlsCa: 'cert.pem' } }
    writeFileSync(join(folder, 'remote.json'), JSON.stringify({ models: { digits: remote } }))
    const gateway = await Served.start(['--config', join(folder, 'remote.json')])
    expect((await gateway.infer()).status).toBe(200)
    expect(await gateway.stop()).toBe(0)
    expect(await served.stop()).toBe(0)
    const locked = join(folder, 'locked.pem')
    spawnSync('openssl', ['pkey', '-in', key, '-aes128', '-passout', 'pass:abcd', '-out', locked])
    expect(serve(...model, '--tls-cert', cert, '--tls-key', locked)).toEqual([
      2,
      `approxifer: --tls-key: expected a private key without a passphrase in ${locked}, got an encrypted one\n`,
    ])
    expect(serve(...model, '--tls-cert', cert, '--tls-key', LENET)).toEqual([
      2,
      expect.stringMatching(`^approxifer: --tls-key: expected a private key in PEM in ${LENET}: `),
    ])
  })

  it.skipIf(!openssl)('SIGHUP reads the certificate again: new connections get it, open ones go on', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    certify('old.example')
    const served = await Served.start([...model, '--tls-cert', cert, '--tls-key', key])
    const kept = new Agent({ keepAlive: true, maxSockets: 1 })
    const asked = (agent: Agent) =>
      new Promise<[string | undefined, number | undefined]>((resolve, reject) => {
        get(`${served.url}/v2/health/live`, { agent, rejectUnauthorized: false }, (response) => {
          const socket = response.socket as TLSSocket
          const told = [String(socket.getPeerCertificate().subject.CN), socket.localPort] as [string, number]
          response.resume().on('end', () => resolve(told))
        }).on('error', reject)
      })
    const first = await asked(kept)
    certify('new.example')
    served.process.kill('SIGHUP')
    await served.line(({ msg }) => msg === 'reloaded')
    expect(await asked(kept)).toEqual(first)
    expect([first[0], (await asked(new Agent()))[0]]).toEqual(['old.example', 'new.example'])
    kept.destroy()
    expect(await served.stop()).toBe(0)
  })

  it('with half of it is refused', () => {
    expect(serve(...model, '--tls-cert', 'cert.pem')).toEqual([
      2,
      'approxifer: --tls-key: expected a file beside --tls-cert: they go together, got none\n',
    ])
  })
})

describe('what cannot be', () => {
  it('a port in use: one sentence, exit code 1, before any model is loaded', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    const result = runWith({}, 'serve', 'no-such.onnx', '--port', String(port))
    taken.close()
    const sentence = `port ${port} of 127.0.0.1 is in use: stop the program that uses it, or choose another port with --port`
    expect([result.status, result.stderr]).toEqual([1, `approxifer: ${sentence}\n`])
  })

  it.each([
    ['no model', [], 'models: expected at least one, as an argument such as NAME=FILE.onnx or by --config, got none'],
    [
      'the same name twice',
      [LENET, LENET],
      /^mnist-lenet: expected another name, as name=models.mnist-lenet.onnx, got it twice/,
    ],
    [
      'a name for no address',
      ['a b=m.onnx'],
      'model: expected a name of letters, digits, _ . -, as name=file, got "a b=m"',
    ],
    ['a flag of no model', [...model, '--queries', 'digit=4'], 'digit: expected one of the models digits (digits?)'],
    [
      'too few workers',
      [`digits=${LENET}`, '--workers', '1', '--queries', '4'],
      'digits: workers: expected an integer >= 4, got 1',
    ],
    [
      'stragglers without queries',
      [...model, '--stragglers', '1'],
      'digits: scheme.queries (--queries): expected the queries of a group (K), such as 4, beside stragglers, got none',
    ],
    [
      'fewer bytes for all bodies than for one',
      [...model, '--max-bodies', '1'],
      '--max-bodies: expected at least --max-body, 64, got 1',
    ],
    ['an address without http://', ['m', '--workers', 'a:8000,b:8000'], /\(Did you mean http:\/\/a:8000,b:8000\?\)/],
    [
      'a flag with a typo',
      [...model, '--tokenfile', 'x'],
      /unknown option '--tokenfile'\n\(Did you mean --token-file\?\)/,
    ],
    ['a port that is none', [...model, '--port', '70000'], /Expected an integer from 0 to 65535/],
    ['workers nowhere', ['m', '--workers', 'htp://a'], /Expected N \| URL,\.\. \| file:PATH \| dns:NAME:PORT \| nats:/],
    ['a level that is none', [...model, '--log', 'inof'], /Expected one of trace, debug, .*\(Did you mean info\?\)/s],
    ['an origin that is none', [...model, '--cors', 'example.org'], /Expected origins such as/],
  ])('%s', (_, args, sentence) => {
    const [status, stderr] = serve(...args)
    expect(stderr.replace(/^approxifer: /, '').trim()).toMatch(
      typeof sentence === 'string' ? equal(sentence) : sentence,
    )
    expect(status).toBe(2)
  })

  it.each([
    ['--token-file', [...model, '--token-file', 'no-such']],
    ['--tls-cert', [...model, '--tls-cert', 'no-such', '--tls-key', 'no-such']],
    ['--config', ['--config', 'no-such']],
  ])('a file that is not there: the error names %s', (option, args) => {
    const sentence = `approxifer: ${option}: expected a file, got "no-such": it is not there, seen from ${process.cwd()}\n`
    expect(serve(...args)).toEqual([1, sentence])
  })

  const where = `, seen from ${process.cwd()}`
  const elsewhere = '; where other servers have a model of this name, say which: --workers http://HOST:PORT,..'
  it.each([
    ['no-such.onnx', 'no-such', `it is not there${where}`],
    ['digits', 'digits', `it is not there${where}${elsewhere}`],
    ['models', 'models', `it is a folder${elsewhere}`],
  ])('a model that is none: %s', (path, name, why) => {
    const { status, stdout, stderr } = runWith({}, 'serve', path, '--port', '0')
    const sentence = `approxifer: MODEL: ${name}: model: expected an .onnx file, got "${path}": ${why}\n`
    expect([status, stderr, stdout]).toEqual([1, sentence, ''])
  })
})

describe('a configuration file', () => {
  const config = (content: unknown) =>
    text('config.json', typeof content === 'string' ? content : JSON.stringify(content))

  it.each([
    ['is neither YAML nor JSON', '{', /config.json: line 1: expected YAML or JSON: /],
    ['lacks a comma', '{\n"port": 1\n"grace": 2}', /config.json: line 2: expected YAML or JSON: /],
    ['has a word for a number', 'port: x', /config.json: port: expected an integer from 0 to 65535, got "x"\n/],
    ['ends too early', '{\n"port": 1', /config.json: line 2: expected YAML or JSON: /],
    ['is indented with tabs', 'models:\n\tm:\n', /config.json: line 2: expected YAML or JSON: Tabs are not/],
    ['is a list', '- port: 1', /config.json: expected an object, got Array/],
    ['misspells a name', { prot: 8000 }, /config.json\.prot: expected 'port', got an unknown option/],
    ['misspells a model’s option', { models: { m: { modle: 'm.onnx' } } }, /models\.m\.modle: expected 'model'/],
    [
      'misspells a scheme',
      { models: { m: { model: LENET, scheme: { query: 4 } } } },
      /models\.m\.scheme\.query: expected 'queries'/,
    ],
    [
      'has the name of a flag',
      { models: { m: { model: LENET, maxQueries: 4 } } },
      /models\.m\.maxQueries: expected 'limits\.queries', got an unknown option/,
    ],
    [
      'has a function’s place',
      { models: { m: { model: LENET, testing: { clock: 1 } } } },
      /models\.m\.testing\.clock: expected .*, got an unknown option/,
    ],
    [
      'misspells an option of workers elsewhere',
      { models: { m: { workers: 'http://127.0.0.1:9', remote: { tokenfile: 'x' } } } },
      /m: remote\.tokenfile: expected 'tokenFile', got an unknown option/,
    ],
    [
      'has what workers of that kind lack',
      { models: { m: { workers: 'nats://127.0.0.1:9/fleet', remote: { healthMs: 5 } } } },
      /m: remote\.healthMs: expected .*, got an unknown option/,
    ],
    ['has a model without a file', { models: { m: {} } }, /models\.m\.model: expected an .onnx file, got undefined/],
    [
      'has a wrong kind',
      { models: { m: { model: LENET } }, maxBody: 'much' },
      /maxBody: expected a number from 0.001 to 2047, got "much"/,
    ],
    [
      'describes a model twice, of which a parser would take the last',
      '{"models": {"a": {"model": "a{\\"}.onnx"}, "m": {"model": "a"}, "b": {}, "m": {"model": "b"}}}',
      /config.json: line 1: expected YAML or JSON: Map keys must be unique/,
    ],
    ['has no models', { models: null }, /config.json: models: expected an object, got null/],
    ['has no remote', { models: { m: { workers: 'http://a', remote: null } } }, /models\.m\.remote: expected an object, got null/], // biome-ignore format: one line
    [
      'has a password near an error',
      '{"models": {"m": {"workers": x, "nats://fleet:secret@host/fleet"}}}',
      /models\.m\.nats:\/\/\.\.\.@host\/fleet: expected one of .*, got an unknown option\n/,
    ],
    ['has a list of models', { models: [LENET] }, /models: expected an object, got Array/],
  ])('that %s', (_, content, sentence) => {
    const [status, stderr] = serve('--config', config(content))
    expect(stderr).toMatch(sentence)
    expect(status).toBe(2)
  })

  it('says what a flag does not, and its files lie beside it', async () => {
    writeFileSync(join(folder, 'lenet.onnx'), readFileSync(LENET))
    const digits = {
      model: 'lenet.onnx',
      version: '7',
      workers: 2,
      scheme: { queries: 2 },
      testing: { core: { prefer: 'js' } },
    }
    const file = config({
      models: { digits, again: { model: 'lenet.onnx', workers: 1 } },
      port: 1,
      grace: 1,
      log: 'debug',
    })
    writeFileSync(file, `\ufeff${readFileSync(file)}`) // as some editors begin one
    const served = await Served.start(['--config', file, '--log', 'info']) // and a port
    const metadata = await (await fetch(`${served.url}/v2/models/digits`)).json()
    expect(metadata.versions).toEqual(['7'])
    expect((await served.infer(json(), {}, 'again')).status).toBe(200)
    await fetch(`${served.url}/v2/health/live`)
    expect(await served.stop()).toBe(0)
    expect(served.lines.filter(({ level }) => level === 'debug')).toEqual([])
  })
})

const equal = (sentence: string) => new RegExp(`^${sentence.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)
