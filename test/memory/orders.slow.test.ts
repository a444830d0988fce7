/**
 * Every order of up to so many events between a memory's service and its thread, which is a puppet here: messages arrive, are lost, wait; the thread dies;
 * time passes; an identity is forgotten, the model is replaced, all is closed. Whoever asks is told once, and nothing of before a `forget` is current.
 */

import { expect, it } from 'vitest'
import { loadCore } from '../../src/core/load'
import { learnedModel } from '../../src/memory/experience-state'
import { HostedMemory } from '../../src/memory/hosted'
import { type Order, ordersIn, type Report } from '../../src/memory/messages'
import { MemoryThread } from '../../src/memory/thread'
import type { Thread } from '../../src/platform/platform'
import { VirtualClock } from '../../src/testing/virtual-clock'

const EVENTS = ['recall', 'save', 'forget', 'renew', 'arrive', 'lose', 'report', 'die', 'wait', 'close'] as const
type Event = (typeof EVENTS)[number]
const MOST: Record<Event, number> = { recall: 2, save: 1, forget: 1, renew: 1, arrive: 4, lose: 1, report: 4, die: 1, wait: 1, close: 1 } // biome-ignore format: one line
const DEPTH = 6

const core = await loadCore({ prefer: 'js' })
const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }
const criterion = { kind: 'tolerance', tolerance: 0.1 } as const
const plan = { core: core.kind, signature, criterion, memory: {}, learned: undefined }
const model = learnedModel(signature, {})
/** How often either end had forgotten something. */
const answerOf = (forgotten: number) => Float32Array.of(forgotten)

class World {
  readonly #clock = new VirtualClock()
  readonly #memory: HostedMemory
  readonly #told: number[] = []
  readonly #saves: ('open' | 'saved' | 'refused')[] = []
  readonly #warnings: string[] = []
  #forgotten = 0
  #isClosed = false
  /** On their way, to the thread and from it. */
  #orders: (readonly Order[])[] = []
  #reports: Report[] = []
  #hear: (event: MessageEvent) => void = () => {}
  #die: ((why: string) => void) | undefined
  readonly #thread = { forgotten: 0, lessons: 0 }
  readonly broken: string[] = []

  constructor() {
    const spawn = (onDeath: (why: string) => void): Thread => {
      this.#die = onDeath
      return {
        endpoint: {
          postMessage: (data: unknown) => void this.#orders.push(ordersIn<Order>(data) as readonly Order[]),
          addEventListener: (_: string, hear: (event: MessageEvent) => void) => {
            this.#hear = hear
          },
          removeEventListener: () => {},
        } as never,
        hold: () => {},
        terminate: async () => {
          this.#die = undefined
        },
      }
    }
    this.#memory = new HostedMemory({
      ...{ core, clock: this.#clock, plan, model, saved: {}, part: 1, remembers: true },
      thread: new MemoryThread(this.#clock, spawn),
      warn: (text) => this.#warnings.push(text),
    })
  }

  /** With a memory that says that it is warm. */
  static async begun(): Promise<World> {
    const world = new World()
    world.#memory.learn(Float32Array.of(1), answerOf(0), 'a')
    await settled()
    await world.happen('arrive')
    await world.happen('report')
    return world
  }

  may(event: Event): boolean {
    if (event === 'arrive' || event === 'lose') return this.#orders.length > 0
    if (event === 'report') return this.#reports.length > 0
    return event === 'die' ? this.#die !== undefined : event === 'wait' ? this.#clock.pending > 0 : !this.#isClosed
  }

  async happen(event: Event): Promise<void> {
    if (event === 'recall') this.#recall()
    else if (event === 'save') this.#save()
    else if (event === 'forget' || event === 'renew') {
      this.#forgotten++
      if (event === 'forget') this.#memory.forget('a')
      else this.#memory.renew()
    } else if (event === 'arrive') for (const order of this.#orders.shift() as readonly Order[]) this.#obey(order)
    else if (event === 'lose') this.#orders.shift()
    else if (event === 'report') this.#hear({ data: { memory: [this.#reports.shift()] } } as MessageEvent)
    else if (event === 'die') {
      this.#die?.('was killed')
      this.#orders = []
      this.#reports = []
    } else if (event === 'wait') await this.#clock.run(this.#clock.now() + 10)
    else {
      this.#isClosed = true
      this.#memory.close()
    }
    await settled()
  }

  #recall(): void {
    const which = this.#told.push(0) - 1
    this.#memory.recall(Float32Array.of(1), 5, (said) => {
      if (this.#told[which]++) this.broken.push('a lookup was told twice')
      if (!said) return
      if (said.answer[0] !== this.#forgotten) this.broken.push('what was forgotten was given')
      if (this.#isClosed) this.broken.push('something was given by what is closed')
      if (!this.#memory.isCurrent(said)) this.broken.push('what was given is not current')
    })
  }

  #save(): void {
    const which = this.#saves.push('open') - 1
    const end = (how: 'saved' | 'refused') => () => {
      this.#saves[which] = how
    }
    this.#memory.save().then(end('saved'), end('refused'))
  }

  /** In the thread. */
  #obey(order: Order): void {
    const { of } = order
    const thread = this.#thread
    const said = { source: 'memory', error: 0.01, variance: 0.01, confidence: 0.9, signals: undefined } as const
    const found = () => ({ ...said, answer: answerOf(thread.forgotten), odds: undefined })
    if (order.is === 'learn') thread.lessons++
    if (order.is === 'forget' || order.is === 'renew') thread.forgotten++
    if (order.is === 'recall')
      this.#reports.push({
        is: 'found',
        of,
        id: order.id,
        found: order.forgets === thread.forgotten ? found() : undefined,
        ms: 0.1,
      })
    if (order.is === 'forget') this.#reports.push({ is: 'forgotten', of, id: order.id, left: [] })
    if (order.is === 'take')
      this.#reports.push({ is: 'taken', of, id: order.id, taken: { memory: undefined, graded: [] } })
    if (order.is !== 'recall' && order.is !== 'take' && order.is !== 'close') {
      const state = { isWarm: true, pairs: 100, came: thread.lessons, waiting: 0 }
      this.#reports.push({ is: 'state', of, state })
    }
  }

  /** Nothing more arrives. */
  async end(): Promise<void> {
    await this.#clock.run()
    await settled()
    if (this.#told.includes(0)) this.broken.push('a lookup was told nothing')
    if (this.#saves.includes('open')) this.broken.push('a save has no end')
    if (this.#warnings.length > 1) this.broken.push(`warnings: ${this.#warnings.join('; ')}`)
  }
}

/** All that promises have queued is done. */
const settled = async () => {
  for (let i = 0; i < 8; i++) await undefined
}

it('holds in every order of six events', async () => {
  const broken: string[] = []
  let paths = 0
  const visit = async (path: readonly Event[]): Promise<void> => {
    const world = await World.begun()
    for (const event of path) await world.happen(event)
    const next = EVENTS.filter((event) => world.may(event) && path.filter((each) => each === event).length < MOST[event]) // biome-ignore format: one line
    paths++
    await world.end()
    for (const what of world.broken) broken.push(`${path.join(', ')}: ${what}`)
    if (path.length < DEPTH) for (const event of next) await visit([...path, event])
  }
  await visit([])
  expect(broken.sort((a, b) => a.length - b.length).slice(0, 5)).toEqual([])
  expect(paths).toBeGreaterThan(10_000)
})
