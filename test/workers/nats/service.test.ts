import { describe, expect, it } from 'vitest'
import { HandWorker } from '../../shared/house'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { PATIENCE_MS, until } from '../../shared/patience'
import { inferRow } from '../../shared/vectors'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('services on NATS', () => {
  it("operators' tools see the workers: $SRV.PING, INFO, STATS", async () => {
    const hand = new HandWorker('a')
    const { name, service, changes } = await fleets.start([hand, new HandWorker('b')])
    const worker = await joined(changes)
    const call = inferRow(worker, row(1))
    await until(() => hand.calls.length === 1)
    hand.calls[0].answer()
    await call
    const raw = await fleets.connect()
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
    const subject = expect.stringMatching(new RegExp(`^approxifer.${name}.worker.[\\w-]{43}.${service.names[0]}$`))
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
})
