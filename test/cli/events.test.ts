import { afterEach, describe, expect, it, vi } from 'vitest'
import { Events } from '../../src/cli/serve/events'
import { ApproxiferError } from '../../src/errors'
import type { GroupReport } from '../../src/query/report'

afterEach(() => vi.useRealTimers())

const report = (text = ''): GroupReport => ({
  queries: 1,
  workers: 1,
  quorum: 1,
  core: 'js',
  outcome: 'decoded',
  rows: [
    {
      row: 0,
      worker: 'a',
      outcome: 'failed',
      suspected: false,
      ms: 1,
      error: new ApproxiferError('WORKER', 'your input was 42'),
    },
    { row: 1, worker: text, outcome: 'onTime', suspected: false, ms: 1 },
  ],
  recoveries: [],
  survivors: [1],
  encodeMs: 0,
  waitMs: 0,
  decodeMs: 0,
})

function connect(events: Events, query = '') {
  const client = { destroyed: 0, destroy: () => client.destroyed++ }
  const response = events.response(new Request(`http://localhost/events${query}`), client)
  return { client, response }
}

describe('events', () => {
  it('drop a client that does not read, and nobody else', async () => {
    let dropped = 0
    const events = new Events(() => dropped++)
    const [slow, quick] = [connect(events), connect(events)]
    const reader = (quick.response.body as ReadableStream<Uint8Array>).getReader()
    for (let i = 0; i < 20; i++) {
      events.send('m', report('x'.repeat(20_000)))
      await reader.read()
    }
    expect([slow.client.destroyed, quick.client.destroyed, dropped, events.clients]).toEqual([1, 0, 1, 1])
    events.close()
  })

  it('tell a worker’s error by its code alone', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 }) // in the time of a report may be any number
    const events = new Events(() => {})
    const { response } = connect(events)
    events.send('m', report())
    events.close()
    const told = await response.text()
    expect(told).toContain('"error":"WORKER"')
    expect(told).not.toContain('42')
  })

  it('are of one model, if that is asked for', async () => {
    const events = new Events(() => {})
    const { response } = connect(events, '?model=b')
    events.send('a', report())
    events.send('b', report())
    events.close()
    expect([...(await response.text()).matchAll(/"model":"(.)"/g)].map(([, name]) => name)).toEqual(['b'])
  })

  it('are for so many clients at a time', () => {
    const events = new Events(() => {})
    const all = Array.from({ length: 33 }, () => connect(events).response)
    expect(all.map(({ status }) => status)).toEqual([...Array(32).fill(200), 503])
    events.close()
  })
})
