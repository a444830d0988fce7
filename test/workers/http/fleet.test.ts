import { createPredictor } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { httpWorkers } from '../../../src/workers/http/fleet'
import type { HttpOptions } from '../../../src/workers/http/options'
import type { EndpointChange } from '../../../src/workers/remote/endpoints'
import type { ModelWorker } from '../../../src/workers/worker'
import { PretendServer, silence } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A source of URLs that the test changes. */
class Source implements AsyncIterable<EndpointChange> {
  returned = 0
  #tell: (change: EndpointChange) => void = () => {}
  readonly #waiting: EndpointChange[] = []

  push(...changes: unknown[]): void {
    this.#waiting.push(...(changes as EndpointChange[]))
    this.#tell(undefined as never)
  }

  [Symbol.asyncIterator](): AsyncIterator<EndpointChange> {
    return {
      next: async () => {
        while (!this.#waiting.length) await new Promise<void>((resolve) => (this.#tell = () => resolve()))
        return { done: false, value: this.#waiting.shift() as EndpointChange }
      },
      return: async () => {
        this.returned++
        return { done: true, value: undefined }
      },
    }
  }
}

/** Servers a, b, ... in made time, and what was told of them: "add a:1" and so on. */
function fleet(
  count: number,
  how: Partial<HttpOptions> & { source?: Source; prepare?: (servers: PretendServer[]) => void } = {},
) {
  // biome-ignore format: one line
  const { source, prepare, ...options } = how
  const clock = new VirtualClock()
  const servers = Array.from({ length: count }, () => new PretendServer())
  prepare?.(servers)
  const host = (i: number) => `http://${String.fromCharCode(97 + i)}:1`
  const fetch = ((url: string, init: RequestInit) => servers[new URL(url).hostname.charCodeAt(0) - 97].fetch(url, init)) as typeof globalThis.fetch // biome-ignore format: one line
  const warnings: string[] = []
  const told: string[] = []
  const workers = new Map<string, ModelWorker>()
  let failure: Error | undefined
  const urls = servers.map((_, i) => host(i))
  const onWarning = (text: string) => warnings.push(text)
  const changes = httpWorkers(source ?? urls, { model: 'm', binary: false, fetch, clock, onWarning, ...options })
  const iterator = changes[Symbol.asyncIterator]()
  const follow = async () => {
    try {
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        const change = next.value
        if ('add' in change) workers.set(change.add.name, change.add)
        told.push('add' in change ? `add ${change.add.name}` : Object.entries(change)[0].join(' ').trim())
      }
    } catch (error) {
      failure = error as Error
    }
  }
  void follow()
  closing.push(async () => {
    await iterator.return?.()
    for (const worker of workers.values()) await worker.close()
  })
  return { clock, servers, source, host, warnings, told, workers, iterator, failure: () => failure }
}

const added = (...names: string[]) => names.map((name) => `add ${name}:1`)

it('all that answer alike join, named by host and port; duplicates once', async () => {
  const source = new Source()
  const { clock, told, workers } = fleet(3, { source })
  source.push({ add: 'http://a:1' }, { add: 'http://b:1/' }, { add: 'http://a:1/' }, { add: 'http://c:1' })
  await clock.run(0)
  expect(told.sort()).toEqual(added('a', 'b', 'c'))
  expect([...((await inferRow(workers.get('b:1') as ModelWorker, Float32Array.of(1, 2))) ?? [])]).toEqual([2, 4])
})

it('one that cannot be reached holds up nobody; it is told of once, and joins when it is there', async () => {
  const { clock, servers, told, warnings } = fleet(3, { prepare: ([a]) => (a.isGone = true) })
  await clock.run(60_000)
  expect(told).toEqual(added('b', 'c'))
  expect(warnings).toEqual([expect.stringMatching(/^a:1 cannot be reached: .*ECONNREFUSED: it is tried again/)])
  servers[0].isGone = false
  await clock.run(71_000)
  expect(told).toEqual(added('b', 'c', 'a'))
  expect(warnings.slice(1)).toEqual(['a:1 has joined'])
})

it('one that stalls holds up nobody', async () => {
  const { clock, told, workers } = fleet(3, { prepare: ([a]) => (a.instead = () => silence) })
  await clock.run(0)
  expect(told).toEqual(added('b', 'c'))
  expect([...((await inferRow(workers.get('c:1') as ModelWorker, Float32Array.of(1, 2))) ?? [])]).toEqual([2, 4])
})

it('a model is what most have: the first with another gets no rows until it has the same', async () => {
  const { clock, servers, told, warnings } = fleet(3, { prepare: ([a]) => (a.factor = 3) })
  await clock.run(0)
  expect(told.sort()).toEqual(added('b', 'c'))
  expect(warnings).toEqual([expect.stringMatching(/^a:1 has another model/)])
  servers[0].factor = 2
  await clock.run(11_000)
  expect(told).toEqual(added('b', 'c', 'a'))
})

it('of two halves that differ the first counts, once all were heard', async () => {
  const { clock, told } = fleet(4, { prepare: ([, , c, d]) => (c.factor = d.factor = 3) })
  await clock.run(0)
  expect(told).toEqual(added('a', 'b'))
})

it('with another signature, or by a wrong URL in the source, changes nothing but for a warning', async () => {
  const source = new Source()
  const { clock, told, warnings } = fleet(4, {
    source,
    prepare: ([, , , d]) => {
      d.metadata = { ...d.metadata, outputs: [{ name: 'z', datatype: 'FP32', shape: [-1, 2] }] }
      d.instead = ({ json }) => (json ? d.answer(json.inputs[0].data, json.id, { name: 'z' }) : undefined)
    },
  })
  for (const name of ['a', 'b', 'c', 'd']) source.push({ add: `http://${name}:1` })
  source.push({ add: 'gopher://a' }, { ad: 'http://a:1' }, { add: 'http://a:1', drain: 'http://a:1' }, {}, 5, null)
  await clock.run(0)
  expect(told.sort()).toEqual(added('a', 'b', 'c'))
  expect(warnings.filter((text) => text.startsWith('the list of workers: ')).length).toBe(6)
  expect(warnings.filter((text) => text.startsWith('d:1 has another model (its metadata differ)')).length).toBe(1)
})

it('none at all: after timeoutMs, with the reason', async () => {
  const { clock, told, failure, servers } = fleet(3, { timeoutMs: 30_000, prepare: (all) => all.map((each) => (each.isGone = true)) }) // biome-ignore format: one line
  await clock.run(29_999)
  expect(failure()).toBeUndefined()
  await clock.run(30_000)
  const message = 'none of 3 servers can be used after 30000 ms: a:1 cannot be reached: connect ECONNREFUSED'
  expect(failure()).toMatchObject({ code: 'WORKER', message })
  const asked = servers[0].asked.length
  await clock.run(1e6)
  expect([told, servers[0].asked.length, clock.pending]).toEqual([[], asked, 0])
})

it('no servers known at all: after timeoutMs', async () => {
  const { clock, failure } = fleet(0, { source: new Source(), timeoutMs: 1000 })
  await clock.run(1000)
  expect(failure()).toMatchObject({ code: 'WORKER', message: 'no servers are known after 1000 ms' })
})

it('all with a model that cannot be used: at once', async () => {
  const prepare = (all: PretendServer[]) =>
    all.forEach((each) => {
      each.metadata = { ...each.metadata, inputs: [{ name: 'x', datatype: 'BF16', shape: [-1, 2] }] }
    })
  const { clock, failure } = fleet(3, { prepare })
  await clock.run(0)
  expect(failure()).toMatchObject({ code: 'MODEL' })
})

it('what the source drains and removes is told on; what has not joined just goes', async () => {
  const source = new Source()
  const { clock, told, servers } = fleet(4, { source, prepare: ([, , , d]) => (d.isGone = true) })
  for (const name of ['a', 'b', 'c', 'd']) source.push({ add: `http://${name}:1` })
  await clock.run(1000)
  source.push({ drain: 'http://a:1' }, { remove: 'http://b:1' }, { drain: 'http://d:1' }, { remove: 'http://nobody:1' })
  await clock.run(1000)
  expect(told.slice(3)).toEqual(['drain a:1', 'remove b:1'])
  const asked = servers[3].asked.length
  servers[3].isGone = false
  await clock.run(1e5)
  expect([told.length, servers[3].asked.length]).toEqual([5, asked])
})

it('one that comes back while it is drained joins once its old worker is closed', async () => {
  const source = new Source()
  const { clock, told, workers } = fleet(2, { source })
  source.push({ add: 'http://a:1' }, { add: 'http://b:1' })
  await clock.run(0)
  const old = workers.get('a:1') as ModelWorker
  source.push({ drain: 'http://a:1' }, { add: 'http://a:1' })
  await clock.run(60_000)
  expect(told.slice(2)).toEqual(['drain a:1'])
  await old.close()
  await clock.run(60_001)
  expect(told.slice(2)).toEqual(['drain a:1', 'add a:1'])
  expect(workers.get('a:1')).not.toBe(old)
})

it('once nobody listens the source is told, and nothing goes on but the workers that were taken', async () => {
  const source = new Source()
  const { clock, iterator, workers, servers } = fleet(3, { source, prepare: ([, , c]) => (c.isGone = true) })
  for (const name of ['a', 'b', 'c']) source.push({ add: `http://${name}:1` })
  await clock.run(1000)
  await iterator.return?.()
  const asked = servers[2].asked.length
  await clock.run(1e5)
  expect([source.returned, servers[2].asked.length]).toEqual([1, asked])
  for (const worker of workers.values()) {
    expect(worker.free).toBe(true)
    await worker.close()
  }
  await clock.run(2e5)
  expect(clock.pending).toBe(0)
})

it('workers that nobody has taken are closed with it', async () => {
  const server = new PretendServer()
  const clock = new VirtualClock()
  const { fetch } = server
  const changes = httpWorkers(['http://a:1', 'http://b:1'], { model: 'm', binary: false, fetch, clock })
  await clock.run(10_000)
  await changes[Symbol.asyncIterator]().return?.()
  await clock.run(1e5)
  expect(clock.pending).toBe(0)
})

describe('a model that is replaced', () => {
  const replaced = (warnings: string[]) => warnings.filter((text) => text.startsWith("more servers have another model than have the fleet's")) // biome-ignore format: one line
  const others = (servers: PretendServer[]) => {
    for (const server of servers) server.factor = 3
  }

  it('on one server after the other: each is refused until they are more, then theirs is the model', async () => {
    const { clock, servers, told, warnings, workers } = fleet(3)
    await clock.run(0)
    for (const [at, server] of servers.entries()) {
      server.factor = 3
      await clock.run(clock.now() + 40_000) // it is examined
      expect(replaced(warnings).length).toBe(at ? 1 : 0)
      expect(Array.from(workers.values(), ({ gone }) => gone)).toEqual([[true, false, false], [false, false, true], [false, false, false]][at]) // biome-ignore format: one line
    }
    expect(told).toEqual([...added('a', 'b', 'c'), 'model'])
    expect(replaced(warnings)).toEqual([expect.stringContaining('begins 1.881, 0.008207 instead of 1.254, 0.005471')])
    for (const worker of workers.values()) expect([...(await inferRow(worker, Float32Array.of(1, 2)))]).toEqual([3, 6])
    servers[0].factor = 2
    await clock.run(clock.now() + 40_000)
    expect([workers.get('a:1')?.gone, replaced(warnings).length, told.length]).toEqual([true, 1, 4])
  })

  it('on one machine with many paths: that is no more than one, and the two others keep theirs', async () => {
    const paths = Array.from({ length: 6 }, (_, i) => `http://c:1/${i}`)
    const source = new Source()
    const { clock, told, warnings } = fleet(3, { source, prepare: ([, , c]) => others([c]) })
    for (const add of ['http://a:1', 'http://b:1']) source.push({ add })
    await clock.run(1000)
    for (const add of paths) source.push({ add })
    await clock.run(100_000)
    expect([told, replaced(warnings)]).toEqual([added('a', 'b'), []])
  })

  it('on all of a new list: those of the old one drain, and the new ones join', async () => {
    const source = new Source()
    const { clock, told, workers } = fleet(4, { source, prepare: ([, , c, d]) => others([c, d]) })
    for (const name of ['a', 'b']) source.push({ add: `http://${name}:1` })
    await clock.run(1000)
    for (const name of ['c', 'd']) source.push({ add: `http://${name}:1` })
    await clock.run(2000)
    expect(told).toEqual(added('a', 'b'))
    source.push({ drain: 'http://a:1' }, { drain: 'http://b:1' })
    await clock.run(2001)
    expect(told.slice(2)).toEqual(['drain a:1', 'model', 'drain b:1', ...added('c', 'd')])
    await clock.run(2100)
    expect([...((await inferRow(workers.get('d:1') as ModelWorker, Float32Array.of(1, 2))) ?? [])]).toEqual([3, 6])
  })

  it('is not that of one wrong server while the others are cut off; it is when they are given up', async () => {
    const { clock, servers, told, warnings } = fleet(3, { timeoutMs: 100_000, prepare: ([a]) => others([a]) })
    await clock.run(0)
    const [, ...cut] = servers
    for (const times of [1, 2]) {
      for (const server of cut) server.isGone = true
      await clock.run(clock.now() + 90_000)
      expect([told, times]).toEqual([added('b', 'c'), times])
      for (const server of cut) server.isGone = false
      await clock.run(clock.now() + 20_000)
    }
    for (const server of cut) server.isGone = true
    await clock.run(clock.now() + 120_000)
    expect(told.slice(2)).toEqual(['model', ...added('a')])
    expect(replaced(warnings).length).toBe(1)
  })

  it('by one with other outputs is refused for good, and a warning says why', async () => {
    const { clock, servers, told, warnings } = fleet(2)
    await clock.run(0)
    for (const server of servers) {
      server.metadata = { ...server.metadata, outputs: [{ name: 'z', datatype: 'FP32', shape: [-1, 2] }] }
      server.instead = ({ json }) => (json ? server.answer(json.inputs[0].data, json.id, { name: 'z' }) : undefined)
    }
    await clock.run(200_000)
    expect(told).toEqual(added('a', 'b'))
    expect(warnings.filter((text) => text.startsWith('no server'))).toEqual([
      expect.stringMatching(/"z".*they are refused, since a predictor's are fixed/),
    ])
  })

  it('by one that cannot be used is no reason to wait for its server', async () => {
    const { clock, servers, told } = fleet(2, { prepare: ([a]) => others([a]) })
    await clock.run(6000) // of two that differ the first counts
    expect(told).toEqual(added('a'))
    servers[0].metadata = { ...servers[0].metadata, inputs: [{ name: 'x', datatype: 'BF16', shape: [-1, 2] }] }
    await clock.run(60_000)
    expect(told.slice(1)).toEqual(['model', ...added('b')])
  })
})

describe('a list that cannot grow', () => {
  const made = (servers: string[]) => {
    const clock = new VirtualClock()
    const options = { model: 'm', binary: false, fetch: new PretendServer().fetch, clock, onWarning: () => {} }
    const workers = httpWorkers(servers, options)
    return { clock, start: createPredictor({ workers, testing: { clock }, scheme: { queries: 4, stragglers: 1 } }) }
  }
  const urls = (...names: string[]) => names.map((name) => `http://${name}:1`)

  it('of four addresses for a scheme of five is refused at once, with both numbers', async () => {
    const { clock, start } = made(urls('a', 'b', 'c', 'd'))
    const refused = start.catch((error) => error)
    await clock.run(10_000)
    expect(await refused).toBeInstanceOf(RangeError)
    expect((await refused).message).toBe('workers: expected >= 5 workers, got 4, and no others can join')
    await clock.run(100_000)
    expect(clock.pending).toBe(0) // nobody is asked any more
  })

  it('counts one that stands there twice once', async () => {
    const { clock, start } = made(urls('a', 'b', 'c', 'd', 'a'))
    const refused = start.catch((error) => error)
    await clock.run(10_000)
    expect((await refused).message).toContain('got 4, and no others can join')
  })

  it('of five is waited for, as long as the fifth cannot be reached', async () => {
    const clock = new VirtualClock()
    const [gone, there] = [new PretendServer(), new PretendServer()]
    gone.isGone = true
    const fetch = ((url: string, init: RequestInit) => (url.startsWith('http://e') ? gone : there).fetch(url, init)) as typeof globalThis.fetch // biome-ignore format: one line
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const options = { model: 'm', binary: false, fetch, clock, onWarning }
    const workers = httpWorkers(urls('a', 'b', 'c', 'd', 'e'), options)
    const start = createPredictor({ workers, testing: { clock }, onWarning, scheme: { queries: 4, stragglers: 1 } })
    await until(() => clock.run(clock.now() + 1000).then(() => warnings.length > 1))
    expect(warnings).toContain('waits for workers: 4 of the 5 workers that the scheme needs have joined')
    gone.isGone = false
    await clock.run(20_000)
    await (await start).close()
  })
})

it('a server too many is told of', () => {
  const warnings: string[] = []
  const onWarning = (text: string) => warnings.push(text)
  const urls = Array.from({ length: 10_001 }, (_, i) => `http://w${i}:1`)
  const clock = new VirtualClock()
  httpWorkers(urls, { model: 'm', fetch: new PretendServer().fetch, clock, onWarning })
  expect(warnings).toEqual(['w10000:1 is one server too many: 10000 are known'])
})

it('1,000 servers join', async () => {
  const server = new PretendServer()
  const clock = new VirtualClock()
  const names = (count: number) => Array.from({ length: count }, (_, i) => `http://w${i}:1`)
  const { fetch } = server
  const changes = httpWorkers(names(1000), { model: 'm', binary: false, fetch, clock })
  const iterator = changes[Symbol.asyncIterator]()
  await clock.run(0)
  const workers: ModelWorker[] = []
  for (let i = 0; i < 1000; i++) {
    const { value } = await iterator.next()
    if ('add' in value) workers.push(value.add)
  }
  expect(new Set(workers.map(({ name }) => name)).size).toBe(1000)
  await iterator.return?.()
  await Promise.all(workers.map((worker) => worker.close()))
  await clock.run(1e5)
  expect(clock.pending).toBe(0)
})

it.each([
  [[], /^servers: expected at least one/],
  [['a:1'], /^servers\[0\]: expected an http or https URL/],
  ['http://a:1', /^servers: expected an array of URLs/],
  [undefined, /^servers: expected an array of URLs/],
])('refuses the servers %j', (servers, message) => {
  expect(() => httpWorkers(servers as string[], { model: 'm' })).toThrow(message)
})
