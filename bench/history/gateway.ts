/**
 * A history of `approxifer serve` in the trouble of serve-soak (a worker killed -9 every second, the gateway ended and started anew half-way),
 * by what its /events tell of each request and group, and by what callers sent and got.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/shared/nats-server'
import type { Entry, History } from '../../test/simulation/history'
import { ready, startGateway, startWorker, WORKERS } from '../soak/serve-soak'
import { compared, type Question } from './log'
import type { Told } from './threads'

const CALLERS = 8
const KILL_MS = 1000
/** `approxifer serve`'s own. */
const DEADLINE_MS = 10_000
const SLACK_MS = 500
/** Reports of groups come so much later than answers, at most. */
const REPORT_MS = 2000

/** What a caller sent and got. */
interface Exchange extends Question {
  since: number
  at: number
  /** Of HTTP; 0 where the connection was lost. */
  status: number
  /** What the reply says of its row. */
  told?: { status: string; confidence: number | null; output: number[] }
}

/** What /events tell. */
interface RequestTold {
  id: string
  status: number
  queries: number[]
}
/** What became of a query's attempts and of itself, as its events tell. */
interface QueryTold {
  attempts: { worker: string; onTime: boolean }[]
  status?: string
}

/** All that one gateway told, from its start to its end. */
class Listener {
  readonly requests: RequestTold[] = []
  readonly queries = new Map<number, QueryTold>()
  readonly #over: Promise<void>

  constructor(port: number, opened: () => void) {
    this.#over = this.#listen(port, opened)
  }

  ended(): Promise<void> {
    return this.#over
  }

  async #listen(port: number, opened: () => void): Promise<void> {
    const { body } = await fetch(`http://127.0.0.1:${port}/events`)
    opened()
    const decoder = new TextDecoder()
    let rest = ''
    try {
      for await (const bytes of body as ReadableStream<Uint8Array>) {
        const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
        rest = parts.pop() as string
        for (const part of parts) this.#take(part)
      }
    } catch {} // the gateway is gone
  }

  #take(part: string): void {
    const [, json] = /^event: batch\ndata: (.*)$/s.exec(part) ?? []
    if (!json) return
    for (const told of JSON.parse(json).events) {
      if (told.event === 'request') this.requests.push(told)
      if (told.event === 'asked') this.queries.set(told.query, { attempts: [] })
      const query = this.queries.get(told.query)
      if (told.event === 'answered') query?.attempts.push(told)
      if (told.event === 'failed' && told.worker) query?.attempts.push({ worker: told.worker, onTime: false })
      if (told.event === 'ended' && query) query.status = told.status
    }
  }
}

export async function ofGateway(amount: number): Promise<Told> {
  const ports = await Promise.all(Array.from({ length: WORKERS }, freePort))
  const workers = ports.map(startWorker)
  await Promise.all(ports.map(ready))
  const port = await freePort()
  const lives: Listener[] = []
  const start = async () => {
    const gateway = startGateway(port, ports)
    await ready(port)
    await new Promise<void>((resolve) => lives.push(new Listener(port, resolve)))
    return gateway
  }
  let gateway = await start()
  let kills = 0
  let isUp = true
  const killing = setInterval(async () => {
    if (!isUp) return // one at a time
    isUp = false
    const victim = kills++ % WORKERS
    workers[victim].kill('SIGKILL')
    workers[victim] = startWorker(ports[victim])
    await ready(ports[victim])
    isUp = true
  }, KILL_MS)
  const exchanges = await asked(port, Math.floor(amount / 2), 0)
  const closing = { from: performance.now(), to: 0 }
  const stopping = asked(port, CALLERS, exchanges.length) // under way when it is told to end
  gateway.kill('SIGTERM')
  await new Promise((resolve) => gateway.once('exit', resolve))
  exchanges.push(...(await stopping))
  closing.to = performance.now()
  gateway = await start()
  exchanges.push(...(await asked(port, amount - exchanges.length, exchanges.length)))
  clearInterval(killing)
  await sleep(REPORT_MS)
  gateway.kill('SIGTERM')
  await Promise.all(lives.map((life) => life.ended()))
  for (const each of [...workers, gateway]) each.kill('SIGKILL')
  return historyOf(exchanges, lives, closing, kills)
}

/** @param first  number of the first of them */
async function asked(port: number, amount: number, first: number): Promise<Exchange[]> {
  const exchanges: Exchange[] = []
  let next = first
  const call = async () => {
    while (next < first + amount) exchanges.push(await exchanged(port, questionOf(next++)))
  }
  await Promise.all(Array.from({ length: CALLERS }, call))
  return exchanges
}

/** An image of its own, and what bench/soak/oip-worker.js makes of it. */
function questionOf(query: number): Question {
  const image = Float32Array.from({ length: 784 }, (_, i) => (i ? ((i + query) % 9) / 9 : (query + 1) / 2 ** 20))
  const own = new Float32Array(10)
  for (const [i, value] of image.entries()) own[i % 10] += value
  return { query, image, own }
}

async function exchanged(port: number, question: Question): Promise<Exchange> {
  const { query, image } = question
  const since = performance.now()
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], data: [...image] }]
  const body = JSON.stringify({ id: String(query), inputs })
  const headers = { 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${port}/v2/models/m/infer`
  const reply = await fetch(url, { method: 'POST', body, headers }).catch(() => undefined)
  const text = await reply?.text().catch(() => undefined)
  const status = text === undefined ? 0 : (reply as Response).status
  const exchange = { ...question, since, at: performance.now(), status }
  if (status !== 200) return exchange
  const { parameters, outputs } = JSON.parse(text as string)
  return { ...exchange, told: { status: parameters.status[0], confidence: parameters.confidence[0], output: outputs[0].data } } // biome-ignore format: one line
}

const CODES: Record<number, string> = { 429: 'OVERLOADED', 503: 'WORKER', 502: 'WORKER', 504: 'DEADLINE' }

/** @param closing  when a gateway was told to end, and had: its streams of events end with the first */
function historyOf(
  exchanges: readonly Exchange[],
  lives: readonly Listener[],
  closing: { from: number; to: number },
  kills: number,
): Told {
  const entries: Entry[] = []
  const endings: Record<string, number> = {}
  const told = new Map(lives.flatMap(({ requests, queries }) => requests.map((each) => [Number(each.id), { ...each, from: queries }]))) // biome-ignore format: one line
  let [unended, last, counted] = [0, 0, 0]
  for (const exchange of exchanges) {
    const { query, since, at, status } = exchange
    const request = told.get(query)
    const ending = exchange.told?.status ?? CODES[status] ?? (status ? String(status) : 'connection lost')
    endings[ending] = (endings[ending] ?? 0) + 1
    last = Math.max(last, at)
    if (!status) continue // it was never there, or ended with the gateway
    entries.push({ at: since, what: 'asked', query, dueAt: since + DEADLINE_MS, policy: 'auto', gives: false, lively: false }) // biome-ignore format: one line
    const isCut = at > closing.from - REPORT_MS && since < closing.to
    counted += Number(isCut || (request !== undefined && (request.status === 200) === (status === 200)))
    const queries = (request?.queries ?? []).flatMap((number) => request?.from.get(number) ?? [])
    if (!isCut) unended += queries.filter((query) => !query.status).length
    entries.push(...endOf(exchange, ending, queries))
  }
  entries.sort((a, b) => a.at - b.at)
  entries.push({ at: last, what: 'over', ended: counted, timers: 0, running: 0, unended })
  return { entries, kills, endings, promised }
}

/** Who was given it as /events say, and how it ended as both say: where they differ, it has no such status. */
function endOf(exchange: Exchange, ending: string, queries: readonly QueryTold[]): Entry[] {
  const { query, at, since, told } = exchange
  const attempts = queries.flatMap((each) => each.attempts)
  const answering = attempts.find(({ onTime }) => onTime)
  const given = attempts.map(
    ({ worker }): Entry => ({ at: since, what: 'given', query: undefined, worker, identity: worker, fits: true }),
  )
  if (!told) return [...given, { at, what: 'failed', query, code: ending }]
  const isSo = queries.every(({ status }) => status === told.status)
  const status = isSo ? told.status : `${told.status}, and not as /events say`
  const workers = answering ? [answering.worker] : []
  const { off, label, says } = compared(told.output, exchange)
  const { confidence } = told
  const answered = { query, status, confidence: confidence ?? undefined, workers, off, label, says }
  return [...given, { at, what: 'answered', ...answered }]
}

const promised: History['promised'] = {
  byzantine: 0,
  preset: false,
  answersIn: Number.POSITIVE_INFINITY, // when the gateway hears that a worker is back cannot be seen from outside
  hangMs: DEADLINE_MS,
  limit: 10_000,
  minConfidence: 0.9,
  hedges: { burst: 10, share: 0.2 },
  rounding: 0,
  slackMs: SLACK_MS,
}
