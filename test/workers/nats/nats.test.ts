import { Worker } from 'node:worker_threads'
import { connect } from '@nats-io/transport-node'
import { type Change, createPredictor, localWorkers, type ModelWorker } from 'approxifer'
import { type NatsOptions, natsWorkers, type ServeNatsOptions, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { identityOf } from '../../../src/workers/worker'
import { contract } from '../../shared/contract'
import { HandWorker, settled, turn } from '../../shared/house'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { PATIENCE_MS, until } from '../../shared/patience'

const fixture = new URL('../../fixtures/thread.js', import.meta.url)

let server: NatsServer
const ends: (() => unknown)[] = []

beforeAll(async () => {
  if (natsInstalled) server = await NatsServer.start()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => server?.stop())

let fleets = 0

/** A machine with these workers, its coordinator, and both their times. */
async function fleet(
  workers: ModelWorker[],
  {
    at = server,
    options = {},
    serving = {},
  }: { at?: NatsServer; options?: Partial<NatsOptions>; serving?: Partial<ServeNatsOptions> } = {},
) {
  const name = `test-${process.pid}-${fleets++}`
  const [clock, theirs] = [new VirtualClock(), new VirtualClock()]
  const connection = await connect({ servers: at.url, reconnectTimeWait: 50 })
  const onWarning = vi.fn()
  const service = await serveNats(connection, { fleet: name, workers, clock: theirs, ...serving })
  const changes = natsWorkers(at.url, { fleet: name, clock, onWarning, ...options })
  ends.push(
    () => service.close(),
    () => connection.close(),
    () => changes.return?.(),
  )
  return { name, service, connection, changes, clock, theirs, onWarning }
}

async function joined(changes: AsyncIterator<Change>): Promise<ModelWorker> {
  const { value } = await changes.next()
  if (!('add' in value)) throw new Error(`expected a worker to join, got ${JSON.stringify(value)}`)
  return value.add
}

const row = (x: number) => Float32Array.of(x, 1)

describe.skipIf(!natsInstalled)('workers over NATS', () => {
  const open: (() => unknown)[] = []
  afterAll(async () => {
    for (const close of open) await close()
  })
  contract('threads behind a NATS server', {
    start: async () => {
      const workers = await localWorkers({ model: Uint8Array.of(1), count: 1, createWorker: () => new Worker(fixture) })
      const name = `contract-${process.pid}-${fleets++}`
      const service = await serveNats(server.url, { fleet: name, workers })
      const changes = natsWorkers(server.url, { fleet: name })
      open.push(
        () => service.close(),
        () => changes.return?.(),
      )
      return joined(changes)
    },
    deaths: ['dies', 'exits'],
  })

  it('workers join under names that no other has, also ones that come later', async () => {
    const { name, service, changes } = await fleet([new HandWorker('a'), new HandWorker('b')])
    const names = [await joined(changes), await joined(changes)].map((worker) => worker.name)
    expect(names).toEqual(service.names)
    const later = await serveNats(server.url, { fleet: name, workers: [new HandWorker('c')] })
    ends.push(() => later.close())
    expect((await joined(changes)).name).toBe(later.names[0])
    expect(new Set([...names, ...later.names]).size).toBe(3)
  })

  it('those of one machine have one identity, those of older machines their names', async () => {
    const { name, changes } = await fleet([new HandWorker('a'), new HandWorker('b')])
    const of = async () => identityOf(await joined(changes))
    const [first, second] = [await of(), await of()]
    expect([first, first.length >= 32]).toEqual([second, true])
    const more = { fleet: name, workers: [new HandWorker('c')] }
    const [other, own] = [await serveNats(server.url, more), await serveNats(server.url, { ...more, identity: 'mine' })]
    ends.push(
      () => other.close(),
      () => own.close(),
    )
    const [third, fourth] = [await of(), await of()].sort((a) => (a === 'mine' ? 1 : -1))
    expect([third === first, fourth]).toEqual([false, 'mine'])
    const raw = await connect({ servers: server.url })
    ends.push(() => raw.close())
    const { signature } = new HandWorker('old')
    const beat = { version: 1, name: 'old', state: 'up', everyMs: 500, connection: 1, open: 0, ms: 0, signature }
    raw.publish(`approxifer.${name}.beat.old`, JSON.stringify(beat))
    expect(await of()).toBe('old')
  })

  it('one that misses three heartbeats is gone, its calls reject; heard again, it takes rows', async () => {
    const hand = new HandWorker('a')
    const { changes, clock, theirs, connection } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(1))
    await until(() => hand.calls.length === 1)
    const partition = vi.spyOn(connection, 'publish').mockImplementation(() => {}) // the server keeps its subscriptions
    await clock.run(1500)
    expect([await settled(call), worker.gone, worker.free]).toEqual(['open', false, true])
    await clock.run(1700)
    await expect(call).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('missed 3 heartbeats'),
    })
    expect([worker.gone, worker.free]).toEqual([true, false])
    await expect(worker.infer(row(1))).rejects.toMatchObject({ code: 'WORKER' })
    const onFree = vi.fn()
    worker.onFree = onFree
    partition.mockRestore()
    await theirs.run(500)
    await until(() => worker.free)
    expect([worker.gone, onFree.mock.calls.length > 0]).toEqual([false, true])
  })

  it('one that is lost is told of once, and once more when it is back for a while', async () => {
    const { changes, clock, theirs, connection, onWarning } = await fleet([new HandWorker('a')])
    const worker = await joined(changes)
    const told = () => onWarning.mock.calls.map(([text]) => text)
    for (const times of [1, 2]) {
      const partition = vi.spyOn(connection, 'publish').mockImplementation(() => {})
      await clock.run(clock.now() + 5000)
      expect(told().slice(2 * times - 2)).toEqual([`${worker.name} was lost: it missed 3 heartbeats`])
      partition.mockRestore()
      await theirs.run(theirs.now() + 500)
      await until(() => worker.free)
      await clock.run(clock.now() + 1100)
      expect(told().slice(2 * times - 1)).toEqual([`${worker.name} is back`])
    }
  })

  it('one with a late heartbeat is asked, and answers', async () => {
    const hand = new HandWorker('a')
    const { changes, clock } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(1))
    await until(() => hand.calls.length === 1)
    for (let at = 100; at <= 3000; at += 100) {
      await clock.run(at)
      const { asked } = worker as ModelWorker & { asked: boolean }
      if (asked) await until(() => !(worker as ModelWorker & { asked: boolean }).asked)
    }
    expect([await settled(call), worker.free]).toEqual(['open', true])
    hand.calls[0].answer()
    await call
  })

  it('one whose process died is found with its first missed heartbeat: nobody listens any more', async () => {
    const hand = new HandWorker('a')
    const { name, service, changes, clock, connection } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(1))
    call.catch(() => {})
    await until(() => hand.calls.length === 1)
    await connection.close() // as the kernel does with those of a dead process
    const raw = await connect({ servers: server.url })
    ends.push(() => raw.close())
    const ask = () => raw.request(`approxifer.${name}.worker.${service.names[0]}`, '', { timeout: 100 })
    await until(() => expect(ask()).rejects.toThrow(/no responders/i)) // the server has noticed
    await clock.run(700)
    await expect(call).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('nobody listens') })
    expect(worker.gone).toBe(true)
  })

  it('a thread that stalled, or a machine that slept, blames nobody: who could have been heard?', async () => {
    const { changes, clock } = await fleet([new HandWorker('a')])
    const worker = await joined(changes)
    await clock.run(50)
    clock.spend(9000)
    await clock.run(9150)
    expect(worker.gone).toBe(false)
  })

  it('one that is silent for long is removed, and joins again when it is heard', async () => {
    const { changes, clock, theirs } = await fleet([new HandWorker('a')], { options: { forgetMs: 3000 } })
    const worker = await joined(changes)
    await clock.run(3200)
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    await theirs.run(500)
    const again = await joined(changes)
    expect([again.name, again.free]).toEqual([worker.name, true])
  })

  it('one that drains says so, answers what it has, and is gone', async () => {
    const hand = new HandWorker('a')
    const { changes, service, theirs } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(3))
    await until(() => hand.calls.length === 1)
    const drained = service.drain()
    expect((await changes.next()).value).toEqual({ drain: worker.name })
    await theirs.run(200)
    expect(await settled(drained)).toBe('open')
    hand.calls[0].answer()
    expect([...(await call)]).toEqual([6, 2])
    await drained
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    expect(hand.closed).toBe(1)
  })

  it('one that hangs does not keep its machine from draining: after the grace its rows are rejected', async () => {
    const hand = new HandWorker('a')
    const { changes, service, theirs } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(3))
    call.catch(() => {})
    await until(() => hand.calls.length === 1)
    const drained = service.drain(2000)
    await theirs.run(2000)
    await drained
    await expect(call).rejects.toMatchObject({ code: 'WORKER' })
  })

  it('what waits at the worker is dropped when it is aborted; what runs is told when the worker is done', async () => {
    const hand = new HandWorker('a')
    const { changes } = await fleet([hand])
    const worker = await joined(changes)
    const [running, waiting] = [new AbortController(), new AbortController()]
    const first = worker.infer(row(1), { signal: running.signal })
    const second = worker.infer(row(2), { signal: waiting.signal })
    const third = worker.infer(row(3))
    await until(() => hand.calls.length === 1)
    waiting.abort()
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => worker.free) // the worker has said that it dropped it
    running.abort()
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => hand.calls[0].signal?.aborted === true)
    hand.calls[0].answer()
    await until(() => hand.calls[0]?.row[0] === 3)
    hand.calls[0].answer()
    expect([...(await third)]).toEqual([6, 2])
  })

  it('a row whose time is over when the worker is free is not run', async () => {
    const hand = new HandWorker('a')
    const { changes, theirs } = await fleet([hand], { options: { expireMs: 1000 } })
    const worker = await joined(changes)
    const first = worker.infer(row(1))
    const second = worker.infer(row(2))
    second.catch(() => {})
    await until(() => hand.calls.length === 1)
    await worker.infer(Float32Array.of(1)).catch(() => {}) // refused here; the second has arrived with the first
    theirs.spend(1001)
    hand.calls[0].answer()
    await first
    await expect(second).rejects.toMatchObject({ code: 'DEADLINE' })
    expect(hand.calls.length).toBe(0)
  })

  it('rows and answers larger than a message go in several; one of 10 MB, too', async () => {
    const small = await NatsServer.start('max_payload: 65536')
    ends.push(() => small.stop())
    const length = 2_621_440
    const signature = { inputs: [{ name: 'x', shape: [length] }], outputs: [{ name: 'y', shape: [length] }] }
    const big = Object.assign(new HandWorker('big'), {
      signature,
      infer: async (x: Float32Array) => x.map((v) => v + 1),
    })
    const { changes } = await fleet([big], { at: small })
    const worker = await joined(changes)
    const x = Float32Array.from({ length }, (_, i) => i % 1000)
    const y = await worker.infer(x)
    expect(Buffer.compare(Buffer.from(y.buffer), Buffer.from(x.map((v) => v + 1).buffer))).toBe(0)
  })

  it('a worker with another model is refused, with one warning', async () => {
    const [other, same] = [new HandWorker('a'), Object.assign(new HandWorker('b'), { fingerprint: 'abc' })]
    const { changes, service, theirs, onWarning } = await fleet([other, same], { options: { fingerprint: 'abc' } })
    expect((await joined(changes)).name).toBe(service.names[1])
    await theirs.run(5000)
    expect(onWarning.mock.calls).toEqual([[expect.stringContaining(`${service.names[0]} was refused: its model`)]])
  })

  describe('where none is left of a model', () => {
    const alike = (fingerprint: string, ...names: string[]) => names.map((name) => Object.assign(new HandWorker(name), { fingerprint })) // biome-ignore format: one line
    /** What is told, as it comes: "add x" of a worker with this model. */
    const follow = (changes: AsyncIterableIterator<Change>) => {
      const told: string[] = []
      const read = async () => {
        for await (const change of changes) {
          told.push('add' in change ? `add ${change.add.fingerprint}` : Object.keys(change)[0])
        }
      }
      void read()
      return told
    }

    it('the others’ is taken; not where the caller said which it must be', async () => {
      const { name, service, changes, theirs, onWarning } = await fleet(alike('x', 'a'))
      const fixed = natsWorkers(server.url, { fleet: name, fingerprint: 'x', onWarning: () => {} })
      ends.push(() => fixed.return?.())
      const [told, toFixed] = [follow(changes), follow(fixed)]
      await until(() => told.length + toFixed.length === 2)
      const others = await serveNats(server.url, { fleet: name, workers: alike('y', 'b', 'c') })
      ends.push(() => others.close())
      await until(() => onWarning.mock.calls.length === 2) // both are refused
      const drained = service.drain()
      await until(() => told.length === 4)
      expect(told).toEqual(['add x', 'drain', 'add y', 'add y'])
      await theirs.run(theirs.now() + 200)
      await drained
      await until(() => told.length === 5)
      await until(() => toFixed.length === 3)
      expect([told.at(-1), ...toFixed]).toEqual(['remove', 'add x', 'drain', 'remove'])
    })

    it('but merely lost are more than there are others: they are waited for until they are removed', async () => {
      const name = `lost-${process.pid}`
      const [clock, own, theirs, mine] = [new VirtualClock(), ...(await Promise.all([1, 2, 3].map(() => connect({ servers: server.url }))))] as const // biome-ignore format: one line
      const serve = (connection: typeof own, workers: ModelWorker[]) => serveNats(connection, { fleet: name, workers, clock }) // biome-ignore format: one line
      const service = await serve(own, alike('x', 'a', 'b'))
      const changes = natsWorkers(mine, { fleet: name, clock, onWarning: () => {} })
      const told = follow(changes)
      await until(() => told.length === 2)
      const others = await serve(theirs, alike('y', 'c'))
      ends.push(
        () => changes.return?.(),
        () => service.close(),
        () => others.close(),
        () => Promise.all([own, theirs, mine].map((connection) => connection.close())),
      )
      vi.spyOn(own, 'publish').mockImplementation(() => {}) // they are not heard any more
      const after = async (ms: number) => {
        for (let at = clock.now(); at <= ms; at += 100) {
          await clock.run(at)
          await theirs.flush() // what it said is at the server,
          await mine.flush() // and here
        }
        return told.slice(2)
      }
      expect(await after(9000)).toEqual([])
      expect(await after(12_000)).toEqual(['remove', 'remove', 'add y'])
    })
  })

  it('a full worker says so, whoever filled it', async () => {
    const hand = new HandWorker('a')
    const { name, changes } = await fleet([hand], { serving: { maxPending: 1 } })
    const others = natsWorkers(server.url, { fleet: name })
    ends.push(() => others.return?.())
    const [mine, theirs] = [await joined(changes), await joined(others)]
    const open = [theirs.infer(row(1)), theirs.infer(row(2))]
    for (const call of open) call.catch(() => {})
    await until(() => hand.calls.length === 1)
    await expect(mine.infer(row(3))).rejects.toMatchObject({ code: 'OVERLOADED' })
  })

  it("a worker's new connection: what was on its way is asked again, and run once", async () => {
    const hand = new HandWorker('a')
    const { changes, connection } = await fleet([hand])
    const worker = await joined(changes)
    const call = worker.infer(row(4))
    await until(() => hand.calls.length === 1)
    const lost = vi.spyOn(connection, 'publish').mockImplementation(() => {})
    hand.calls[0].answer()
    await turn()
    lost.mockRestore()
    await connection.reconnect()
    await until(() => hand.calls.length === 1)
    hand.calls[0].answer()
    expect([...(await call)]).toEqual([8, 2])
  })

  it('a call that the worker never got is noticed by its idle heartbeats', async () => {
    const { changes, name, theirs } = await fleet([new HandWorker('a')])
    const worker = await joined(changes)
    const raw = await connect({ servers: server.url })
    ends.push(() => raw.close())
    const open = vi.spyOn(Object.getPrototypeOf(changes), 'send').mockImplementationOnce(() => {})
    const call = worker.infer(row(1))
    call.catch(() => {})
    open.mockRestore()
    for (let beat = 1; beat <= 4; beat++) {
      const heard = worker as ModelWorker & { heardAt: number; beat: object }
      const before = heard.beat
      await theirs.run(500 * beat)
      await until(() => heard.beat !== before)
    }
    await expect(call).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('lost its call') })
    expect(name).toBeTruthy()
  })

  it('rubbish on its subjects harms nobody', async () => {
    const hand = new HandWorker('a')
    const { name, service, changes, onWarning } = await fleet([hand])
    const worker = await joined(changes)
    const raw = await connect({ servers: server.url })
    ends.push(() => raw.close())
    const reply = `_INBOX.rubbish`
    const replies: number[] = []
    raw.subscribe(reply, { callback: (_, { data }) => void replies.push(data[1]) })
    const own = `approxifer.${name}.worker.${service.names[0]}`
    const head = (...bytes: number[]) => Uint8Array.of(...bytes, ...new Array(16 - bytes.length).fill(0))
    const rubbish = [
      new Uint8Array(),
      new Uint8Array(9),
      head(2),
      head(1, 77),
      head(1, 0, 0, 0, 9, 9, 9, 9, 255, 255, 255, 255),
    ]
    for (const bytes of rubbish) raw.publish(own, bytes, { reply })
    raw.publish(own, head(1, 0)) // nobody to answer
    const beats = ['', '{', 'null', '{"version":1}', '{"version":1,"name":"x","state":"up","everyMs":500,"connection":1,"open":0,"ms":0,"signature":{"inputs":[{"name":"a","shape":[1e9]}],"outputs":[]}}'] // biome-ignore format: one line
    for (const beat of beats) raw.publish(`approxifer.${name}.beat.x`, beat)
    await raw.flush()
    await until(() => replies.length === rubbish.length)
    expect(replies).toEqual(rubbish.map(() => 4))
    const call = worker.infer(row(1))
    await until(() => hand.calls.length === 1)
    hand.calls[0].answer()
    expect([...(await call)]).toEqual([2, 2])
    expect(onWarning.mock.calls.length).toBeGreaterThan(0)
  })

  it('an answer that is none rejects with PROTOCOL', async () => {
    const liars = [Float32Array.of(1, Number.NaN), new Float32Array(3)]
    for (const lie of liars) {
      const hand = Object.assign(new HandWorker('a'), { infer: async () => lie })
      const { changes } = await fleet([hand])
      await expect((await joined(changes)).infer(row(1))).rejects.toMatchObject({ code: 'PROTOCOL' })
    }
  })

  it("operators' tools see the workers: $SRV.PING, INFO, STATS", async () => {
    const hand = new HandWorker('a')
    const { name, service, changes } = await fleet([hand, new HandWorker('b')])
    const worker = await joined(changes)
    const call = worker.infer(row(1))
    await until(() => hand.calls.length === 1)
    hand.calls[0].answer()
    await call
    const raw = await connect({ servers: server.url })
    ends.push(() => raw.close())
    /** Replies until those of these workers are there. */
    const ask = async (subject: string, ids: readonly string[] = service.names) => {
      const replies: { id: string; [field: string]: unknown }[] = []
      for await (const message of await raw.requestMany(subject, '', { maxWait: PATIENCE_MS, strategy: 'timer' })) {
        replies.push(message.json())
        if (ids.every((id) => replies.some((reply) => reply.id === id))) break
      }
      return replies
    }
    const standard = { name, version: '1.0.0', metadata: { 'approxifer.fingerprint': 'unknown' } }
    const pings = await ask('$SRV.PING')
    for (const id of service.names) {
      expect(pings).toContainEqual({ type: 'io.nats.micro.v1.ping_response', id, ...standard })
    }
    expect((await ask(`$SRV.PING.${name}`)).length).toBe(2)
    const [a, b] = service.names.map((id) => [id])
    expect((await ask(`$SRV.PING.${name}.${b}`, b)).map(({ id }) => id)).toEqual(b)
    const [info] = await ask(`$SRV.INFO.${name}.${a}`, a)
    const subject = `approxifer.${name}.worker.${service.names[0]}`
    expect(info).toMatchObject({
      type: 'io.nats.micro.v1.info_response',
      description: expect.stringContaining('approxifer'),
      endpoints: [{ name: 'rows', subject, queue_group: '', metadata: {} }],
    })
    const [stats] = await ask(`$SRV.STATS.${name}.${a}`, a)
    expect(stats).toMatchObject({
      type: 'io.nats.micro.v1.stats_response',
      started: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      endpoints: [
        { name: 'rows', subject, num_requests: 1, num_errors: 0, last_error: '', processing_time: expect.any(Number) },
      ],
    })
  })

  it('a fleet whose connection was closed for good: the workers leave, and it ends', async () => {
    const { name } = await fleet([new HandWorker('a')])
    const connection = await connect({ servers: server.url })
    const changes = natsWorkers(connection, { fleet: name })
    const worker = await joined(changes)
    const call = worker.infer(row(1))
    call.catch(() => {})
    await connection.close()
    await expect(call).rejects.toMatchObject({ code: 'WORKER' })
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    expect((await changes.next()).done).toBe(true)
  })

  it('the server restarts under load: no query fails, it takes time only', async () => {
    const own = await NatsServer.start()
    ends.push(() => own.stop())
    const echo = (name: string) => Object.assign(new HandWorker(name), { infer: async (x: Float32Array) => x.map((v) => 2 * v) }) // biome-ignore format: one line
    const service = await serveNats(own.url, { fleet: 'restart', workers: ['a', 'b', 'c'].map(echo), beatMs: 100 })
    const predictor = await createPredictor({ scheme: { queries: 2, stragglers: 1 }, workers: natsWorkers(own.url, { fleet: 'restart' }), deadlineMs: PATIENCE_MS }) // biome-ignore format: one line
    ends.push(
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

  it('of nine workers one lies: every answer is right, and the liar is found', async () => {
    const echo = (name: string, lie: boolean) => Object.assign(new HandWorker(name), { infer: async (x: Float32Array) => x.map((v) => (lie ? 3 * v : 2 * v)) }) // biome-ignore format: one line
    const workers = Array.from({ length: 9 }, (_, i) => echo(`w${i}`, i === 4))
    const name = `liar-${process.pid}`
    const machine = (worker: HandWorker) => serveNats(server.url, { fleet: name, workers: [worker] })
    const services = await Promise.all(workers.map(machine))
    const onWarning = vi.fn()
    const predictor = await createPredictor({
      scheme: { code: 'systematic', queries: 4, stragglers: 1, byzantine: 1 },
      workers: natsWorkers(server.url, { fleet: name }),
      deadlineMs: PATIENCE_MS,
      onWarning,
    })
    ends.push(
      () => Promise.all(services.map((service) => service.close())),
      () => predictor.close(),
    )
    const answers = await predictor.predictAll(Array.from({ length: 400 }, (_, i) => row(i % 37)))
    answers.forEach(({ output }, i) => expect([...output.y.data]).toEqual([2 * (i % 37), 2]))
    expect(onWarning.mock.calls.flat().join()).toContain(`${services[4].names[0]} lied, with proof`)
  })

  it('access by user and password; refused without', async () => {
    const own = await NatsServer.start('authorization { user: fleet, password: secret }')
    ends.push(() => own.stop())
    const access = { servers: own.url, user: 'fleet', pass: 'secret' }
    const service = await serveNats(access, { fleet: 'closed', workers: [new HandWorker('a')] })
    const changes = natsWorkers(access, { fleet: 'closed' })
    ends.push(
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
    await expect(serve({ identity: 'a b' })).rejects.toThrow('identity: expected letters, digits, - and _, got "a b"')
    await expect(serve({ beatMs: 1 })).rejects.toThrow('beatMs: expected an integer from 10')
    await expect(serve({})).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('no connection to NATS at nats://127.0.0.1:1') }) // biome-ignore format: one line
    const refused = await natsWorkers('nats://me:secret@127.0.0.1:1', { fleet: 'f' }).next().catch((error) => error) // biome-ignore format: one line
    expect(refused).toMatchObject({ code: 'WORKER', message: expect.not.stringContaining('secret') })
  })
})
