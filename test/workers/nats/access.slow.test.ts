import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from '@nats-io/transport-node'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { afterEach, describe, expect, it } from 'vitest'
import { HandWorker } from '../../shared/hand-predictor'
import { freePort, NatsServer, natsInstalled } from '../../shared/nats-server'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function serverWith(authorization: string): Promise<NatsServer> {
  const server = await NatsServer.start(`authorization { ${authorization} }`)
  ends.push(() => server.stop())
  return server
}

/** Who a URL names, in front of its host. */
const as = (who: string, { url }: NatsServer) => url.replace('//', `//${who}@`)

let fleets = 0

/** The first worker that a coordinator hears of, where both sides have this address. */
async function firstWorker(address: string | { servers: string | string[] }): Promise<string> {
  const fleet = `f${fleets++}`
  const service = await serveNats(address, { fleet, workers: [new HandWorker('a')] })
  ends.push(() => service.close())
  const changes = natsWorkers(address, { fleet })
  ends.push(() => changes.return?.())
  const { value } = await changes.next()
  return 'add' in value && value.add.name === service.names[0] ? 'joined' : JSON.stringify(value)
}

/** What a command says, all of it, when it has ended; or has been refused, which `serve` goes on after. */
async function said(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, ['dist/cli.js', ...args])
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes) => {
      text += bytes
      if (args[0] === 'serve' && /authorization/i.test(text)) child.kill('SIGKILL')
    })
  await once(child, 'close')
  return text
}

describe.skipIf(!natsInstalled)('who a NATS address names', () => {
  it.each([
    ['a user and a password', 'user: fleet, password: secret', 'fleet:secret'],
    ['with letters that addresses have another use for', 'user: "a@b", password: "p@s:s/w,%?#"', 'a%40b:p%40s%3As%2Fw%2C%25%3F%23'], // biome-ignore format: one line
    ['a password of digits, which is no port', 'user: fleet, password: "12345"', 'fleet:12345'],
    ['an @ that is not escaped', 'user: fleet, password: "p@ss"', 'fleet:p@ss'],
    ['a token', 'token: "s3cr:t"', 's3cr%3At'],
  ])('%s', async (_, authorization, who) => {
    const server = await serverWith(authorization)
    expect(await firstWorker(as(who, server))).toBe('joined')
    expect(await firstWorker({ servers: as(who, server) })).toBe('joined')
  })

  it('several servers of one cluster, the first of which is down', async () => {
    const server = await serverWith('user: fleet, password: secret')
    const down = `nats://fleet:secret@127.0.0.1:${await freePort()}`
    expect(await firstWorker({ servers: [down, as('fleet:secret', server)] })).toBe('joined')
    expect(await firstWorker(`${down},${server.url}`)).toBe('joined')
  })

  it('what the caller says beside the address goes first', async () => {
    const server = await serverWith('user: fleet, password: secret')
    const access = { servers: as('nobody:wrong', server), user: 'fleet', pass: 'secret' }
    expect(await firstWorker(access)).toBe('joined')
  })

  it.each([
    ['nats://u:secret@h,nats://v:secret@h', 'servers: expected one user or token for all of them, got several'],
    ['nats://u:secret%@h', 'server: expected %25 for a % in its user, password or token'],
    ['nats://u:secret@', 'server: expected an address'],
    ['http://u:secret@h', 'server: expected a URL such as'],
    ['nats:/u:secret@h', 'got "nats:/...@h"'],
    ['u:secret@h', 'got "...@h"'],
  ])('%s is refused, and its password not repeated', (address, message) => {
    const refused = () => natsWorkers(address, { fleet: 'f' })
    expect(refused).toThrow(message)
    expect(refused).not.toThrow('secret')
  })

  it('a password never stands in what is said, by errors, warnings or the command line', async () => {
    const server = await serverWith('user: fleet, password: secret')
    const wrong = as('fleet:wr0ng', server)
    const texts: string[] = []
    const failed = await natsWorkers(wrong, { fleet: 'f', onWarning: (text) => texts.push(text) }).next().catch((error) => error) // biome-ignore format: one line
    expect(failed).toMatchObject({ code: 'WORKER', message: expect.stringMatching(/no connection to NATS at nats:\/\/127.*Authorization/i) }) // biome-ignore format: one line
    for (let error = failed; error; error = error.cause) texts.push(error.message, error.stack, JSON.stringify(error))
    const work = ['work', 'models/mnist-lenet.onnx', '--fleet', 'f', '--nats']
    texts.push(await said(...work, wrong), await said(...work, wrong, '--json'))
    texts.push(await said(...work, wrong.replace('nats:', 'http:')), await said(...work, `${wrong}%`))
    const serve = ['serve', 'm', '--port', '0', '--log', 'trace', '--workers']
    for (const where of [
      `${wrong}/f`,
      wrong,
      `${wrong.replace('nats:', 'nast:')}/f`,
      `${wrong.replace('wr0ng', 'wr0,wr0ng')}/f`,
    ]) {
      // biome-ignore format: one line
      texts.push(await said(...serve, where))
    }
    expect(texts.filter((text) => text.includes('wr0'))).toEqual([])
    expect(texts.filter((text) => /authorization/i.test(text)).length).toBeGreaterThan(3)
  })

  it("approxifer work by a token, which is not part of its workers' names either", async () => {
    const server = await serverWith('token: t0ken')
    const args = ['work', 'models/mnist-lenet.onnx', '--fleet', 'f', '--json', '--nats', as('t0ken', server)]
    const child = spawn(process.execPath, ['dist/cli.js', ...args])
    ends.push(() => child.kill('SIGKILL'))
    const [first] = await once(child.stdout, 'data')
    const { event, names } = JSON.parse(first)
    expect([event, names.length]).toEqual(['joined', 1])
    expect(String(first)).not.toContain('t0ken')
    const connection = await connect({ servers: server.url, token: 't0ken' }) // the server is open to nobody else
    await connection.close()
    await expect(connect({ servers: server.url })).rejects.toThrow(/authorization/i)
  })
})
