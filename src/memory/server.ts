/** The thread's end of a `MemoryThread`: answers lookups at once, and learns between them. */

import type { Endpoint } from 'comlink'
import { type Clock, systemClock } from '../base/clock'
import { loadCore } from '../core/load'
import { Experience } from './experience'
import { type Charges, InlineMemory, type InlineOptions, type Shares } from './inline'
import { type Envelope, type MemoryPlan, type MemorySnapshot, type Order, ordersIn, type Report } from './messages'

/** Lookups may take all of the thread's time. Training may not, since the processor is also the workers'. */
const OWN_THREAD: Shares = { lookups: 1, cold: 0.5, warm: 0.2 }

/** Reports of this period are sent in one message; the first of many lookups must not wait for the last. */
const TOGETHER_MS = 0.5

interface ServedMemory {
  readonly inline: InlineMemory
  /** Answers to learn, and orders to forget or renew, that have arrived. */
  steps: number
  forgets: number
}

export class MemoryServer {
  readonly #clock: Clock
  readonly #send: (reports: readonly Report[]) => void
  readonly #charged: Pick<InlineOptions, 'charges' | 'spend'>
  readonly #memories = new Map<number, Promise<ServedMemory>>()
  /** Orders are followed one after the other, since some wait for the core to load. */
  #last = Promise.resolve()

  /** @param charges, spend  the time that work takes, if time is simulated */
  constructor(
    clock: Clock,
    send: (reports: readonly Report[]) => void,
    charges?: Charges,
    spend?: (ms: number) => void,
  ) {
    this.#charged = { charges, spend }
    this.#clock = clock
    this.#send = send
  }

  /** @returns resolves when all orders have been followed */
  follow(orders: readonly Order[]): Promise<void> {
    this.#last = this.#last.then(() => this.#follow(orders))
    return this.#last
  }

  async #follow(orders: readonly Order[]): Promise<void> {
    let reports: Report[] = []
    let since = this.#clock.now()
    const changed = new Set<number>()
    for (const order of orders) {
      if (order.is === 'open') this.#memories.set(order.of, this.#open(order.of, order.plan))
      if (order.is !== 'recall' && order.is !== 'grade') changed.add(order.of)
      const report = await this.#obey(order, await this.#memories.get(order.of))
      if (report) reports.push(report)
      if (!reports.length || this.#clock.now() - since < TOGETHER_MS) continue
      this.#send(reports)
      reports = []
      since = this.#clock.now()
    }
    for (const of of changed) {
      const memory = await this.#memories.get(of)
      if (memory) reports.push({ is: 'state', of, state: snapshot(memory) })
    }
    if (reports.length) this.#send(reports)
  }

  /** @param memory  undefined if it was closed @returns the reply to an order that has an id */
  async #obey(order: Order, memory: ServedMemory | undefined): Promise<Report | undefined> {
    const { of } = order
    const inline = memory?.inline
    switch (order.is) {
      case 'recall': {
        const start = this.#clock.now()
        const mayLookUp = inline?.isWarm && order.forgets === memory?.forgets
        const found = mayLookUp ? inline.lookUp(order.query, order.spread) : undefined
        return { is: 'found', of, id: order.id, found, ms: this.#clock.now() - start }
      }
      case 'take':
        return { is: 'taken', of, id: order.id, taken: (await inline?.take()) ?? { memory: undefined, graded: [] } }
      case 'close':
        inline?.close()
        this.#memories.delete(of)
        return undefined
    }
    if (!memory || !inline) return undefined
    if (order.is === 'learn') {
      memory.steps++
      const { step } = order
      inline.learn({ ...step, query: () => step.query }, step.query.byteLength + step.own.byteLength)
    } else if (order.is === 'grade') inline.grade(order.graded)
    else if (order.is === 'renew') {
      memory.forgets++
      inline.renew()
    } else if (order.is === 'forget') {
      memory.forgets++
      return { is: 'forgotten', of, id: order.id, left: inline.forget(order.from) }
    }
  }

  /** A memory; without its saved state, and with a warning, if that does not fit. */
  async #open(of: number, { core: kind, signature, learned, criterion, memory }: MemoryPlan): Promise<ServedMemory> {
    const warn = (text: string) => this.#send([{ is: 'warning', of, text }])
    const core = await loadCore(kind === 'js' ? { prefer: 'js' } : {})
    if (core.fallback) warn(`the thread of the memory runs in JavaScript, which is slower: ${core.fallback}`)
    const make = (learned: MemoryPlan['learned']) =>
      new Experience(core, signature, { criterion, memory, learned, warn })
    let experience: Experience
    try {
      experience = make(learned)
    } catch (error) {
      warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
      experience = make(undefined)
    }
    const onLearned = () => this.#send([{ is: 'state', of, state: snapshot(served) }])
    const options = { ...this.#charged, clock: this.#clock, shares: OWN_THREAD, warn, onLearned }
    const served = { inline: new InlineMemory(experience, options), steps: 0, forgets: 0 }
    return served
  }
}

const snapshot = ({ inline: { isWarm, pairs, waiting }, steps }: ServedMemory): MemorySnapshot => {
  return { isWarm, pairs, waiting, came: steps }
}

/** Serves memories to the thread that started this one; the worker's script may do other work as well. */
export function serveMemories(parent: Endpoint): void {
  const server = new MemoryServer(systemClock, (memory) => parent.postMessage({ memory } satisfies Envelope<Report>))
  parent.addEventListener('message', (event) => {
    const orders = ordersIn<Order>((event as MessageEvent).data)
    if (orders) server.follow(orders)
  })
}
