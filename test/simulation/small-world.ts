/** Five machines, one of which may lie, and a few queries; every event happens when it is told to. The real predictor, pool and trust. */

import type { TensorList } from '../../src/base/tensor'
import { createPredictor } from '../../src/predictor/create'
import type { Predictor } from '../../src/predictor/predictor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'
import { listOf } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'
import { canonical, type Reading, Unordered } from './canonical'
import { signature } from './model'

export { Reputation } from '../../src/trust/reputation'

const WORKERS = 5
const LIAR = 0
const DEADLINE_MS = 1000
const HANG_MS = 600
type Kind = 'ask' | 'lie' | 'fail' | 'die' | 'leave' | 'rename' | 'abort' | 'wait'
/** Of each at most so many: none where it says nothing. `truth`, `back` and `up` always may happen. */
export type Most = Partial<Record<Kind, number>>

export interface Choices {
  readonly most: Most
  /** Each machine has an identity that it keeps under any name; else it is as many as it has names. Default: true. */
  readonly isKnown?: boolean
}

/** Tells who set a timer: what cancels it leads to it. */
class WatchedClock extends VirtualClock {
  readonly timers = new Set<{ at: number }>()

  override after(ms: number, f: () => void): () => void {
    const timer = { at: this.now() + ms }
    this.timers.add(timer)
    const cancel = super.after(ms, () => {
      this.timers.delete(timer)
      f()
    })
    const stop = () => {
      this.timers.delete(timer)
      cancel()
    }
    return Object.assign(stop, { timer })
  }

  get inOrder(): { at: number }[] {
    return [...this.timers].sort((a, b) => a.at - b.at)
  }

  get next(): number | undefined {
    return this.inOrder[0]?.at
  }
}

/** Told to answer, lie, fail and die. */
class Puppet implements ModelWorker {
  readonly signature = signature
  onFree: (() => void) | undefined
  readonly calls: { query: string; settle(outcome: TensorList | Error): void }[] = []
  is: 'up' | 'down' | 'closed' = 'up'

  constructor(
    readonly name: string,
    readonly identity: string,
    /** What it tells of the size of its answers. */
    readonly scales: readonly number[] = [],
  ) {}

  get free(): boolean {
    return this.is === 'up' && !this.calls.length
  }

  infer([{ data }]: TensorList): Promise<TensorList> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: TensorList | Error) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))
      this.calls.push({ query: `q${(data[0] as number) - 0.5}`, settle })
    })
  }

  end(outcome: (query: number) => TensorList | Error): void {
    const call = this.calls.shift()
    call?.settle(outcome(Number(call.query.slice(1))))
    this.onFree?.()
  }

  async close(): Promise<void> {
    this.is = 'closed'
    while (this.calls.length) this.end(() => new Error('closed'))
  }
}

/** What of a predictor is looked at beside what it tells. */
interface Opened {
  _first: { dependencies: { pool: { _roster: { capacity: { free: number }; members: Map<string, OpenedMember> } } } }
}

interface OpenedMember {
  worker: { identity: string }
  state: string
  slots: { limit: number; busy: number }
}

interface Machine {
  readonly index: number
  puppet: Puppet
  isThere: boolean
}

const truth = (query: number) => listOf(Float32Array.of(1 + query, 0))
const lie = (query: number) => listOf(Float32Array.of(0, 5 + query))
const failure = () => new Error('it fails')

export class SmallWorld {
  readonly #clock = new WatchedClock()
  #predictor!: Predictor
  readonly #machines: Machine[] = []
  readonly #changes = new Feed()
  readonly #used: Record<Kind, number> = { ask: 0, fail: 0, die: 0, leave: 0, rename: 0, abort: 0, lie: 0, wait: 0 }
  readonly #endings: string[] = []
  readonly #leaving: AbortController[] = []
  readonly #choices: Choices
  readonly #ejected = new Set<string>()
  /** What was broken so far. */
  readonly broken: string[] = []
  /** Verdicts, and how queries ended. */
  readonly told: string[] = []

  constructor(choices: Choices) {
    this.#choices = choices
  }

  static async start(choices: Choices): Promise<SmallWorld> {
    const world = new SmallWorld(choices)
    for (let index = 0; index < WORKERS; index++) {
      world.#machines.push({ index, isThere: false, puppet: new Puppet('', '') })
      world.#join(index, `w${index}`)
    }
    world.#predictor = await createPredictor({
      ...{ scheme: { queries: 2, byzantine: 1 }, memory: false, hedge: false, verify: { audit: 0 } },
      ...{
        deadlineMs: DEADLINE_MS,
        hangMs: HANG_MS,
        testing: { clock: world.#clock, seed: 1, core: { prefer: 'js' } },
        onWarning() {},
      },
      workers: world.#changes,
      onVerdict: ({ identity, kind }) => {
        world.told.push(kind)
        if (kind === 'ejected') world.#ejected.add(identity)
        else world.#ejected.delete(identity)
        if (!identity.endsWith(String(LIAR))) world.broken.push(`${identity} is ${kind}, and honest`)
      },
    })
    await world.#settle()
    return world
  }

  #join(index: number, name: string): void {
    const machine = this.#machines[index]
    machine.puppet = new Puppet(name, this.#choices.isKnown === false ? name : `k${index}`, [index === LIAR ? 1e30 : 1])
    machine.isThere = true
    this.#changes.tell({ add: machine.puppet })
  }

  #may(kind: Kind): boolean {
    return this.#used[kind] < (this.#choices.most[kind] ?? 0)
  }

  /** What may happen now. */
  get events(): string[] {
    const all: string[] = []
    if (this.#may('ask')) all.push('ask')
    if (this.#may('wait') && this.#clock.next !== undefined) all.push('wait')
    for (const machine of this.#machines) all.push(...this.#eventsOf(machine).map((kind) => `${kind} ${machine.index}`))
    if (this.#may('abort'))
      for (const [query, ending] of this.#endings.entries()) if (!ending) all.push(`abort ${query}`)
    return all
  }

  #eventsOf({ index, isThere, puppet: { calls, is } }: Machine): string[] {
    if (!isThere) return this.#may('rename') ? ['back', 'rename'] : ['back']
    const own = this.#may('leave') ? ['leave'] : []
    if (is === 'down') return [...own, 'up']
    if (!calls.length) return own
    if (this.#may('die')) own.push('die')
    if (this.#may('fail')) own.push('fail')
    if (index === LIAR && this.#may('lie')) own.push('lie')
    return [...own, 'truth']
  }

  async happen(event: string): Promise<void> {
    const [kind, which] = event.split(' ')
    if (kind in this.#used) this.#used[kind as Kind]++
    if (kind === 'ask') this.#ask()
    else if (kind === 'wait') await this.#clock.run(this.#clock.next)
    else if (kind === 'abort') this.#leaving[Number(which)].abort()
    else this.#move(kind, Number(which))
    await this.#settle()
    this.#check()
  }

  /** Who is ejected gets none but trials, and the count of free slots is that of free slots. */
  #check(): void {
    const { members, capacity } = (this.#predictor as unknown as Opened)._first.dependencies.pool._roster
    let free = 0
    for (const { worker, state, slots } of members.values()) {
      if (state === 'ready') free += Math.max(0, slots.limit - slots.busy)
      const isEjected = this.#ejected.has(worker.identity)
      if (isEjected && state === 'ready') this.broken.push(`${worker.identity} is ejected, and gets queries`)
    }
    if (free !== capacity.free) this.broken.push(`${capacity.free} slots are said to be free, and ${free} are`)
  }

  #move(kind: string, index: number): void {
    const machine = this.#machines[index]
    const { puppet } = machine
    if (kind === 'truth') puppet.end(truth)
    else if (kind === 'lie') puppet.end(lie)
    else if (kind === 'fail') puppet.end(failure)
    else if (kind === 'die') {
      puppet.is = 'down'
      if (puppet.calls.length) puppet.end(failure)
    } else if (kind === 'up') {
      puppet.is = 'up'
      puppet.onFree?.()
    } else if (kind === 'back') this.#join(index, puppet.name)
    else if (kind === 'rename') this.#join(index, `n${index}`)
    else {
      machine.isThere = false
      this.#changes.tell({ remove: puppet.name })
    }
  }

  #ask(): void {
    const query = this.#endings.push('') - 1
    const leaving = new AbortController()
    this.#leaving.push(leaving)
    this.#predictor.predict(Float32Array.of(query + 0.5, 0), { signal: leaving.signal }).then(
      ({ status, output }) => {
        this.#end(query, status)
        const isTrue = output.y.data[0] === 1 + query && output.y.data[1] === 0
        if (status === 'exact' && !isTrue) this.broken.push(`query ${query} is exact, and a lie`)
      },
      ({ code, message }) => {
        this.#end(query, code ?? message)
      },
    )
  }

  #end(query: number, ending: string): void {
    this.#endings[query] = ending
    this.told.push(ending)
  }

  #settle(): Promise<void> {
    return this.#clock.run(this.#clock.now())
  }

  /** All that decides what happens next. */
  state(reading: Reading): string {
    const open = this.#endings.flatMap((ending, query) => (ending ? [] : `q${query}`))
    const machines = this.#machines.map(({ index, isThere, puppet }) => {
      return [`k${index}`, `n${index}`, index === LIAR, isThere, puppet]
    })
    const roots = [`k${LIAR}`, this.#used, this.#predictor, new Unordered(machines), new Unordered(open)]
    return canonical(this.#choices.most.wait ? [...roots, this.#clock.now(), this.#clock.inOrder] : roots, reading)
  }

  async close(): Promise<void> {
    await this.#predictor.close()
    await this.#settle()
  }

  /** Everybody comes back and answers: then every query has its answer, before its deadline, and nothing is left at a worker. */
  async finish(): Promise<void> {
    for (let event = this.#homeward; event; event = this.#homeward) await this.happen(event)
    for (const [query, ending] of this.#endings.entries()) {
      if (!ending) this.broken.push(`query ${query} has no end, though all workers answered`)
    }
  }

  /** Nothing more has to happen, and yet a query waits. */
  get isStuck(): boolean {
    return !this.#homeward && this.#endings.includes('')
  }

  /** What has to happen before all is done: of what may happen in any state. */
  get #homeward(): string | undefined {
    const away = this.#machines.find(({ isThere }) => !isThere)
    const down = this.#machines.find(({ puppet }) => puppet.is === 'down')
    const busy = this.#machines.find(({ puppet }) => puppet.calls.length)
    return (away && `back ${away.index}`) ?? (down && `up ${down.index}`) ?? (busy && `truth ${busy.index}`)
  }
}
