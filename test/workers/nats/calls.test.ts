import type { ModelWorker } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { describe, expect, it, vi } from 'vitest'
import { VERSION } from '../../../src/workers/machines/frames'
import { identityOf } from '../../../src/workers/worker'
import { HandWorker, turn } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { TRACE, traced } from '../../shared/traced-worker'
import { inferRow, inferring, listOf } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('calls over NATS', () => {
  it('what waits at the worker is dropped when it is aborted; what runs is told when the worker is done', async () => {
    const hand = new HandWorker('a')
    const { changes } = await fleets.start([hand])
    const worker = await joined(changes)
    const [running, waiting] = [new AbortController(), new AbortController()]
    const first = inferRow(worker, row(1), { signal: running.signal })
    const second = inferRow(worker, row(2), { signal: waiting.signal })
    const third = inferRow(worker, row(3))
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

  it('a traceparent reaches the machine’s worker', async () => {
    const { own, seen } = traced()
    const { changes } = await fleets.start([own])
    const worker = await joined(changes)
    for (const traceparent of [TRACE, undefined]) await worker.infer(listOf(row(1)), { traceparent })
    expect(seen).toEqual([TRACE, undefined])
  })

  it('a row whose time is over when the worker is free is not run', async () => {
    const hand = new HandWorker('a')
    const { changes, theirs } = await fleets.start([hand], { options: { expireMs: 1000 } })
    const worker = await joined(changes)
    const first = inferRow(worker, row(1))
    const second = inferRow(worker, row(2))
    second.catch(() => {})
    await until(() => hand.calls.length === 1)
    await inferRow(worker, Float32Array.of(1)).catch(() => {}) // refused here; the second has arrived with the first
    theirs.spend(1001)
    hand.calls[0].answer()
    await first
    await expect(second).rejects.toMatchObject({ code: 'DEADLINE' })
    expect(hand.calls.length).toBe(0)
  })

  it('rows and answers larger than a message go in several; one of 10 MB, too', async () => {
    const small = await NatsServer.start('max_payload: 65536')
    fleets.end(() => small.stop())
    const length = 2_621_440
    const signature = { inputs: [{ name: 'x', shape: [length] }], outputs: [{ name: 'y', shape: [length] }] }
    const big = Object.assign(new HandWorker('big'), {
      signature,
      infer: inferring((x) => x.map((v) => v + 1)),
    })
    const { changes } = await fleets.start([big], { at: small })
    const worker = await joined(changes)
    const x = Float32Array.from({ length }, (_, i) => i % 1000)
    const y = await inferRow(worker, x)
    expect(Buffer.compare(Buffer.from(y.buffer), Buffer.from(x.map((v) => v + 1).buffer))).toBe(0)
  })

  it('a full worker says so, whoever filled it', async () => {
    const hand = new HandWorker('a')
    const { name, changes } = await fleets.start([hand], { serving: { maxPending: 1 } })
    const others = natsWorkers(fleets.url, { fleet: name })
    fleets.end(() => others.return?.())
    const [mine, theirs] = [await joined(changes), await joined(others)]
    const open = [inferRow(theirs, row(1)), inferRow(theirs, row(2))]
    for (const call of open) call.catch(() => {})
    await until(() => hand.calls.length === 1)
    await expect(inferRow(mine, row(3))).rejects.toMatchObject({ code: 'OVERLOADED' })
  })

  it("a worker's new connection: what was on its way is asked again, and run once", async () => {
    const hand = new HandWorker('a')
    const { changes, connection } = await fleets.start([hand])
    const worker = await joined(changes)
    const call = inferRow(worker, row(4))
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
    const own = await fleets.connect()
    const { changes, clock, theirs } = await fleets.start([new HandWorker('a')], { own })
    const worker = await joined(changes)
    vi.spyOn(own, 'publish').mockImplementationOnce(() => {})
    const call = inferRow(worker, row(1))
    call.catch(() => {})
    for (let beat = 1; beat <= 4; beat++) {
      const heard = worker as ModelWorker & { beat: object }
      const before = heard.beat
      await clock.run(500 * beat)
      await theirs.run(500 * beat)
      await until(() => heard.beat !== before)
    }
    await expect(call).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('lost its call') })
  })

  it('rubbish on its subjects harms nobody', async () => {
    const hand = new HandWorker('a')
    const { name, service, changes, onWarning } = await fleets.start([hand])
    const worker = await joined(changes)
    const raw = await fleets.connect()
    const reply = `_INBOX.rubbish`
    const replies: number[] = []
    raw.subscribe(reply, { callback: (_, { data }) => void replies.push(data[1]) })
    const own = `approxifer.${name}.worker.${identityOf(worker)}.${service.names[0]}`
    const head = (...bytes: number[]) => Uint8Array.of(...bytes, ...new Array(56 - bytes.length).fill(0))
    const rubbish = [
      new Uint8Array(),
      new Uint8Array(9),
      head(1),
      head(VERSION, 77),
      head(VERSION, 0, 0, 0, 9, 9, 9, 9, 255, 255, 255, 255),
    ]
    for (const bytes of rubbish) raw.publish(own, bytes, { reply })
    raw.publish(own, head(VERSION, 0)) // nobody to answer
    const beats = ['', '{', 'null', '{"version":3}', '\x01', '{"version":3,"name":"x","identity":"m","state":"up","everyMs":500,"connection":1,"open":0,"slots":1,"ms":0,"signature":{"inputs":[{"name":"a","shape":[1e9]}],"outputs":[]}}'] // biome-ignore format: one line
    for (const beat of beats) raw.publish(`approxifer.${name}.beat.x`, beat)
    await raw.flush()
    await until(() => service.forged === rubbish.length)
    expect(replies).toEqual([])
    const call = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    hand.calls[0].answer()
    expect([...(await call)]).toEqual([2, 2])
    expect(onWarning.mock.calls.length).toBeGreaterThan(0)
  })

  it('an answer that is none rejects with PROTOCOL; NaN is one', async () => {
    const answering = async (answer: Float32Array) => {
      const hand = Object.assign(new HandWorker('a'), { infer: inferring(() => answer) })
      const { changes } = await fleets.start([hand])
      return inferRow(await joined(changes), row(1))
    }
    await expect(answering(new Float32Array(3))).rejects.toMatchObject({ code: 'PROTOCOL' })
    expect([...(await answering(Float32Array.of(1, Number.NaN)))]).toEqual([1, Number.NaN])
  })
})
