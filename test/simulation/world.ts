/** Runs a schedule: the real predictor, pool, trust and memory on workers and callers of a simulated world. */

import { createPredictor } from '../../src/predictor/create'
import type { Predictor } from '../../src/predictor/predictor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Feed } from '../shared/feed'
import { Actor, type Lying } from './actor'
import { type Entry, type History, type Promised, violations } from './history'
import { labelOf, ownAnswer } from './model'
import { type Event, HANG_MS, least, type Machine, type Schedule } from './schedule'

/** What proven answers may differ by: `verify.rounding` of what the answers vary by, and some room. */
const ROUNDING = 0.01
/** Hedges that may be saved up, as docs/reference.md has it. */
const BURST = 10

type Ask = Event & { what: 'ask' }

class World {
  readonly clock = new VirtualClock()
  readonly entries: Entry[] = []
  readonly #schedule: Schedule
  /** Of every machine, by identity: who comes back lies as before. */
  readonly #lying = new Map<string, Lying>()
  readonly #actors = new Map<string, Actor>()
  readonly #queries = new Map<string, number>()
  readonly #changes = new Feed()
  /** Names of those that have not left. */
  readonly #there = new Set<string>()
  #model = 0
  #unreported = 0

  constructor(schedule: Schedule) {
    this.#schedule = schedule
  }

  async run(): Promise<History> {
    const { options, machines, events, seed } = this.#schedule
    for (const machine of machines) this.#changes.tell({ add: this.#born(machine) })
    const predictor = await createPredictor({
      ...options,
      workers: this.#changes,
      testing: { clock: this.clock, seed },
      onWarning() {},
      onVerdict: ({ identity, kind }) => this.#note({ what: 'verdict', identity, kind }),
    })
    for (const event of events) this.clock.after(event.at, () => this.#happens(event, predictor))
    await this.clock.run()
    await this.#lively(predictor)
    const stats = predictor.stats()
    this.#note({ what: 'hedges', sent: stats.hedges.sent })
    const { exact, checked, recovered, unverified, failed } = stats
    const ended = exact + checked + recovered + unverified + Object.values(failed).reduce((sum, n) => sum + n, 0)
    await predictor.close()
    await this.clock.run(this.clock.now() + HANG_MS)
    await this.clock.run()
    const running = [...this.#actors.values()].reduce((sum, { open }) => sum + open, 0)
    this.#note({ what: 'over', ended, timers: this.clock.pending, running, unreported: this.#unreported })
    return { promised: promisedBy(this.#schedule), entries: this.entries }
  }

  /** All that was wrong is over: a query is answered, at worst when a worker is given up that happens to take very long. */
  async #lively(predictor: Predictor): Promise<void> {
    const { events } = this.#schedule
    for (const [, actor] of this.#actors) actor.change('well')
    const query =
      1 +
      Math.max(-1, ...events.flatMap((event) => (event.what === 'ask' ? event.query + (event.more?.length ?? 0) : [])))
    const lively = this.#there.size >= least(this.#schedule) // else nothing was promised
    const [at, row] = [this.clock.now(), [0.5, 0.25] as [number, number]]
    void this.#ask({ at, what: 'ask', query, row, tenant: '', deadlineMs: 3 * HANG_MS, lively }, predictor)
    await this.clock.run()
  }

  #note(entry: Entry extends infer E ? (E extends Entry ? Omit<E, 'at'> : never) : never): void {
    this.entries.push({ at: this.clock.now(), ...entry } as Entry)
  }

  #born(machine: Machine): Actor {
    const { identity } = machine
    const lying = this.#lying.get(identity) ?? { strategy: undefined, share: 0 }
    this.#lying.set(identity, lying)
    const queryOf = (row: Float32Array) => this.#queries.get(row.join())
    const model = () => this.#model
    const witnessed = {
      get model() {
        return model()
      },
      given: ({ name }: Actor, row: Float32Array, fits: boolean) =>
        this.#note({ what: 'given', query: queryOf(row), worker: name, identity, fits }),
      replied: ({ name }: Actor, row: Float32Array, lied: boolean, told: Float32Array) =>
        this.#note({ what: 'replied', query: queryOf(row), worker: name, identity, lied, says: labelOf(told) }),
      ended: ({ name, restart }: Actor, ms: number) =>
        ms > HANG_MS && this.#note({ what: 'hung', worker: name, ms, restarts: restart !== undefined }),
    }
    const actor = new Actor(machine, lying, this.clock, witnessed, this.#schedule.seed)
    this.#actors.set(machine.name, actor)
    this.#there.add(machine.name)
    this.#note({ what: 'joins', worker: machine.name })
    return actor
  }

  #happens(event: Event, predictor: Predictor): void {
    if (event.what === 'ask') {
      const rows = [event.row, ...(event.more ?? [])]
      for (const [i, row] of rows.entries()) void this.#ask({ ...event, query: event.query + i, row }, predictor)
    } else if (event.what === 'mood') this.#actors.get(event.worker)?.fall(event.mood, event.forMs)
    else if (event.what === 'lie') Object.assign(this.#lying.get(event.identity) ?? {}, event)
    else if (event.what === 'leave') this.#leaves(event)
    else if (event.what === 'join') this.#changes.tell({ add: this.#born(event.machine) })
    else if (event.what === 'forget') predictor.forget(event.tenant)
    else this.#changes.tell({ model: `model ${++this.#model}` })
  }

  #leaves({ worker, how }: Event & { what: 'leave' }): void {
    this.#note({ what: 'leaves', worker })
    this.#there.delete(worker)
    this.#changes.tell(how === 'remove' ? { remove: worker } : { drain: worker })
  }

  /** With the answer of the model that is nearest, of those that there were since it was asked. */
  #compared(row: Float32Array, told: Float32Array, first: number): { off: number; label: boolean } {
    const models = Array.from({ length: this.#model - first + 1 }, (_, i) => ownAnswer(row, first + i))
    const compared = models.map((own) => ({
      off: Math.max(...told.map((value, i) => Math.abs(value - own[i]))),
      label: labelOf(own) === labelOf(told),
    }))
    return compared.reduce((best, each) => (each.off < best.off ? each : best))
  }

  async #ask(event: Ask, predictor: Predictor): Promise<void> {
    const { query, tenant, deadlineMs, policy, atDeadline, leavesAfter, lively = false } = event
    const row = Float32Array.from(event.row)
    const first = this.#model
    this.#queries.set(row.join(), query)
    const leaving = new AbortController()
    const dueAt = this.clock.now() + deadlineMs
    const chosen = policy ?? this.#schedule.options.policy ?? 'auto'
    this.#note({ what: 'asked', query, dueAt, policy: chosen, gives: atDeadline === 'give', lively })
    let isOpen = true
    if (leavesAfter !== undefined) {
      this.clock.after(leavesAfter, () => {
        if (isOpen) this.#note({ what: 'left', query })
        leaving.abort()
      })
    }
    try {
      const choices = { deadlineMs, ...(policy && { policy }), ...(atDeadline && { atDeadline }) }
      const given = predictor.predict(row, { ...choices, signal: leaving.signal, ...(tenant && { tenant }) })
      const { status, confidence, output, workers, group } = await given
      this.#unreported++
      void group.then(() => this.#unreported--)
      const told = output.y.data as Float32Array
      const { off, label } = this.#compared(row, told, first)
      this.#note({ what: 'answered', query, status, confidence, workers, off, label, says: labelOf(told) })
    } catch (error) {
      const { code = `${(error as Error).message}` } = error as { code?: string }
      this.#note({ what: 'failed', query, code })
    }
    isOpen = false
  }
}

/** What the documentation says of these options. */
function promisedBy({ options: { scheme, limits, hedge }, isSpared }: Schedule): Promised {
  const byzantine = scheme?.byzantine ?? 0
  return {
    byzantine,
    preset: scheme?.preset !== undefined,
    answersIn: isSpared ? 2 * HANG_MS : Number.POSITIVE_INFINITY,
    hangMs: HANG_MS,
    limit: limits?.queries ?? Number.POSITIVE_INFINITY,
    minConfidence: byzantine ? 0.98 : 0.9,
    hedges: { burst: BURST, share: hedge ? (hedge.budget ?? 0.2) : 0 },
    rounding: ROUNDING,
  }
}

/** @throws Error where the run itself throws */
export function run(schedule: Schedule): Promise<History> {
  return new World(schedule).run()
}

/** What a schedule breaks, and all that happened, unless the run itself throws. */
export async function tried(schedule: Schedule): Promise<{ found: string[]; history?: History }> {
  try {
    const history = await run(schedule)
    return { found: violations(history), history }
  } catch (error) {
    return { found: [`the run throws: ${(error as Error).stack}`] }
  }
}
