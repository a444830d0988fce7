import { describe, expect, it } from 'vitest'
import { EventFeed } from '../../src/cli/serve/events'
import { type Log, tellRecall } from '../../src/cli/serve/observe'
import type { PredictorEvent } from '../../src/events'

const joined = (worker = 'a', at = performance.now()): PredictorEvent => ({
  ...{ event: 'joined', worker, identity: worker, at },
})

function connect(events: EventFeed, query = '') {
  const client = { destroyed: 0, destroy: () => client.destroyed++ }
  const response = events.response(new Request(`http://localhost/events${query}`), client)
  return { client, response }
}

interface Told {
  model: string
  events: (PredictorEvent & Record<string, unknown>)[]
}

/** What was told until the end of the stream. */
async function told(response: Response): Promise<Told[]> {
  return [...(await response.text()).matchAll(/^event: batch\ndata: (.*)$/gm)].map(([, json]) => JSON.parse(json))
}

describe('events', () => {
  it('drop a client that does not read, and nobody else', async () => {
    let dropped = 0
    const events = new EventFeed(() => dropped++)
    const [slow, quick] = [connect(events), connect(events)]
    const reader = (quick.response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read() // the greeting
    for (let batch = 0; batch < 10; batch++) {
      for (let i = 0; i < 4000; i++) events.tell('m', joined('x'.repeat(200))) // these are told at once
      await reader.read()
    }
    expect([slow.client.destroyed, quick.client.destroyed, dropped, events.clients]).toEqual([1, 0, 1, 1])
    events.close()
  })

  it('are told together, in order, with their time since 1970', async () => {
    const events = new EventFeed(() => {})
    const { response } = connect(events)
    events.tell('m', joined('a', 5))
    events.tell('m', joined('b', 6))
    events.close()
    const [{ model, events: all }, ...others] = await told(response)
    expect([model, all.map(({ worker }) => worker), others]).toEqual(['m', ['a', 'b'], []])
    expect(all[0].at).toBe(Math.round(performance.timeOrigin + 5))
  })

  it('are of one model, if that is asked for', async () => {
    const events = new EventFeed(() => {})
    const { response } = connect(events, '?model=b')
    events.tell('a', joined())
    events.tell('b', joined())
    events.close()
    expect((await told(response)).map(({ model }) => model)).toEqual(['b'])
  })

  it('of the last ten seconds are kept for who comes later and says since when, and for nobody else', async () => {
    const events = new EventFeed(() => {})
    const now = performance.now()
    for (const ago of [30_000, 8000, 4000, 1]) {
      events.tell('m', joined(`${ago}`, now - ago))
      connect(events, '?model=none') // what waits is told before
    }
    const since = performance.timeOrigin + now - 5000
    const clients = [`?since=${since}`, `?since=${new Date(since).toISOString()}`, '', '?since=0'].map((query) => connect(events, query)) // biome-ignore format: one line
    events.tell('m', joined('new'))
    events.close()
    const workers = await Promise.all(
      clients.map(async ({ response }) =>
        (await told(response)).flatMap((each) => each.events).map((each) => each.worker),
      ),
    )
    expect(workers.slice(0, 3)).toEqual([['4000', '1', 'new'], ['4000', '1', 'new'], ['new']])
    expect(workers[3].slice(-4)).toEqual(['8000', '4000', '1', 'new'])
  })

  it('are kept up to a number, however many there are in ten seconds', async () => {
    const events = new EventFeed(() => {})
    for (let i = 0; i < 60_000; i++) events.tell('m', joined(`${i}`))
    const { response } = connect(events, '?since=0')
    events.close()
    const kept = (await told(response)).flatMap((each) => each.events)
    expect([kept.length, kept[0].worker, kept.at(-1)?.worker]).toEqual([48_000, '12000', '59999'])
  })

  it('since no time at all are refused, with what was meant', async () => {
    const events = new EventFeed(() => {})
    const { response } = connect(events, '?since=yesterday')
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('got \\"yesterday\\"')])
    events.close()
  })

  it('tell what requests came to, without what was sent', async () => {
    const events = new EventFeed(() => {})
    const { response } = connect(events)
    const statuses = { exact: 1, checked: 0, recovered: 0, remembered: 0, unverified: 0, audited: 0 }
    const request = new Request('http://localhost/v2/models/m/infer')
    const event = { request, route: 'infer' as const, status: 200, ms: 2, queries: 1, statuses, id: 'one' }
    events.request('m', { ...event, error: 'your input was 42' }, [{ query: 7, attempts: [] }])
    events.request('m', { ...event, route: 'health' }, [])
    events.close()
    const text = await response.clone().text()
    expect((await told(response)).flatMap((each) => each.events)).toMatchObject([
      { event: 'request', id: 'one', status: 200, ms: 2, rows: 1, queries: [7] },
    ])
    expect(text).not.toContain('was 42')
  })

  it('tell of many answers that are recalled in pieces, as the log does', async () => {
    const events = new EventFeed(() => {})
    const { response } = connect(events)
    const lines: { ids: number[] }[] = []
    const log = { warn: (line: { ids: number[] }) => void lines.push(line) } as unknown as Log
    const ids = Array.from({ length: 2500 }, (_, i) => i)
    const who = { worker: 'a', identity: 'key', tenant: 't' }
    await tellRecall(log, events, 'm', { event: 'recalled', at: 5, ...who, ids, times: ids.map((id) => id + 0.5) })
    events.close()
    const all = (await told(response)).flatMap((each) => each.events as unknown as { ids: number[]; times: number[] }[])
    expect(all).toMatchObject([{}, {}, {}].map(() => ({ event: 'recalled', ...who, of: 2500 })))
    expect(all.map((each) => each.ids.length)).toEqual([1000, 1000, 500])
    expect([all.flatMap((each) => each.ids), all[2].times.at(-1)]).toEqual([ids, 2499.5])
    expect(lines).toMatchObject(all.map((each) => ({ model: 'm', ...who, ids: each.ids, times: each.times, of: 2500 })))
  })

  it('are for so many clients at a time', () => {
    const events = new EventFeed(() => {})
    const all = Array.from({ length: 33 }, () => connect(events).response)
    expect(all.map(({ status }) => status)).toEqual([...Array(32).fill(200), 503])
    events.close()
  })
})
