/**
 * npm run bench -- slots [WORD ...] [--json]: 4 to 256 callers, each of which asks again when it has its answer, and 4 servers that take 50 ms,
 * 3 % of the time ten times as long, and answer many at once, or one at a time. Queries a second, p50 and p99 of calls to whichever server
 * has the fewest open, of these with a second call to another one after the 95th percentile, at most one in ten, and of the predictor, told
 * how many its servers answer at once, and not told; in turns, medians of the rounds. Over HTTP, and over NATS, where servers say it
 * themselves, if a nats-server is installed. With words only cells whose names have all of them.
 */

import { spawn } from 'node:child_process'
import { connect } from '@nats-io/transport-node'
import { createPredictor, type PredictorOptions } from 'approxifer'
import { httpWorker } from 'approxifer/http'
import { natsWorkers } from 'approxifer/nats'
import { Pool } from 'undici'
import { SlidingQuantile } from '../../src/base/stats'
import { table } from '../../src/cli/table'
import { NatsServer, natsInstalled } from '../../test/shared/nats-server'
import { median } from '../shared/measure'

const SERVERS = 4
const MS = 50
const SLOW = 0.03
const WIDTH = 16
const CALLERS = [4, 16, 64, 256]
const SLOTS = [256, 1]
const ROUNDS = 2
const ROUND_MS = 2500
const FLEET = 'slots'

type Transport = 'HTTP' | 'NATS'
interface System {
  ask(x: Float32Array): Promise<unknown>
  close(): Promise<unknown>
}
interface Figures {
  perSecond: number
  p50: number
  p99: number
}
interface Row {
  transport: Transport
  slots: number
  callers: number
  figures: Record<string, Figures>
  /** In the end. */
  windows: number[]
}

/** Servers in a process of their own. */
async function serve(slots: number, nats?: string): Promise<{ urls: string[]; kill(): void }> {
  const args = [
    '--import',
    'tsx',
    '--conditions',
    'node',
    'bench/concurrency/slow-servers.ts',
    `${SERVERS}`,
    `${slots}`,
    `${MS}`,
    `${SLOW}`,
  ]
  const child = spawn(process.execPath, [...args, ...(nats ? [nats, FLEET] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const urls = await new Promise<string[]>((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(JSON.parse(String(line)).urls))
    child.once('exit', (code) => reject(new Error(`the servers' process ended with ${code}`)))
  })
  return { urls, kill: () => child.removeAllListeners('exit').kill('SIGKILL') }
}

interface Direct extends System {
  /** @param but  a server that has it already @param began  told which one gets it */
  ask(x: Float32Array, but?: number, began?: (at: number) => void): Promise<unknown>
}

/** Each call goes to whichever server has the fewest open. */
function leastOutstanding(calls: readonly ((x: Float32Array) => Promise<unknown>)[], close: System['close']): Direct {
  const open = calls.map(() => 0)
  const ask: Direct['ask'] = async (x, but, began) => {
    const may = open.map((count, at) => (at === but ? Number.POSITIVE_INFINITY : count))
    const at = may.indexOf(Math.min(...may))
    began?.(at)
    open[at]++
    try {
      return await calls[at](x)
    } finally {
      open[at]--
    }
  }
  return { ask, close }
}

function directHttp(urls: readonly string[]): Direct {
  const pools = urls.map((url) => new Pool(url, { connections: 2 * Math.max(...CALLERS) }))
  const calls = pools.map((pool) => async (x: Float32Array) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, WIDTH], data: [...x] }]
    const headers = { 'content-type': 'application/json' }
    const request = { path: '/v2/models/m/infer', method: 'POST', headers, body: JSON.stringify({ inputs }) } as const
    const { body } = await pool.request(request)
    return Float32Array.from(((await body.json()) as { outputs: [{ data: number[] }] }).outputs[0].data)
  })
  return leastOutstanding(calls, () => Promise.all(pools.map((pool) => pool.close())))
}

async function directNats(url: string): Promise<Direct> {
  const connection = await connect({ servers: url })
  const calls = Array.from({ length: SERVERS }, (_, at) => async (x: Float32Array) => {
    const answer = await connection.request(`direct.${at}`, JSON.stringify([...x]), { timeout: 60_000 })
    return Float32Array.from(answer.json<number[]>())
  })
  return leastOutstanding(calls, () => connection.close())
}

/** What takes longer than the running 95th percentile is asked of another server as well, at most one in ten. */
function hedged({ ask, close }: Direct): System {
  const times = new SlidingQuantile(500)
  let spare = 10
  const first = async (x: Float32Array) => {
    const since = performance.now()
    let at: number | undefined
    let timer: NodeJS.Timeout | undefined
    const own = ask(x, undefined, (server) => {
      at = server
    })
    void own.then(() => times.add(performance.now() - since))
    const late = new Promise((resolve, reject) => {
      const again = () => {
        if (spare < 1) return
        spare--
        ask(x, at).then(resolve, reject)
      }
      if (times.count >= 50) timer = setTimeout(again, times.quantile(0.95))
    })
    spare = Math.min(10, spare + 0.1)
    return Promise.race([own, late]).finally(() => clearTimeout(timer))
  }
  return { ask: first, close }
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
  const at = (share: number) => sorted[Math.floor(share * sorted.length)]
  return { perSecond, p50: at(0.5), p99: at(0.99) }
}

const nameOf = ({ transport, slots, callers }: Pick<Row, 'transport' | 'slots' | 'callers'>) =>
  `${transport}, ${slots} at once, ${callers} callers`
const isWanted = (words: readonly string[], name: string) => words.every((word) => name.includes(word))

/** Of those in turns: medians of the rounds. */
async function inTurns(systems: Record<string, System>, callers: number): Promise<Record<string, Figures>> {
  const seen = Object.keys(systems).map((name) => ({ name, rounds: [] as Figures[] }))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, rounds } of seen) {
      const figures = await load(systems[name], callers)
      if (round) rounds.push(figures) // the first one warms up
    }
  }
  const medians = (all: Figures[]): Figures => ({
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
  })
  return Object.fromEntries(seen.map(({ name, rounds }) => [name, medians(rounds)]))
}

async function compare(transport: Transport, slots: number, rows: Row[], words: readonly string[]): Promise<void> {
  const nats = transport === 'NATS' ? await NatsServer.start() : undefined
  const { urls, kill } = await serve(slots, nats?.url)
  const direct = nats ? await directNats(nats.url) : directHttp(urls)
  const workers = (concurrency?: number) =>
    Promise.all(urls.map((url) => httpWorker(url, { model: 'm', binary: false, ...(concurrency && { concurrency }) })))
  const told = await served(nats ? natsWorkers(nats.url, { fleet: FLEET }) : await workers(slots))
  const measured = nats ? [] : await workers()
  const untold = nats ? undefined : await served(measured)
  const systems = { direct, hedged: hedged(direct), told, ...(untold && { untold }) }
  for (const callers of CALLERS.filter((each) => isWanted(words, nameOf({ transport, slots, callers: each })))) {
    rows.push({
      transport,
      slots,
      callers,
      figures: await inTurns(systems, callers),
      windows: measured.map((worker) => worker.slots ?? 1),
    })
  }
  await Promise.all([direct, told, untold].map((system) => system?.close()))
  kill()
  await nats?.stop()
}

export default async function slots(json: boolean, words: string[]): Promise<void> {
  const rows: Row[] = []
  for (const transport of ['HTTP', 'NATS'] as const) {
    if (transport === 'NATS' && !natsInstalled) continue
    for (const count of SLOTS) {
      const names = CALLERS.map((callers) => nameOf({ transport, slots: count, callers }))
      if (names.some((name) => isWanted(words, name))) await compare(transport, count, rows, words)
    }
  }
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const names = ['direct', 'hedged', 'told', 'untold']
  const text = table(['a second, p50 / p99', ...names, 'untold of hedged', 'of told', 'windows'])
  for (const { transport, slots: count, callers, figures, windows } of rows) {
    const shown = names.map((name) => {
      if (!figures[name]) return ''
      const { perSecond, p50, p99 } = figures[name]
      return `${perSecond.toFixed(0)}, ${p50.toFixed(0)} / ${p99.toFixed(0)} ms`
    })
    const own = figures.untold ?? figures.told
    const ratios = [figures.hedged, figures.told].map((rival) =>
      (['perSecond', 'p50', 'p99'] as const).map((each) => (own[each] / rival[each]).toFixed(2)).join(', '),
    )
    text.push([nameOf({ transport, slots: count, callers }), ...shown, ...ratios, windows.join(' ')])
  }
  console.log(text.toString())
}
