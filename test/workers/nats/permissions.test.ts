/** The configuration of docs/reference/remote.md: what a NATS server lets the machines of a fleet do. */

import { readFileSync } from 'node:fs'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { createPredictor } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { keyOf } from '../../shared/fixed-keys'
import { HandWorker } from '../../shared/hand-predictor'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { doubling } from '../../shared/vectors'
import { PATIENCE_MS } from '../../shared/waiting'

const names = ['a', 'b', 'c']
const ends: (() => unknown)[] = []
let server: NatsServer

/** What the page shows, with users of this test. */
function configuration(): string {
  const [, shown = ''] =
    /```\n(authorization \{\n.*?)\n```/s.exec(readFileSync('docs/reference/remote.md', 'utf8')) ?? []
  const [before, machine = '', after] = shown.split(/( {4}\{ nkey: .*?\n {4}\} \}\n)/s)
  const machines = names.map((name) => machine.replaceAll('IDENTITY', keyOf(name).identity).replace(/nkey: \S+,/, `user: ${name}, password: p,`)) // biome-ignore format: one line
  return before + machines.join('') + after
}

const as = (user: string) => ({ servers: server.url, user, pass: 'p' })

async function connected(user: string): Promise<{ raw: NatsConnection; refused: string[] }> {
  const raw = await connect(as(user))
  const refused: string[] = []
  ends.push(() => raw.close())
  void (async () => {
    for await (const { type, error } of raw.status() as AsyncIterable<{ type: string; error?: Error }>) {
      if (type === 'error') refused.push(`${error?.message}`)
    }
  })()
  return { raw, refused }
}

beforeAll(async () => {
  if (natsInstalled) server = await NatsServer.start(configuration())
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => server?.stop())

describe.skipIf(!natsInstalled)('permissions by identity', () => {
  it('the fleet works, with three machines and a coordinator', async () => {
    const warnings: string[] = []
    for (const name of names) {
      const worker = Object.assign(new HandWorker(name), { infer: doubling })
      const onWarning = (text: string) => warnings.push(text)
      const service = await serveNats(as(name), { fleet: 'lab', name, key: keyOf(name), workers: [worker], onWarning })
      ends.push(() => service.close())
    }
    const predictor = await createPredictor({
      scheme: { queries: 1, byzantine: 1 },
      workers: natsWorkers(as('gateway'), { fleet: 'lab', onWarning: (text) => warnings.push(text) }),
      deadlineMs: PATIENCE_MS,
    })
    ends.push(() => predictor.close())
    for (let x = 1; x <= 50; x++) {
      expect((await predictor.predict(Float32Array.of(x, 1))).output.y.data[0]).toBe(2 * x)
    }
    expect(warnings).toEqual([])
  })

  it('a machine may not read the rows or the answers of others, say that it is another, answer for one, or ask for rows', async () => {
    const { raw, refused } = await connected('a')
    const { identity } = keyOf('b')
    for (const subject of [
      `approxifer.lab.worker.${identity}.x`,
      'approxifer.lab.worker.>',
      '_INBOX.>',
      'approxifer.lab.beat.>',
    ]) {
      raw.subscribe(subject, { callback() {} })
    }
    for (const subject of [
      `approxifer.lab.beat.${identity}.x`,
      '_INBOX.x.y',
      `approxifer.lab.worker.${identity}.x`,
      'approxifer.lab.call',
    ]) {
      raw.publish(subject)
    }
    await raw.flush()
    await raw.flush()
    expect(refused.filter((text) => /permissions violation/i.test(text)).length).toBe(8)
  })
})
