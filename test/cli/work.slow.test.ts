import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/nats-core'
import { createPredictor } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { NatsServer, natsInstalled } from '../shared/nats-server'

const folder = mkdtempSync(join(tmpdir(), 'approxifer-work-'))
const lenet = 'models/mnist-lenet.onnx'
const ends: (() => unknown)[] = []
const opensslInstalled = spawnSync('openssl', ['version']).status === 0

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

async function serverWith(config = ''): Promise<NatsServer> {
  const server = await NatsServer.start(config)
  ends.push(() => server.stop())
  return server
}

/** The command at work. */
function work(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const all = ['dist/cli.js', 'work', lenet, '--fleet', 'f', '--json', ...args]
  const child = spawn(process.execPath, all, { env: { ...process.env, ...env } })
  ends.push(() => child.kill('SIGKILL'))
  const events: { event?: string; [field: string]: unknown }[] = []
  let partial = ''
  let wake = () => {}
  child.stdout.on('data', (text) => {
    const lines = (partial + text).split('\n')
    partial = lines.pop() as string
    events.push(...lines.map((line) => JSON.parse(line)))
    wake()
  })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  void exit.then(() => wake())
  const told = async (event: string) => {
    while (!events.some((each) => each.event === event)) {
      if (child.exitCode !== null) throw new Error(`it ended: ${JSON.stringify(events)}`)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return events.find((each) => each.event === event)
  }
  return { child, events, exit, told }
}

/** An operator, an account and a user of NATS, made here. @returns the server's configuration, and the user's credentials */
function credentials(): { config: string; creds: string } {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()]
  const base64 = (data: object | Uint8Array) =>
    (data instanceof Uint8Array ? Buffer.from(data) : Buffer.from(JSON.stringify(data))).toString('base64url')
  const sign = (by: typeof operator, of: typeof operator, nats: object) => {
    const claims = { jti: 'x', iat: Math.floor(Date.now() / 1000), iss: by.getPublicKey(), sub: of.getPublicKey(), name: 'n', nats } // biome-ignore format: one line
    const text = `${base64({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64(claims)}`
    return `${text}.${base64(by.sign(new TextEncoder().encode(text)))}`
  }
  const none = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1, payload: -1, wildcards: true }
  const jwts = {
    operator: sign(operator, operator, { type: 'operator', version: 2 }),
    account: sign(operator, account, { type: 'account', version: 2, limits: none }),
    user: sign(account, user, { type: 'user', version: 2, subs: -1, data: -1, payload: -1 }),
  }
  const config = `operator: "${jwts.operator}"\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: "${jwts.account}" }`
  const seed = new TextDecoder().decode(user.getSeed())
  const block = (what: string, text: string) => `-----BEGIN ${what}-----\n${text}\n------END ${what}------\n\n`
  return { config, creds: block('NATS USER JWT', jwts.user) + block('USER NKEY SEED', seed) }
}

describe.skipIf(!natsInstalled)('approxifer work', () => {
  it('its workers answer a predictor; told to stop it leaves in good order', async () => {
    const { url } = await serverWith()
    const { child, told, exit } = work(['--nats', url, '--workers', '2', '--name', 'my machine'])
    const { names, fingerprint } = (await told('joined')) as { names: string[]; fingerprint: string }
    expect(names).toEqual([
      expect.stringMatching(/^my_machine-0-[\w-]{16}$/),
      expect.stringMatching(/^my_machine-1-[\w-]{16}$/),
    ])
    const predictor = await createPredictor({
      scheme: { queries: 1, stragglers: 1 },
      workers: natsWorkers(url, { fleet: 'f', model: lenet }),
    })
    ends.push(() => predictor.close())
    expect((await predictor.predict(new Float32Array(784))).output.logits.data.length).toBe(10)
    expect(fingerprint).toMatch(/^[0-9a-f]{16}$/)
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    expect(await told('left')).toEqual({ event: 'left', fleet: 'f' })
  })

  it('--workers 2 has one vote: two machines with four workers are two of the three that a liar asks for', async () => {
    const { url } = await serverWith()
    const start = async () => (await work(['--nats', url, '--workers', '2']).told('joined')) as { names: string[] }
    const [first, second] = [await start(), await start()]
    let warned = (_: string) => {}
    const waits = new Promise<string>((resolve) => {
      warned = resolve
    })
    const starting = createPredictor({
      scheme: { queries: 1, byzantine: 1 },
      workers: natsWorkers(url, { fleet: 'f' }),
      onWarning: (text) => warned(text),
    })
    ends.push(async () => (await starting).close())
    const text = 'waits for workers: 2 of the 3 machines that the scheme needs have joined (4 workers)'
    expect(await Promise.race([starting.then(() => 'it began'), waits])).toBe(text)
    const third = await start()
    const { workers } = (await starting).stats()
    expect([...first.names, ...second.names, ...third.names]).toEqual(expect.arrayContaining(workers.map(({ worker }) => worker))) // biome-ignore format: one line
  })

  it('--creds: the credentials of NATS', async () => {
    const { config, creds } = credentials()
    const { url } = await serverWith(config)
    const { child, told, exit } = work(['--nats', url, '--creds', file('user.creds', creds)])
    await told('joined')
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    const without = work(['--nats', url])
    expect(await without.exit).toBe(1)
    expect(without.events).toEqual([{ error: { code: 'WORKER', message: expect.stringMatching(/Authorization/i) } }])
  })

  it('--token-file, --nkey-file, --password-file, or all of it in NATS_URL: nothing of it stands on the command line', async () => {
    const user = nkeys.createUser()
    const seed = file('user.nk', `${new TextDecoder().decode(user.getSeed())}\n`)
    const users = `{ nkey: ${user.getPublicKey()} }, { user: u, password: "p@ss" }`
    const [token, named] = [await serverWith('authorization { token: t0ken }'), await serverWith(`authorization { users: [${users}] }`)] // biome-ignore format: one line
    const at = named.url.replace('//', '//u@')
    const ways: [string[], NodeJS.ProcessEnv?][] = [
      [['--nats', token.url, '--token-file', file('token', 't0ken\n')]],
      [['--nats', named.url, '--nkey-file', seed]],
      [['--nats', at, '--password-file', file('password', 'p@ss\n')]],
      [[], { NATS_URL: named.url.replace('//', '//u:p%40ss@') }],
    ]
    for (const [args, env] of ways) {
      const { child, told, exit } = work(args, env)
      await told('joined')
      child.kill('SIGTERM')
      expect(await exit).toBe(0)
    }
    const both = work(['--nats', token.url, '--token-file', seed, '--nkey-file', seed])
    expect(await both.exit).toBe(2)
    expect(both.events).toEqual([{ error: { code: 'USAGE', message: 'nkeyFile: expected none beside tokenFile' } }])
  })

  it('--key: the machine has one identity, with any names; made if it is missing', async () => {
    const { url } = await serverWith()
    const key = join(folder, 'machine.pem')
    const first = await work(['--nats', url, '--key', key]).told('joined')
    const second = await work(['--nats', url, '--key', key, '--name', 'x']).told('joined')
    expect(first).toMatchObject({ identity: expect.stringMatching(/^[\w-]{43}$/) })
    expect(second).toMatchObject({ identity: first?.identity })
    expect(statSync(key).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['listen for rows', 'subscribe: [ "approxifer.f.call" ]', 'publish: [ ">" ]'],
    ['say that it is there', 'subscribe: [ ">" ]', 'publish: [ "_INBOX.>" ]'],
  ])('may not %s: it says so, and not that it has joined', async (_, ...permissions) => {
    const { url } = await serverWith(`authorization { users: [{ user: u, password: p, permissions: { ${permissions.join(', ')} } }] }`) // biome-ignore format: one line
    const { exit, events } = work([], { NATS_URL: url.replace('//', '//u:p@') })
    expect(await exit).toBe(1)
    expect(events).toEqual([{ error: { code: 'WORKER', message: expect.stringMatching(/Permissions Violation.*approxifer.f/i) } }]) // biome-ignore format: one line
  })

  it.skipIf(!opensslInstalled)('--tls-ca, --tls-cert, --tls-key: both sides are certain of the other', async () => {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca')
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-x509']
    for (const who of ['server', 'client']) {
      const ext = ['-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE']
      openssl('req', ...by, ...key, '-keyout', `${who}.key`, '-out', `${who}.pem`, '-subj', `/CN=${who}`, ...ext)
    }
    const at = (name: string) => join(folder, name)
    const { port } = await serverWith(`tls { cert_file: "${at('server.pem')}", key_file: "${at('server.key')}", ca_file: "${at('ca.pem')}", verify: true }`) // biome-ignore format: one line
    const url = `tls://localhost:${port}` // the client library does not check the names of addresses in numbers
    const mine = ['--tls-cert', at('client.pem'), '--tls-key', at('client.key')]
    const { child, told, exit } = work(['--nats', url, '--tls-ca', at('ca.pem'), ...mine])
    await told('joined')
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    const doubtful = work(['--nats', url, ...mine])
    expect(await doubtful.exit).toBe(1)
    expect(doubtful.events).toMatchObject([{ error: { code: 'WORKER' } }])
  })

  it.each([
    [['--nats', 'http://x'], 2, 'USAGE', /--nats.*nats:\/\//],
    [['--nats', 'nats://127.0.0.1:1', '--tls-ca', 'no/such.pem'], 1, 'ENOENT', /no\/such.pem/],
    [['--nats', 'nats://127.0.0.1:1', '--fleet', 'a b'], 2, 'USAGE', /fleet: expected letters/],
    [['--nats', 'nats://127.0.0.1:1'], 1, 'WORKER', /no connection to NATS at nats:\/\/127.0.0.1:1/],
  ])('%j: exit code %i, %s', async (args, status, code, message) => {
    const { exit, events } = work(args)
    expect(await exit).toBe(status)
    expect(events).toEqual([{ error: { code, message: expect.stringMatching(message) } }])
  })
})
