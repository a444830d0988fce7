/** Keeps memories for another thread: answers its lookups at once, and learns between them. */

import type { Endpoint } from 'comlink'
import { type Clock, systemClock } from '../base/clock'
import { loadCore } from '../core/load'
import { Experience } from './experience'
import type { Rated } from './host'
import { type Charges, InlineMemory, type InlineOptions, type Shares } from './inline'
import { type Envelope, type MemoryPlan, type Order, ordersIn, type Report } from './messages'

/** Lookups go first, and nobody else waits: but the processor is also the workers'. */
const IN_A_THREAD: Shares = { lookups: 1, cold: 0.5, warm: 0.2 }

/** Answers that came within so long go back in one message: the first one of many must not wait for the last. */
const TOGETHER_MS = 0.5

export class MemoryServer {
  readonly #clock: Clock
  readonly #tell: (reports: readonly Report[]) => void
  readonly #charged: Pick<InlineOptions, 'charges' | 'spend'>
  readonly #memories = new Map<number, Promise<ServedMemory>>()
  /** Orders are followed one after the other: some wait for the core to load. */
  #last = Promise.resolve()

  /** @param charges, spend  what work takes where time is made */
  constructor(
    clock: Clock,
    send: (reports: readonly Report[]) => void,
    charges?: Charges,
    spend?: (ms: number) => void,
  ) {
    this.#charged = { charges, spend }
    this.#clock = clock
    this.#tell = send
  }

  /** @returns resolves when it has */
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
      const memory = await this.#memories.get(order.of)
      if (order.is === 'close') {
        memory?.inline.close()
        this.#memories.delete(order.of)
      } else if (memory) await this.#obey(memory, order, reports)
      else if (order.is === 'recall') reports.push({ is: 'found', of: order.of, id: order.id, found: undefined, ms: 0 })
      else if (order.is === 'take')
        reports.push({ is: 'taken', of: order.of, id: order.id, taken: { memory: undefined, graded: [] } })
      if (!reports.length || this.#clock.now() - since < TOGETHER_MS) continue
      this.#tell(reports)
      reports = []
      since = this.#clock.now()
    }
    for (const of of changed) {
      const memory = await this.#memories.get(of)
      if (memory) reports.push(memory.state)
    }
    if (reports.length) this.#tell(reports)
  }

  async #obey({ inline, came }: ServedMemory, order: Order, reports: Report[]): Promise<void> {
    const { of } = order
    if (order.is === 'recall') {
      const start = this.#clock.now()
      const mayLookUp = inline.isWarm && order.forgets === came.forgets
      const found: Rated | undefined = mayLookUp ? inline.lookUp(order.query, order.spread) : undefined
      reports.push({ is: 'found', of, id: order.id, found, ms: this.#clock.now() - start })
    } else if (order.is === 'learn') {
      came.steps++
      const { step } = order
      inline.learn({ ...step, query: () => step.query }, step.query.byteLength + step.own.byteLength)
    } else if (order.is === 'grade') inline.grade(order.graded)
    else if (order.is === 'forget') {
      came.forgets++
      inline.forget(order.from, (left) => reports.push({ is: 'forgotten', of, id: order.id, left }))
    } else if (order.is === 'renew') {
      came.forgets++
      inline.renew()
    } else if (order.is === 'take') reports.push({ is: 'taken', of, id: order.id, taken: await inline.take() })
  }

  /** What does not fit is told, and nothing of it is taken. */
  async #open(of: number, plan: MemoryPlan): Promise<ServedMemory> {
    const warn = (text: string) => this.#tell([{ is: 'warning', of, text }])
    const { signature, learned, criterion, memory } = plan
    const core = await loadCore(plan.core === 'js' ? { prefer: 'js' } : {})
    const make = (learned: MemoryPlan['learned']) =>
      new Experience(core, signature, { criterion, memory, learned, warn })
    let experience: Experience
    try {
      experience = make(learned)
    } catch (error) {
      warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
      experience = make(undefined)
    }
    const came = { steps: 0, forgets: 0 }
    const inline = new InlineMemory(experience, {
      ...this.#charged,
      clock: this.#clock,
      shares: IN_A_THREAD,
      warn,
      learned: () => this.#tell([kept.state]),
    })
    const kept: ServedMemory = {
      inline,
      came,
      get state() {
        const { isWarm, pairs, waiting } = inline
        return { is: 'state', of, state: { isWarm, pairs, waiting, came: came.steps } } as const
      },
    }
    return kept
  }
}

/** In a worker's script: follows what a `MemoryThread` orders, beside whatever else the worker is for. */
export function serveMemories(parent: Endpoint): void {
  const server = new MemoryServer(systemClock, (memory) => parent.postMessage({ memory } satisfies Envelope<Report>))
  parent.addEventListener('message', (event) => {
    const orders = ordersIn<Order>((event as MessageEvent).data)
    if (orders) server.follow(orders)
  })
}

interface ServedMemory {
  readonly inline: InlineMemory
  readonly came: { steps: number; forgets: number }
  readonly state: Report
}
