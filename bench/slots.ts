/**
 * npm run bench -- slots [--json]: 12 and 64 callers, each of which asks again when it has its answer, and 4 servers that take 100 ms and
 * answer 16 at once, or one at a time. Queries a second and p99 through the predictor, and of calls to whichever server has the
 * fewest open, in turns; medians of the rounds. Over HTTP, and over NATS where a nats-server is installed.
 */

import { spawn } from 'node:child_process'
import { connect } from '@nats-io/transport-node'
import { createPredictor, type PredictorOptions } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { natsWorkers } from 'approxifer/nats'
import { Pool } from 'undici'
import { table } from '../src/cli/table'
import { NatsServer, natsInstalled } from '../test/shared/nats-server'
import { median } from './measure'

const SERVERS = 4
const MS = 100
const WIDTH = 16
const CALLERS = [12, 64]
const SLOTS = [16, 1]
const ROUNDS = 3
const ROUND_MS = 6000
const FLEET = 'slots'

type Transport = 'HTTP' | 'NATS'
interface System {
  ask(x: Float32Array): Promise<unknown>
  close(): Promise<unknown>
}
interface Figures {
  perSecond: number
  p99: number
}
interface Row {
  transport: Transport
  slots: number
  callers: number
  direct: Figures
  predictor: Figures
}

/** Servers in a process of their own. */
async function serve(slots: number, nats?: string): Promise<{ urls: string[]; kill(): void }> {
  const args = ['--import', 'tsx', '--conditions', 'node', 'bench/slow-servers.ts', `${SERVERS}`, `${slots}`, `${MS}`]
  const child = spawn(process.execPath, [...args, ...(nats ? [nats, FLEET] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const urls = await new Promise<string[]>((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(JSON.parse(String(line)).urls))
    child.once('exit', (code) => reject(new Error(`the servers' process ended with ${code}`)))
  })
  return { urls, kill: () => child.removeAllListeners('exit').kill('SIGKILL') }
}

/** Each call goes to whichever server has the fewest open. */
function leastOutstanding(calls: readonly ((x: Float32Array) => Promise<unknown>)[], close: System['close']): System {
  const open = calls.map(() => 0)
  const ask = async (x: Float32Array) => {
    const at = open.indexOf(Math.min(...open))
    open[at]++
    try {
      return await calls[at](x)
    } finally {
      open[at]--
    }
  }
  return { ask, close }
}

function directHttp(urls: readonly string[], slots: number): System {
  const pools = urls.map((url) => new Pool(url, { connections: Math.max(slots, ...CALLERS) }))
  const calls = pools.map((pool) => async (x: Float32Array) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, WIDTH], data: [...x] }]
    const headers = { 'content-type': 'application/json' }
    const request = { path: '/v2/models/m/infer', method: 'POST', headers, body: JSON.stringify({ inputs }) } as const
    const { body } = await pool.request(request)
    return Float32Array.from(((await body.json()) as { outputs: [{ data: number[] }] }).outputs[0].data)
  })
  return leastOutstanding(calls, () => Promise.all(pools.map((pool) => pool.close())))
}

async function directNats(url: string): Promise<System> {
  const connection = await connect({ servers: url })
  const calls = Array.from({ length: SERVERS }, (_, at) => async (x: Float32Array) => {
    const answer = await connection.request(`direct.${at}`, JSON.stringify([...x]), { timeout: 60_000 })
    return Float32Array.from(answer.json<number[]>())
  })
  return leastOutstanding(calls, () => connection.close())
}

async function served(workers: PredictorOptions['workers']): Promise<System> {
  const predictor = await createPredictor({ workers, deadlineMs: 60_000, onWarning: () => {} })
  while (predictor.stats().workers.length < SERVERS) await new Promise((resolve) => setTimeout(resolve, 100))
  return { ask: (x) => predictor.predict(x), close: () => predictor.close() }
}

async function load({ ask }: System, callers: number): Promise<Figures> {
  const times: number[] = []
  const start = performance.now()
  const end = start + ROUND_MS
  const call = async () => {
    while (performance.now() < end) {
      const since = performance.now()
      await ask(Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(since + i)))
      times.push(performance.now() - since)
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  const sorted = times.sort((a, b) => a - b)
  const perSecond = (1000 * times.length) / (performance.now() - start)
  return { perSecond, p99: sorted[Math.floor(0.99 * sorted.length)] }
}

async function compare(transport: Transport, slots: number, rows: Row[]): Promise<void> {
  const nats = transport === 'NATS' ? await NatsServer.start() : undefined
  const { urls, kill } = await serve(slots, nats?.url)
  const direct = nats ? await directNats(nats.url) : directHttp(urls, slots)
  const workers = nats
    ? natsWorkers(nats.url, { fleet: FLEET })
    : httpWorkers(urls, { model: 'm', concurrency: slots, binary: false })
  const predictor = await served(workers)
  for (const callers of CALLERS) {
    const seen = { direct: [] as Figures[], predictor: [] as Figures[] }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [name, system] of [
        ['direct', direct],
        ['predictor', predictor],
      ] as const) {
        const figures = await load(system, callers)
        if (round) seen[name].push(figures) // the first one warms up
      }
    }
    const medians = (all: Figures[]): Figures => ({
      perSecond: median(all.map(({ perSecond }) => perSecond)),
      p99: median(all.map(({ p99 }) => p99)),
    })
    rows.push({ transport, slots, callers, direct: medians(seen.direct), predictor: medians(seen.predictor) })
  }
  await Promise.all([direct.close(), predictor.close()])
  kill()
  await nats?.stop()
}

export async function slots(json: boolean): Promise<void> {
  const rows: Row[] = []
  for (const transport of ['HTTP', 'NATS'] as const) {
    if (transport === 'NATS' && !natsInstalled) continue
    for (const count of SLOTS) await compare(transport, count, rows)
  }
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const text = table(['', 'queries a second: direct', 'predictor', 'ratio', 'p99: direct', 'predictor', 'ratio'])
  for (const { transport, slots: count, callers, direct, predictor } of rows) {
    const name = `${transport}, ${count} at once, ${callers} callers`
    const perSecond = [direct.perSecond, predictor.perSecond].map((each) => each.toFixed(0))
    const p99 = [direct.p99, predictor.p99].map((each) => `${each.toFixed(0)} ms`)
    const ratios = [predictor.perSecond / direct.perSecond, predictor.p99 / direct.p99].map((each) => each.toFixed(2))
    text.push([name, ...perSecond, ratios[0], ...p99, ratios[1]])
  }
  console.log(text.toString())
}
