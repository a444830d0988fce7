import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPredictor } from 'approxifer'
import { type EndpointChange, httpWorkers, watchDns, watchFile } from 'approxifer/http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { platform } from '../../../src/platform/node'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { watchDns as watchDnsHere, watchFile as watchFileHere } from '../../../src/workers/remote/discovery'
import { DnsServer } from '../../shared/dns-server'
import { NO_SECOND_ADDRESS } from '../../shared/machine-needs'
import { toyModel, toyQueries } from '../../shared/oip-fleet'
import { QuirkServer } from '../../shared/oip-quirks'
import { PATIENCE_MS, until } from '../../shared/waiting'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** What an iterable has told so far, as "add http://..." and so on. */
function following(changes: AsyncIterable<EndpointChange>) {
  const told: string[] = []
  const iterator = changes[Symbol.asyncIterator]()
  closing.push(() => iterator.return?.())
  const follow = async () => {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      told.push(Object.entries(next.value)[0].join(' '))
    }
  }
  void follow()
  return told
}

const told = (list: string[], expected: string[]) => until(() => expect(list).toEqual(expected))

describe('a file of URLs', () => {
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'approxifer-'))
    closing.unshift(() => rmSync(path, { recursive: true }))
    return path
  }
  const watched = (path: string, everyMs = 3_600_000) => {
    const warnings: string[] = []
    return { list: following(watchFile(path, { everyMs, onWarning: (text) => warnings.push(text) })), warnings }
  }

  it('one a line, with remarks, or a JSON array; without slashes at the end', async () => {
    const path = join(folder(), 'workers')
    writeFileSync(path, '# ours\nhttp://a:8000/\n\n  http://b:8000  # the old one\nhttp://a:8000\r\n')
    const { list, warnings } = watched(path)
    await told(list, ['add http://a:8000', 'add http://b:8000'])
    writeFileSync(path, '["http://b:8000", "https://c/models/"]')
    await until(() => expect(list.slice(2)).toEqual(['add https://c/models', 'drain http://a:8000']))
    expect(warnings).toEqual([])
  })

  it('that is emptied drains nobody: a warning says so', async () => {
    const path = join(folder(), 'workers')
    writeFileSync(path, 'http://a:8000\n')
    const { list, warnings } = watched(path)
    await told(list, ['add http://a:8000'])
    writeFileSync(path, '')
    await until(() => expect(warnings).toEqual([expect.stringContaining('it lists no server')]))
    writeFileSync(path, 'http://b:8000\n')
    await told(list, ['add http://a:8000', 'add http://b:8000', 'drain http://a:8000'])
  })

  it('is seen when it is replaced, or a link to it, without waiting for a look', async () => {
    const own = folder()
    const path = join(own, 'workers')
    const put = (name: string, text: string) => writeFileSync(join(own, name), text)
    put('first', 'http://a:1')
    symlinkSync('first', path)
    const { list } = watched(path)
    await told(list, ['add http://a:1'])
    put('second', 'http://b:1')
    symlinkSync('second', join(own, 'link'))
    renameSync(join(own, 'link'), path)
    await told(list, ['add http://a:1', 'add http://b:1', 'drain http://a:1'])
    put('third', 'http://c:1')
    renameSync(join(own, 'third'), path)
    await until(() => expect(list.slice(3)).toEqual(['add http://c:1', 'drain http://b:1']))
  })

  it('that cannot be understood, or is gone, changes nothing but for a warning; and is understood again', async () => {
    const path = join(folder(), 'workers')
    writeFileSync(path, '["http://a:1"]')
    const { list, warnings } = watched(path, 20)
    await told(list, ['add http://a:1'])
    for (const bad of ['["http://a:1", ', '["ftp://a"]', '{"a": 1}', 'not a url', `"${'x'.repeat(2 ** 20)}"`]) {
      const before = warnings.length
      writeFileSync(path, bad)
      await until(() => expect(warnings.length).toBeGreaterThan(before))
    }
    const before = warnings.length
    rmSync(path)
    await until(() => expect(warnings.length).toBeGreaterThan(before))
    expect(warnings.every((text) => /cannot be used: .*; the 1 known workers stay$/.test(text))).toBe(true)
    expect(list).toEqual(['add http://a:1'])
    writeFileSync(path, 'http://b:1')
    await told(list, ['add http://a:1', 'add http://b:1', 'drain http://a:1'])
  })

  it('is looked at every second where others are written in its folder all the time', async () => {
    const clock = new VirtualClock()
    let changed = () => {}
    const looks: number[] = []
    const watch = vi.spyOn(platform, 'watch').mockImplementation((_, told) => {
      changed = told
      return () => {}
    })
    const read = vi.spyOn(platform, 'read').mockImplementation(async () => {
      looks.push(clock.now())
      return new TextEncoder().encode('http://a:1')
    })
    closing.push(() => watch.mockRestore(), () => read.mockRestore()) // biome-ignore format: one line
    const changes = watchFileHere('workers', { everyMs: 3_600_000, clock })
    for (let ms = 20; ms <= 3000; ms += 20) {
      changed()
      await clock.run(ms)
    }
    expect(looks.length).toBeGreaterThanOrEqual(3)
    expect(looks.length).toBeLessThanOrEqual(4)
    await changes[Symbol.asyncIterator]().return?.()
  })

  it('that is not there yet is waited for', async () => {
    const path = join(folder(), 'workers')
    const { list, warnings } = watched(path, 20)
    await until(() => expect(warnings.length).toBe(1))
    writeFileSync(path, 'http://a:1')
    await told(list, ['add http://a:1'])
    expect(warnings.length).toBe(1)
  })
})

describe('a DNS name', () => {
  const dns = async () => {
    const server = await new DnsServer('triton.default.svc').listen()
    closing.unshift(() => server.close())
    return server
  }
  const watched = (server: DnsServer, port = 8000) => {
    const warnings: string[] = []
    const options = { port, everyMs: 20, servers: [server.address], onWarning: (text: string) => warnings.push(text) }
    return { list: following(watchDns('triton.default.svc', options)), warnings }
  }

  it('is looked up again and again: addresses come, and are drained', async () => {
    const server = await dns()
    server.records = ['10.0.0.1', '10.0.0.2']
    const { list } = watched(server)
    await until(() => expect([...list].sort()).toEqual(['add http://10.0.0.1:8000', 'add http://10.0.0.2:8000']))
    server.records = ['10.0.0.2', '10.0.0.3']
    await until(() => expect(list.slice(2)).toEqual(['add http://10.0.0.3:8000', 'drain http://10.0.0.1:8000']))
  })

  it('IPv6 counts only where there is nothing else: it may be the same machine', async () => {
    const server = await dns()
    server.records = ['10.0.0.1', 'fd00::1']
    const { list } = watched(server)
    await told(list, ['add http://10.0.0.1:8000'])
    server.records = ['fd00::1']
    await told(list, ['add http://10.0.0.1:8000', 'add http://[fd00::1]:8000', 'drain http://10.0.0.1:8000'])
  })

  it.each(['fails', 'knows nothing'] as const)('a resolver that %s changes nothing but for a warning', async (mode) => {
    const server = await dns()
    server.records = ['10.0.0.1']
    const { list, warnings } = watched(server)
    await told(list, ['add http://10.0.0.1:8000'])
    server.mode = mode
    await until(() => expect(warnings.length).toBe(1))
    expect(warnings[0]).toMatch(/^the DNS name triton.default.svc cannot be used: .*; the 1 known workers stay$/)
    const queries = server.queries
    await until(() => expect(server.queries).toBeGreaterThan(queries + 3))
    expect([list.length, warnings.length]).toEqual([1, 1]) // the same is told once
    server.mode = 'answers'
    server.records = ['10.0.0.2']
    await until(() => expect(list.slice(1)).toEqual(['add http://10.0.0.2:8000', 'drain http://10.0.0.1:8000']))
  })

  it('in made time: looked up every so often, nothing once nobody listens', async () => {
    const clock = new VirtualClock()
    let looks = 0
    let addresses: string[] = []
    const resolver = async () => {
      looks++
      return addresses
    }
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const changes = watchDnsHere('a', { port: 1, protocol: 'https', everyMs: 5000, resolver, clock, onWarning })
    const iterator = changes[Symbol.asyncIterator]()
    await clock.run(9000)
    expect([looks, warnings]).toEqual([2, ['the DNS name a cannot be used: it has no addresses']])
    addresses = ['10.0.0.1', '10.0.0.1']
    await clock.run(10_000)
    expect(await iterator.next()).toEqual({ done: false, value: { add: 'https://10.0.0.1:1' } })
    const waiting = iterator.next()
    await iterator.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await clock.run(100_000)
    expect([looks, clock.pending]).toEqual([3, 0])
  })

  it.each([
    [{}, /^port: expected an integer from 1 to 65535, got undefined/],
    [{ port: 1, protocol: 'ftp' }, /^protocol: expected 'http' \| 'https', got "ftp"/],
    [{ port: 1, server: [] }, /^server: expected 'servers'/],
    [{ port: 1, servers: '10.0.0.1' }, /^servers: expected an array of addresses/],
    [{ port: 1, everyMs: 0 }, /^everyMs: expected an integer from 1/],
  ])('refuses the options %j', (options, message) => {
    expect(() => watchDns('a', options as { port: number })).toThrow(message)
  })
})

it('where the runtime has neither files nor DNS, a sentence says so', async () => {
  const web: typeof import('../../../src/http') = await import('../../../dist/browser/http.js' as string)
  expect(() => web.watchFile('workers')).toThrow(/^watchFile: files: expected a runtime that has them, such as Node/)
  expect(() => web.watchDns('a', { port: 1 })).toThrow(/^watchDns: DNS look-ups: expected a runtime that has them/)
})

const toy = await toyModel()

describe.skipIf(NO_SECOND_ADDRESS)(`workers by DNS, under load${NO_SECOND_ADDRESS}`, () => {
  it('join and leave as the records change, and no query fails', async () => {
    const hosts = Array.from({ length: 12 }, (_, i) => `127.0.2.${i + 1}`)
    const servers: QuirkServer[] = []
    for (const host of hosts) {
      const server = new QuirkServer('triton', toy)
      await server.listen(host, servers[0]?.port ?? 0)
      closing.push(() => server.kill().catch(() => {}))
      servers.push(server)
    }
    const dns = await new DnsServer('workers').listen()
    closing.push(() => dns.close())
    dns.records = hosts.slice(0, 6)
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const names = watchDns('workers', { port: servers[0].port, everyMs: 25, servers: [dns.address], onWarning })
    const workers = httpWorkers(names, { model: 'toy', outputs: ['y'], onWarning })
    const predictor = await createPredictor({ scheme: { queries: 4, stragglers: 1 }, workers, policy: 'retry', onWarning, deadlineMs: PATIENCE_MS }) // biome-ignore format: one line
    closing.push(() => predictor.close())

    const queries = toyQueries(50)
    const answers = await Promise.all(queries.map((query) => toy.y(query)))
    let asked = 0
    let isOver = false
    const ask = async () => {
      while (!isOver) {
        const i = asked++ % queries.length
        const { output } = await predictor.predict(queries[i])
        for (const [j, value] of output.y.data.entries()) expect(value).toBeCloseTo(answers[i][j], 3)
      }
    }
    const load = Promise.all(Array.from({ length: 12 }, ask))
    const serving = (from: number, to: number) => {
      const names = hosts.slice(from, to).map((host) => `${host}:${servers[0].port}`)
      return until(() => {
        const now = predictor.stats().workers.filter(({ onTime }) => onTime > 0).map(({ worker }) => worker) // biome-ignore format: one line
        expect(now.sort()).toEqual(names.sort())
      })
    }
    try {
      // A window of six that moves on by two, again and again, and the servers that are left are stopped.
      await serving(0, 6)
      for (let from = 2; from <= 6; from += 2) {
        dns.records = hosts.slice(from, from + 6)
        await serving(from, from + 6)
        await servers[from - 2].kill()
        await servers[from - 1].kill()
      }
      dns.mode = 'fails'
      const before = asked
      await until(() => expect(asked).toBeGreaterThan(before + 200))
      dns.mode = 'answers'
      for (let from = 0; from < 6; from++) await servers[from].listen(hosts[from])
      dns.records = hosts
      await serving(0, 12)
    } finally {
      isOver = true
    }
    await load
    expect(asked).toBeGreaterThan(300)
    expect(predictor.stats().failed).toEqual({})
    expect(warnings.filter((text) => !text.startsWith('the DNS name'))).toEqual([])
  })
})
