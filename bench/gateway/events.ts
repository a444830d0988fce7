/**
 * npm run bench -- events [--json]: what listening costs: processor time a query (all threads, garbage collection included) at 10,000 queries a
 * second, with `onEvent` unset, set to a function that counts, and feeding `/events` with 32 clients that read. The variants take turns, seven
 * rounds of three seconds each. Workers answer after a timer, so that what takes time is the predictor's own.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor, type ModelWorker, type PredictorEvent, type TensorList } from 'approxifer'
import { EventFeed } from '../../src/cli/serve/events'
import { table } from '../../src/cli/table'
import { median } from '../shared/measure'

const RATE = 10_000
const ROUNDS = 7
const [WARM_UP_MS, MS] = [1000, 3000]
const CLIENTS = 32
const SLOTS = 8

const variants = ['unset', 'set', '/events'] as const

export default async function events(json: boolean): Promise<void> {
  const micros: Record<(typeof variants)[number], number[]> = { unset: [], set: [], '/events': [] }
  for (let round = 0; round < ROUNDS; round++)
    for (const variant of variants) micros[variant].push(await microsOf(variant))
  const over = (variant: 'set' | '/events') => median(micros[variant].map((each, i) => each / micros.unset[i]))
  if (json) return console.log(JSON.stringify(micros, null, 2))
  const out = table(['onEvent', 'µs a query', 'over unset'])
  for (const variant of variants)
    out.push([variant, median(micros[variant]).toFixed(1), variant === 'unset' ? '' : over(variant).toFixed(3)])
  console.log(`${out}`)
}

/** What answers is told once a millisecond: a timer each would take longer than all the rest. */
class Ticks {
  #next: (() => void)[] = []
  readonly #timer = setInterval(() => {
    const due = this.#next
    this.#next = []
    for (const each of due) each()
  }, 1)

  after(f: () => void): void {
    this.#next.push(f)
  }

  end(): void {
    clearInterval(this.#timer)
  }
}

class TickingWorker implements ModelWorker {
  readonly signature = { inputs: [{ name: 'x', shape: [784] }], outputs: [{ name: 'y', shape: [10] }] }
  readonly slots = SLOTS
  onFree: (() => void) | undefined
  #open = 0

  constructor(
    readonly name: string,
    private readonly ticks: Ticks,
  ) {}

  get free(): boolean {
    return this.#open < SLOTS
  }

  infer(): Promise<TensorList> {
    this.#open++
    return new Promise((resolve) =>
      this.ticks.after(() => {
        this.#open--
        resolve([{ data: new Float32Array(10), shape: [10] }])
        this.onFree?.()
      }),
    )
  }

  async close(): Promise<void> {}
}

async function microsOf(variant: (typeof variants)[number]): Promise<number> {
  const ticks = new Ticks()
  const feed = variant === '/events' ? new EventFeed(() => console.warn('a client was dropped')) : undefined
  for (let i = 0; feed && i < CLIENTS; i++) void read(feed)
  let count = 0
  const told = feed ? (event: PredictorEvent) => feed.tell('m', event) : () => void count++
  const workers = Array.from({ length: 8 }, (_, i) => new TickingWorker(`worker ${i}`, ticks))
  const predictor = await createPredictor({ workers, right: 'label', ...(variant !== 'unset' && { onEvent: told }) })
  const query = new Float32Array(784)
  const begun = performance.now()
  let asked = 0
  const ask = () => {
    for (const due = ((performance.now() - begun) / 1000) * RATE; asked < due; asked++)
      predictor.predict(query).catch(() => {})
  }
  const asking = setInterval(ask, 1)
  await sleep(WARM_UP_MS)
  const [before, first] = [process.cpuUsage(), asked]
  await sleep(MS)
  const { user, system } = process.cpuUsage(before)
  clearInterval(asking)
  const micros = (user + system) / (asked - first)
  await predictor.close()
  feed?.close()
  ticks.end()
  return micros
}

async function read(feed: EventFeed): Promise<void> {
  const { body } = feed.response(new Request('http://localhost/events'), { destroy() {} })
  for await (const _ of body as ReadableStream<Uint8Array>) {
    // Sockets would take it.
  }
}
