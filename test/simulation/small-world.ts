/** Five workers, one of which may lie, and a few queries; every event happens when it is told to. The real predictor, pool and trust. */

import { createPredictor } from '../../src/predictor/create'
import type { Predictor } from '../../src/predictor/predictor'
import type { TensorList } from '../../src/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'
import { Feed } from '../shared/feed'
import { listOf } from '../shared/vectors'
import { signature } from './model'

export const WORKERS = 5
const LIAR = 0
/** Of each at most so many, so that there is an end. */
const MOST = { ask: 3, fail: 2, leave: 2, abort: 1, lie: 4 } as const
type Kind = keyof typeof MOST

/** Told to answer, lie and fail. */
class Puppet implements ModelWorker {
  readonly signature = signature
  onFree: (() => void) | undefined
  readonly name: string
  readonly calls: { query: number; settle(outcome: TensorList | Error): void }[] = []
  isClosed = false

  constructor(readonly index: number) {
    this.name = `w${index}`
  }

  get free(): boolean {
    return !this.isClosed && !this.calls.length
  }

  infer([{ data }]: TensorList): Promise<TensorList> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: TensorList | Error) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))
      this.calls.push({ query: data[0] as number, settle })
    })
  }

  end(outcome: (query: number) => TensorList | Error): void {
    const call = this.calls.shift()
    call?.settle(outcome(call.query))
    this.onFree?.()
  }

  async close(): Promise<void> {
    this.isClosed = true
    while (this.calls.length) this.end(() => new Error('closed'))
  }
}

const truth = (query: number) => listOf(Float32Array.of(1 + query, 0))
const lie = (query: number) => listOf(Float32Array.of(0, 5 + query))

export class SmallWorld {
  readonly #clock = new VirtualClock()
  #predictor!: Predictor
  readonly #puppets: Puppet[] = []
  readonly #there: boolean[] = []
  readonly #changes = new Feed()
  readonly #used: Record<Kind, number> = { ask: 0, fail: 0, leave: 0, abort: 0, lie: 0 }
  readonly #endings: string[] = []
  readonly #leaving: AbortController[] = []
  /** What was broken so far. */
  readonly broken: string[] = []

  static async start(): Promise<SmallWorld> {
    const world = new SmallWorld()
    for (let i = 0; i < WORKERS; i++) world.#join(i)
    world.#predictor = await createPredictor({
      ...{ scheme: { queries: 2, byzantine: 1 }, memory: false, hedge: false, verify: { audit: 0 } },
      ...{ deadlineMs: 1e6, hangMs: 1e6, testing: { clock: world.#clock, seed: 1 }, onWarning() {} },
      workers: world.#changes,
      onVerdict: ({ identity, kind }) => {
        if (identity !== `w${LIAR}`) world.broken.push(`${identity} is ${kind}, and honest`)
      },
    })
    await world.#settle()
    return world
  }

  #join(index: number): void {
    this.#puppets[index] = new Puppet(index)
    this.#there[index] = true
    this.#changes.tell({ add: this.#puppets[index] })
  }

  /** What may happen now. */
  get events(): string[] {
    const all: string[] = []
    const may = (kind: Kind) => this.#used[kind] < MOST[kind]
    if (may('ask')) all.push('ask')
    const told = new Set<string>()
    for (const { index, calls } of this.#puppets) {
      const like = this.#of(index)
      if (index !== LIAR && told.has(like)) continue
      told.add(like)
      if (!this.#there[index]) all.push(`back ${index}`)
      else if (may('leave')) all.push(`leave ${index}`)
      if (!this.#there[index] || !calls.length) continue
      all.push(`truth ${index}`)
      if (may('fail')) all.push(`fail ${index}`)
      if (index === LIAR && may('lie')) all.push(`lie ${index}`)
    }
    if (may('abort')) for (const [query, ending] of this.#endings.entries()) if (!ending) all.push(`abort ${query}`)
    return all
  }

  async happen(event: string): Promise<void> {
    const [kind, which] = event.split(' ')
    const index = Number(which)
    if (kind in this.#used) this.#used[kind as Kind]++
    const puppet = this.#puppets[index]
    if (kind === 'ask') this.#ask()
    else if (kind === 'truth') puppet.end(truth)
    else if (kind === 'lie') puppet.end(lie)
    else if (kind === 'fail') puppet.end(() => new Error('it fails'))
    else if (kind === 'abort') this.#leaving[index].abort()
    else if (kind === 'back') this.#join(index)
    else {
      this.#there[index] = false
      this.#changes.tell({ remove: puppet.name })
    }
    await this.#settle()
  }

  #ask(): void {
    const query = this.#endings.push('') - 1
    const leaving = new AbortController()
    this.#leaving.push(leaving)
    this.#predictor.predict(Float32Array.of(query, 0), { signal: leaving.signal }).then(
      ({ status, output }) => {
        this.#endings[query] = status
        const isTrue = output.y.data[0] === 1 + query && output.y.data[1] === 0
        if (status === 'exact' && !isTrue) this.broken.push(`query ${query} is exact, and a lie`)
      },
      ({ code, message }) => {
        this.#endings[query] = code ?? message
      },
    )
  }

  #settle(): Promise<void> {
    return this.#clock.run(this.#clock.now())
  }

  /** All that decides what happens next, but for the order in which free workers take turns. Honest ones are alike. */
  get state(): string {
    const [liar, ...honest] = this.#puppets.map(({ index }) => this.#of(index))
    return JSON.stringify([this.#used, this.#endings, liar, honest.sort()])
  }

  #of(index: number): string {
    const { name, calls } = this.#puppets[index]
    const known = this.#predictor.stats().workers.find(({ worker }) => worker === name)
    const trust = known && [known.lies, known.ejections, known.rightAnswersLeft]
    return JSON.stringify([this.#there[index] ? calls.map(({ query }) => query) : 'away', trust])
  }

  async close(): Promise<void> {
    await this.#predictor.close()
    await this.#settle()
  }

  /** Everybody comes back and answers: then every query has its answer, and nothing is left at a worker. */
  async finish(): Promise<void> {
    for (let i = 0; i < WORKERS; i++) if (!this.#there[i]) this.#join(i)
    await this.#settle()
    for (let busy = this.#busy; busy; busy = this.#busy) {
      busy.end(truth)
      await this.#settle()
    }
    for (const [query, ending] of this.#endings.entries()) {
      if (!ending) this.broken.push(`query ${query} has no end, though all workers answered`)
    }
  }

  get #busy(): Puppet | undefined {
    return this.#puppets.find(({ calls, isClosed }) => calls.length && !isClosed)
  }
}
