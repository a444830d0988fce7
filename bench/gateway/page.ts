/**
 * npm run bench -- page [--json]: what the page of `serve` takes. In Chromium, at 200 answers a second for a minute: the share of a core that its
 * script takes, frames a second, and the processor time of its longest task. In the gateway, at 100 queries a second: p99 and processor time a
 * query with nobody at the page and with 32 pages, which read /events and ask /metrics every two seconds, in a process of their own; both take turns,
 * 24 times for 4 seconds.
 */

import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium } from 'playwright-core'
import { findChromium } from '../../scripts/programs.js'
import { table } from '../../src/cli/table'
import { json as bodyOf, LENET, Served } from '../../test/shared/served-process'
import { median } from '../shared/measure'

const [RATE, MS] = [200, 60_000]
const PAGES = 32
const [RATE_OF_PAIRS, PAIRS, PAIR_MS, SETTLE_MS] = [100, 24, 4000, 700]
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
const bodies = Array.from({ length: 50 }, (_, i) => Buffer.from(bodyOf(i)))

export default async function page(json: boolean): Promise<void> {
  const served = await Served.start([`digits=${LENET}`, '--workers', '2'])
  const [browser, gateway] = [await inChromium(served), await inGateway(served)]
  await served.stop()
  if (json) return console.log(JSON.stringify({ browser, gateway }, null, 2))
  const out = table(['', 'none', `${PAGES} pages`, 'ratio'])
  for (const name of ['p99', 'cpu'] as const) {
    const [none, all] = gateway.map((each) => median(each.map((turn) => turn[name])))
    out.push([name === 'p99' ? 'p99, ms' : 'processor time a query, ms', none.toFixed(2), all.toFixed(2), (all / none).toFixed(3)]) // biome-ignore format: one line
  }
  const { script, frames, longestMs } = browser
  console.log(`script ${script.toFixed(4)} of a core, ${frames.toFixed(1)} frames a second, longest task ${longestMs.toFixed(1)} ms of processor time\n${out}`) // biome-ignore format: one line
}

/** Asks at a rate, until it is stopped. @returns latencies, in milliseconds */
function keepAsking({ port }: Served, rate: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const ms: number[] = []
  const begun = performance.now()
  let asked = 0
  const ask = () => {
    const [body, since] = [bodies[asked++ % bodies.length], performance.now()]
    const options = { port, agent, method: 'POST', path: '/v2/models/digits/infer' }
    const sent = request({ ...options, headers: { 'content-length': body.length } }, (response) => {
      response.resume().on('end', () => ms.push(performance.now() - since))
    })
    sent.on('error', () => {}).end(body)
  }
  const timer = setInterval(() => {
    while (asked < ((performance.now() - begun) / 1000) * rate) ask()
  }, 2)
  return { ms, stop: () => clearInterval(timer) }
}

interface TraceEvent {
  name: string
  pid: number
  tid: number
  tdur?: number
  args: { name?: string }
}

async function inChromium(served: Served) {
  const asking = keepAsking(served, RATE)
  const browser = await chromium.launch({ executablePath: findChromium(), args: FLAGS })
  const page = await browser.newPage()
  // Each frame draws the strip twice.
  await page.addInitScript(`
    globalThis.drawn = 0
    const draw = CanvasRenderingContext2D.prototype.drawImage
    CanvasRenderingContext2D.prototype.drawImage = function (...args) { drawn += 0.5; return draw.apply(this, args) }`)
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] })
  await page.goto(served.url)
  await page.waitForSelector('canvas')
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  const read = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics')
    const of = (name: string) => metrics.find((each) => each.name === name)?.value ?? Number.NaN
    return { script: of('ScriptDuration'), seconds: of('Timestamp'), drawn: Number(await page.evaluate('drawn')) }
  }
  const before = await read()
  await sleep(MS)
  const after = await read()
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] }
  await browser.close()
  asking.stop()
  const isMain = ({ name, args }: TraceEvent) => name === 'thread_name' && args.name === 'CrRendererMain'
  const threads = new Set(traceEvents.filter(isMain).map(({ pid, tid }) => `${pid}/${tid}`))
  const tasks = traceEvents.filter(({ name, pid, tid }) => name.endsWith('RunTask') && threads.has(`${pid}/${tid}`))
  const longestMs = tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0)
  const seconds = after.seconds - before.seconds
  return { script: (after.script - before.script) / seconds, frames: (after.drawn - before.drawn) / seconds, longestMs }
}

/** Pages in a process of their own: in this one their replies would hold up the times that are measured. @returns closes them */
function openPages({ url }: Served): () => void {
  const pages = spawn(process.execPath, ['bench/gateway/open-pages.js', url, String(PAGES)])
  return () => pages.kill()
}

async function inGateway(served: Served) {
  const turns: { p99: number; cpu: number }[][] = [[], []]
  const cpu = async () => (await served.metrics()).get('process_cpu_seconds_total') ?? Number.NaN
  for (let turn = 0; turn < 2 * PAIRS; turn++) {
    const hasPages = turn % 4 === 1 || turn % 4 === 2 // neither is always the first
    const close = hasPages ? openPages(served) : () => {}
    const warming = keepAsking(served, RATE_OF_PAIRS)
    await sleep(SETTLE_MS)
    warming.stop()
    const before = await cpu()
    const { ms, stop } = keepAsking(served, RATE_OF_PAIRS)
    await sleep(PAIR_MS)
    stop()
    const took = (await cpu()) - before
    close()
    const p99 = ms.sort((a, b) => a - b)[Math.floor(0.99 * ms.length)]
    turns[Number(hasPages)].push({ p99, cpu: (took * 1000) / ms.length })
  }
  return turns
}
