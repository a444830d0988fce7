import { createPredictor } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { HandWorker } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { doubling, inferRow } from '../../shared/vectors'
import { PATIENCE_MS, until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('connections to NATS', () => {
  it('a fleet whose connection was closed for good: the workers leave, and it ends', async () => {
    const { name } = await fleets.start([new HandWorker('a')])
    const connection = await fleets.connect()
    const changes = natsWorkers(connection, { fleet: name })
    const worker = await joined(changes)
    const call = inferRow(worker, row(1))
    call.catch(() => {})
    await connection.close()
    await expect(call).rejects.toMatchObject({ code: 'WORKER' })
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    expect((await changes.next()).done).toBe(true)
  })

  it('the server restarts under load: no query fails, it takes time only', async () => {
    const own = await NatsServer.start()
    fleets.end(() => own.stop())
    const echo = (name: string) => Object.assign(new HandWorker(name), { infer: doubling }) // biome-ignore format: one line
    const service = await serveNats(own.url, { fleet: 'restart', workers: ['a', 'b', 'c'].map(echo), beatMs: 100 })
    const predictor = await createPredictor({ scheme: { queries: 2, stragglers: 1 }, workers: natsWorkers(own.url, { fleet: 'restart' }), deadlineMs: PATIENCE_MS }) // biome-ignore format: one line
    fleets.end(
      () => service.close(),
      () => predictor.close(),
    )
    let stop = false
    let count = 0
    const ask = async () => {
      while (!stop) expect((await predictor.predict(row(++count))).output.y.data.length).toBe(2)
    }
    const load = Promise.all([ask(), ask(), ask(), ask()])
    await until(() => count > 500)
    await own.down()
    await own.up()
    const before = count
    await until(() => count > before + 500)
    stop = true
    await load
  })

  it('access by user and password; refused without', async () => {
    const own = await NatsServer.start('authorization { user: fleet, password: secret }')
    fleets.end(() => own.stop())
    const access = { servers: own.url, user: 'fleet', pass: 'secret' }
    const service = await serveNats(access, { fleet: 'closed', workers: [new HandWorker('a')] })
    const changes = natsWorkers(access, { fleet: 'closed' })
    fleets.end(
      () => service.close(),
      () => changes.return?.(),
    )
    expect((await joined(changes)).name).toBe(service.names[0])
    await expect(natsWorkers(own.url, { fleet: 'closed' }).next()).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringMatching(/no connection to NATS at nats:.*Authorization/i),
    })
  })

  it('wrong options are refused with a sentence', async () => {
    const serve = (options: object) => serveNats('nats://127.0.0.1:1', { fleet: 'f', workers: [new HandWorker('a')], ...options }) // biome-ignore format: one line
    expect(() => natsWorkers('http://x', { fleet: 'f' })).toThrow("server: expected a URL such as 'nats://host:4222'")
    expect(() => natsWorkers('nats://x', { fleet: 'a.b' })).toThrow(
      'fleet: expected letters, digits, - and _, got "a.b"',
    )
    expect(() => natsWorkers('nats://x', { fleet: 'f', modle: 'm' } as never)).toThrow("modle: expected 'model'")
    expect(() => natsWorkers('nats://x', { fleet: 'f', missed: 0 })).toThrow('missed: expected an integer >= 1')
    await expect(serve({ workers: [] })).rejects.toThrow('workers: expected ModelWorkers, one or more')
    await expect(serve({ key: 1 })).rejects.toThrow("key: expected a file's path, a pair of keys or false, got 1")
    await expect(serve({ beatMs: 1 })).rejects.toThrow('beatMs: expected an integer from 10')
    await expect(serve({})).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('no connection to NATS at nats://127.0.0.1:1') }) // biome-ignore format: one line
    const refused = await natsWorkers('nats://me:secret@127.0.0.1:1', { fleet: 'f' }).next().catch((error) => error) // biome-ignore format: one line
    expect(refused).toMatchObject({ code: 'WORKER', message: expect.not.stringContaining('secret') })
  })
})
