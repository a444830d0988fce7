/** What becomes of a page's queries while it is frozen, in the back/forward cache, or hidden; and of those of a service worker. */

import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from '@nats-io/transport-node'
import { serveNats } from 'approxifer/nats'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../../scripts/programs.js'
import { HandWorker } from '../shared/hand-predictor'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { typeOf } from '../shared/served-folder'
import { LENET, Served } from '../shared/served-process'
import { doubling } from '../shared/vectors'
import { PATIENCE_MS } from '../shared/waiting'
import { Chromium, type LivePage } from './chromium'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** A query ends this much after its deadline at most, on a busy machine. */
const OVER_MS = 500

interface Ended {
  kind: string
  at: number
  dueMs: number
  tookMs: number
  code: string
}

interface Report {
  ended: Ended[]
  open: Ended[]
  warnings: string[]
  states: string[]
}

const ends: (() => unknown)[] = []
let [site, chromium, gateways, nats]: [string, Chromium, Served[], NatsServer | undefined] = [] as never

/** The sources, and beside them the page, its script, and two other pages. */
async function serveSite(): Promise<Server> {
  const built = await build({
    ...{ entryPoints: ['test/fixtures/life-page.js'], absWorkingDir: root, conditions: ['browser'] },
    ...({ bundle: true, format: 'esm', write: false, logLevel: 'error' } as const),
  })
  const own: Record<string, string> = {
    '/': '<!doctype html><title>life</title><link rel="icon" href="data:,"><script type="module" src="/life.js"></script>',
    '/elsewhere': '<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">',
    '/empty': '<!doctype html><title>empty</title><link rel="icon" href="data:,">',
    '/life.js': built.outputFiles?.[0].text as string,
  }
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url as string, 'http://localhost')
    try {
      const body = own[pathname] ?? (await readFile(join(root, pathname)))
      response.setHeader('content-type', pathname.includes('.') ? typeOf(pathname) : 'text/html').end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

beforeAll(async () => {
  const server = await serveSite()
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  ends.push(() => server.close(), () => server.closeAllConnections()) // biome-ignore format: one line
  gateways = await Promise.all([0, 1].map(() => Served.start([`digits=${LENET}`, '--workers', '1', '--cors', '*'])))
  for (const gateway of gateways) ends.push(() => gateway.stop())
  nats = natsInstalled ? await NatsServer.start() : undefined
  if (nats) {
    const { url } = nats
    const worker = Object.assign(new HandWorker('double'), { infer: doubling })
    const service = await serveNats(await connect({ servers: url }), { fleet: 'life', workers: [worker] })
    ends.push(() => nats?.stop(), () => service.close()) // biome-ignore format: one line
  }
  chromium = new Chromium()
  ends.push(() => chromium.close())
})
afterAll(async () => {
  for (const end of ends.reverse()) await end()
})

function address(kinds: readonly string[], path = '/'): string {
  const own = new URLSearchParams(kinds.map((kind) => ['kind', kind]))
  for (const { url } of gateways) own.append('server', url)
  if (nats) own.append('nats', nats.wsUrl)
  return `${site}${path}?${own}`
}

/** A page that asks predictors of these kinds, a second after it has begun. */
async function asking(...kinds: string[]): Promise<LivePage> {
  const page = await chromium.open(address(kinds))
  await page.until('globalThis.life && (life.isReady || life.failed)')
  expect(await page.evaluate('life.failed')).toBe(undefined)
  await page.evaluate('void (life.isAsking = true)')
  await delay(1000)
  return page
}

/** A page that asks, has been left for so long, and has come back from the back/forward cache. Where memory is short the browser forgets a page that was left, and loads it anew: then another. */
async function restored(awayMs: number, ...kinds: string[]): Promise<{ page: LivePage; wokeAt: number }> {
  for (let left = 3; ; left--) {
    const page = await asking(...kinds)
    const back = await page.leave(`${site}/elsewhere`)
    await delay(awayMs)
    await back()
    const wokeAt = await page.evaluate<number | undefined>('globalThis.life?.restoredAt')
    if (wokeAt !== undefined) return { page, wokeAt }
    if (!left) throw new Error('expected a page from the back/forward cache, got one that is loaded anew')
  }
}

const now = (page: LivePage) => page.evaluate<number>('performance.now()')

/** Lets it ask for another second, and all queries end. */
async function reportOf(page: LivePage): Promise<Report> {
  await delay(1000)
  await page.evaluate('void (life.isAsking = false)')
  await page.until('!life.open.size')
  return page.evaluate('life.report()')
}

const codes = (queries: readonly Ended[]) => [...new Set(queries.map(({ code }) => code))]
const others = (queries: readonly Ended[]) => queries.filter(({ kind }) => kind !== 'stuck')

/** Each has ended by its deadline, or at once after the page ran again. */
function expectInTime(queries: readonly Ended[], wokeAt = 0): void {
  const late = queries.filter(({ at, dueMs, tookMs }) => at + tookMs > Math.max(at + dueMs, wokeAt) + OVER_MS)
  expect(late).toEqual([])
}

const remote = ['http', ...(natsInstalled ? ['nats'] : [])]

describe.skipIf(!findChromium())('a page', () => {
  it.concurrent('frozen for 15 s: each query ends in time, and those after it are answered', async () => {
    const page = await asking('local', 'stuck', ...remote)
    await page.show(false)
    await page.freeze(true)
    await delay(15_000)
    const wokeAt = await now(page)
    await page.freeze(false)
    await page.show(true)
    const { ended, states } = await reportOf(page)
    expect(states).toEqual(['freeze', 'resume'])
    expectInTime(ended, wokeAt)
    expect(codes(others(ended).filter(({ at }) => at > wokeAt))).toEqual(['answered'])
    expect(new Set(ended.filter(({ at }) => at > wokeAt).map(({ kind }) => kind)).size).toBe(2 + remote.length)
  })

  it.concurrent('restored from the back/forward cache goes on, with its workers and their model', async () => {
    const { page, wokeAt } = await restored(5000, 'local', 'stuck', 'http')
    const { ended, states } = await reportOf(page)
    expect(states).toEqual(['freeze', 'resume', 'restored'])
    expectInTime(ended, wokeAt)
    expect(codes(others(ended).filter(({ at }) => at > wokeAt))).toEqual(['answered'])
  })

  it.concurrent('comes back with a fleet whose WebSocket the browser has closed meanwhile', async ({ expect }) => {
    if (!nats) return
    const { page, wokeAt } = await restored(3000, 'nats')
    // On a busy machine the first ones may be refused (OVERLOADED): the connection is not back yet, or others were slow before.
    const latest = async () =>
      codes((await page.evaluate<Report>('life.report()')).ended.filter(({ at }) => at > wokeAt).slice(-10))
    await expect.poll(latest, { timeout: PATIENCE_MS }).toEqual(['answered'])
    const { ended, warnings } = await reportOf(page)
    expectInTime(ended, wokeAt)
    expect(warnings.map((text) => /connection (was lost|is back)/.exec(text)?.[1])).toEqual(['was lost', 'is back'])
  })

  it.concurrent('hidden ends queries at their deadlines, not a second later', async () => {
    const page = await asking('local', 'stuck', ...remote)
    await page.show(false)
    await delay(1000)
    const hiddenAt = await now(page)
    await delay(6000)
    const { ended } = await reportOf(page)
    expectInTime(ended)
    const hidden = ended.filter(({ at }) => at > hiddenAt)
    expect(codes(others(hidden))).toEqual(['answered'])
    const times = hidden.filter(({ kind }) => kind === 'stuck').map(({ tookMs }) => tookMs).sort((a, b) => a - b) // biome-ignore format: one line
    expect(times.length).toBeGreaterThan(3)
    expect(times[times.length >> 1]).toBeLessThan(600)
  })

  it.concurrent('has a service worker that asks servers, is ended by the browser, and starts again', async () => {
    const page = await chromium.open(`${site}/empty`)
    await page.until("document.title === 'empty'")
    const script = address(['http', 'stuck'], '/life.js')
    const answers = () =>
      page.evaluate<Ended[]>(
        "Promise.all(['http', 'stuck'].map(async (kind) => (await fetch('/ask?kind=' + kind)).json()))",
      )
    await page.evaluate(
      `navigator.serviceWorker.register('${script}', { type: 'module' }).then(() => navigator.serviceWorker.ready).then(() => {})`,
    )
    await page.until('navigator.serviceWorker.controller')
    expect((await answers()).map(({ code }) => code)).toEqual(['answered', 'DEADLINE'])
    await page.send('ServiceWorker.enable')
    await page.send('ServiceWorker.stopAllWorkers')
    expect((await answers()).map(({ code }) => code)).toEqual(['answered', 'DEADLINE'])
  })
})
