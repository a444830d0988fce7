/** Two gateways before four servers with bounded queues, and a loop by hand before the same. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor, type Predictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'

export interface BusyPlan {
  readonly status: 429 | 503
  readonly retryAfter?: number | undefined
  readonly durationMs: number
  /** Everything is refused for so long, once, after a third of the time. Default: never. */
  readonly busyMs?: number | undefined
  /** Callers in all, of which each asks again when it has its answer. */
  readonly callers?: number | undefined
  /** Of each server. Default: one inference at a time, of three that run or wait. */
  readonly slots?: number | undefined
  readonly places?: number | undefined
  /** As for `httpWorkers`. */
  readonly concurrency?: number | undefined
}

export interface BusyFigures {
  answered: number
  failed: number
  wrong: number
  /** Workers that counted as gone at any time, by both gateways. */
  gone: number
  refused: number
  /** What servers were asked beside queries since the start of the load, over the queries that they answered. */
  probes: number
  /** Milliseconds. */
  p50: number
  p99: number
  errors: string[]
}

const SERVERS = 4
const INFERENCE_MS = 40
const DEADLINE_MS = 4000
const CALLERS = 16
/** How often it is looked which workers are gone. */
const LOOK_MS = 5

/** Answers a query, which begins with this number. @throws whatever it failed with */
type Ask = (x: number) => Promise<ArrayLike<number>>

async function startServers({
  status,
  retryAfter,
  slots = 1,
  places = 3,
}: BusyPlan): Promise<{ child: ChildProcess; urls: string[] }> {
  const script = new URL('./bounded-servers.js', import.meta.url).pathname
  const args = [script, SERVERS, slots, places, INFERENCE_MS, status, retryAfter ?? []].flat().map(String)
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await new Promise<string[]>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (text) => resolve([text]))
    child.once('exit', (code) => reject(new Error(`the servers ended with ${code}`)))
  })
  return { child, urls: JSON.parse(line).urls }
}

/** The next server that is not busy: after all of them 10 ms later. */
function byHand(urls: readonly string[]): Ask {
  let next = 0
  return async (x) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [x, 1, 2, 3] }]
    const request = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs }),
    }
    for (const until = performance.now() + DEADLINE_MS; performance.now() < until; await sleep(10)) {
      const reply = await fetch(`${urls[next++ % urls.length]}/v2/models/m/infer`, request)
      const json = await reply.json()
      if (reply.status === 200) return json.outputs[0].data
    }
    throw new Error('no answer in time')
  }
}

const asking =
  (predictor: Predictor): Ask =>
  async (x) =>
    (await predictor.predict(Float32Array.of(x, 1, 2, 3))).output.y.data

/** Callers that ask until the time is over. */
async function load(asks: readonly Ask[], { durationMs, callers = CALLERS }: BusyPlan) {
  const times: number[] = []
  const errors: string[] = []
  let wrong = 0
  const until = performance.now() + durationMs
  const call = async (ask: Ask, caller: number) => {
    for (let i = 0; performance.now() < until; i++) {
      const x = caller + i / 1024
      const from = performance.now()
      try {
        const y = await ask(x)
        times.push(performance.now() - from)
        wrong += Number(Math.abs(y[0] - 2 * x) > 1e-3)
      } catch (error) {
        errors.push(`${(error as Error).message}`)
      }
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, i) => call(asks[i % asks.length], i)))
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(share * (times.length - 1))] ?? Number.NaN
  return {
    answered: times.length,
    failed: errors.length,
    wrong,
    p50: at(0.5),
    p99: at(0.99),
    errors: [...new Set(errors)],
  }
}

/** @param way  two gateways, or the loop by hand */
export async function runBusy(way: 'gateways' | 'by hand', plan: BusyPlan): Promise<BusyFigures> {
  const { child, urls } = await startServers(plan)
  const { busyMs, durationMs, concurrency } = plan
  const counts = async () => (await fetch(`${urls[0]}/counts`)).json()
  const predictors: Predictor[] = []
  const gone = new Set<string>()
  let looking: NodeJS.Timeout | undefined
  try {
    if (way === 'gateways') {
      const settings = { model: 'm', onWarning: () => {}, ...(concurrency && { concurrency }) }
      const make = () =>
        createPredictor({ workers: httpWorkers(urls, settings), deadlineMs: DEADLINE_MS, onWarning: () => {} })
      predictors.push(...(await Promise.all([make(), make()])))
      await sleep(300) // for those that join last
      const look = () =>
        predictors.forEach((predictor, i) => {
          for (const { worker, gone: isGone } of predictor.stats().workers) if (isGone) gone.add(`${i} ${worker}`)
        })
      looking = setInterval(look, LOOK_MS)
    }
    const before = await counts()
    const asks = predictors.length ? predictors.map(asking) : [byHand(urls)]
    if (busyMs) setTimeout(() => void fetch(`${urls[0]}/busy/${busyMs}`, { method: 'POST' }), durationMs / 3)
    const figures = await load(asks, plan)
    const after = await counts()
    const probes = (after.probes - before.probes) / (after.answered - before.answered)
    return { ...figures, gone: gone.size, refused: after.refused - before.refused, probes }
  } finally {
    clearInterval(looking)
    await Promise.all(predictors.map((predictor) => predictor.close()))
    child.removeAllListeners('exit').kill('SIGKILL')
  }
}
