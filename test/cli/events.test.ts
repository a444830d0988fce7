import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import type { GroupReport } from '../../src/base/prediction'
import { Events } from '../../src/cli/serve/events'

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
      events.send('m', report('x'.repeat(20_000)), i)
      await reader.read()
    }
    expect([slow.client.destroyed, quick.client.destroyed, dropped, events.clients]).toEqual([1, 0, 1, 1])
    events.close()
  })

  it('tell a worker’s error by its code alone', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 }) // in the time of a report may be any number
    const events = new Events(() => {})
    const { response } = connect(events)
    events.send('m', report(), 1)
    events.close()
    const told = await response.text()
    expect(told).toContain('"error":"WORKER"')
    expect(told).not.toContain('was 42')
  })

  it('are of one model, if that is asked for', async () => {
    const events = new Events(() => {})
    const { response } = connect(events, '?model=b')
    events.send('a', report(), 1)
    events.send('b', report(), 2)
    events.close()
    expect([...(await response.text()).matchAll(/"model":"(.)"/g)].map(([, name]) => name)).toEqual(['b'])
  })

  it('tell what requests came to, and which groups they were in, to who asks for it, and nobody else', async () => {
    const events = new Events(() => {})
    const [all, groups] = [connect(events, '?requests&model=m'), connect(events)]
    const statuses = { exact: 1, checked: 0, recovered: 0, remembered: 0, unverified: 0, audited: 0 }
    const request = new Request('http://localhost/v2/models/m/infer')
    const event = { request, route: 'infer' as const, status: 200, ms: 2, queries: 1, statuses, groups: [], id: 'one' }
    events.request('m', { ...event, error: 'your input was 42' }, [1])
    events.request('other', event, [2])
    events.request('m', { ...event, route: 'health' }, [])
    events.send('m', report(), 1)
    events.close()
    const told = (text: string) => [...text.matchAll(/event: (\w+)/g)].map(([, kind]) => kind)
    const text = await all.response.text()
    expect(told(text)).toEqual(['request', 'group'])
    expect(text).toMatch(/"id":"one","status":200,"ms":2,"queries":1,"statuses":{"exact":1,.*"groups":\[1\]}/)
    expect(text).not.toContain('was 42')
    expect(told(await groups.response.text())).toEqual(['group'])
  })

  it('are for so many clients at a time', () => {
    const events = new Events(() => {})
    const all = Array.from({ length: 33 }, () => connect(events).response)
    expect(all.map(({ status }) => status)).toEqual([...Array(32).fill(200), 503])
    events.close()
  })
})
