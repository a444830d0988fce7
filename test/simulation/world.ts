/** Runs a schedule: the real predictor, pool, trust and memory on workers and callers of a simulated world. */

import { seeded } from '../../src/base/random'
import { rootMeanSquare } from '../../src/base/stats'
import { OVERTIME_MS } from '../../src/service'
import { TickingClock } from '../shared/ticking-clock'
import { Actor, type Lying } from './actor'
import type { Found } from './disk'
import { bitsOf, bitsOfData, textsOf, turned } from './elements'
import { GatewayCallers, type Told } from './gateway-callers'
import { type Entry, type History, type Promised, violations } from './history'
import { labelOf, ownAnswer } from './model'
import { CALM, Network } from './network'
import { codingStreams } from './packing'
import { type Event, HANG_MS, least, type Machine, type Schedule, threadDraw } from './schedule'
import { type Loads, Serving } from './serving'
import { Direct, type Transport, transportOf } from './transport'

/** What proven answers may differ by, over the size of the model's own, or 1, about as large as these usually are: `verify.rounding`, and what honest workers round by. */
const ROUNDING = 1.1e-4
/** Hedges that may be saved up, as docs/reference/options.md has it. */
const BURST = 10

/** Looks at the clock in one turn, or in several that follow each other at once, at most: crowds ask for sixteen rows each. */
const LOOKS = 4000

/** A gateway that ends waits for what it saves: a thread's message that was lost is given up by then. */
const SAVED_MS = 31_000
/** After the last event over a network, by which all that was asked has had its end. */
const SETTLED_MS = 1500

/** Queries of callers who come back are numbered from here on. */
const BACK = 2e6

type Ask = Event & { what: 'ask' }

class World {
  readonly clock: TickingClock
  readonly entries: Entry[] = []
  readonly #schedule: Schedule
  /** Of every machine, by identity: who comes back lies as before, and has the model that it had. */
  readonly #lying = new Map<string, Lying>()
  readonly #models = new Map<string, number>()
  readonly #actors = new Map<string, Actor>()
  readonly #retired: Actor[] = []
  readonly #queries = new Map<string, number>()
  /** Rows that take workers down. */
  readonly #deadly = new Set<string>()
  readonly #transport: Transport
  readonly #serving: Serving
  readonly #callers: GatewayCallers | undefined
  /** Names of those that are there. */
  readonly #present = new Set<string>()
  /** Identities that are ejected now. */
  #ejected = new Set<string>()
  /** Whether something is mixed or learned, so that queries have to be finite. */
  readonly #mixes: boolean
  /** Of these, whether answers are decoded or held against each other, so that NaN is a fault: else it is an answer like others. */
  readonly #judges: boolean
  #model = 0

  constructor(schedule: Schedule) {
    this.#schedule = schedule
    this.clock = new TickingClock(schedule.tickMs ?? 0)
    const { scheme, memory, policy, verify } = schedule.options
    this.#mixes = Boolean(scheme || memory || policy !== 'retry')
    this.#judges = this.#mixes && Boolean(scheme || verify?.mode === 'sampled' || verify?.trust === 'open')
    const { seed, wire } = schedule
    const network = new Network(this.clock, seed, wire?.weather ?? CALM)
    const modelOf = (identity: string) => this.#models.get(identity) ?? 0
    this.#transport = transportOf(wire, network, modelOf, ({ machine }) => this.#born(machine))
    this.#serving = new Serving(schedule, this.clock, this.#transport, {
      verdict: ({ identity, kind }, serves) => this.#verdict(this.#transport.identityOf(identity), kind, serves),
      loads: (entry) => this.#loads(entry),
      ejected: () => [...this.#ejected],
      fares: ({ id, state }) => void this.#note({ what: 'fares', model: id, state }),
      recalled: ({ identity, ids }) => void this.#note({ what: 'recalled', identity, ids }),
    })
    if (!wire?.isServed) return
    const witness = {
      asked: (event: Ask) => this.#asks(event),
      sent: (exchange: number, kind: string) => this.#note({ what: 'sent', exchange, kind }),
      told: (exchange: number, status: number, why: string, version?: string) => void this.#note({ what: 'told', exchange, status, why, ...(version !== undefined && { version }) }), // biome-ignore format: one line
    }
    this.#callers = new GatewayCallers(
      () => this.#serving.gateway,
      network,
      witness,
      { ...wire.callers, mixes: this.#mixes, element: schedule.element },
      seed,
    )
  }

  async run(): Promise<History> {
    const { machines, events } = this.#schedule
    for (const machine of machines) this.#joins(machine)
    await this.#serving.start()
    const start = this.clock.now()
    for (const event of events) this.clock.after(event.at, () => this.#happens(event))
    const pausedMs = events.reduce((sum, event) => sum + (event.what === 'pause' ? event.forMs : 0), 0)
    await this.#settled(start + pausedMs + Math.max(0, ...events.map(({ at }) => at)))
    await this.#lively()
    await this.clock.run(start + (this.#schedule.wire?.disk?.hangs?.until ?? 0))
    const { sent, ended, unended } = await this.#serving.end()
    this.#note({ what: 'hedges', sent })
    const closed = this.#transport.close()
    await this.clock.run(this.clock.now() + HANG_MS)
    if (threadDraw(this.#schedule.seed)) await this.clock.run(this.clock.now() + SAVED_MS)
    await this.#settled(this.clock.now())
    await closed
    const running = runningOf([...this.#actors.values(), ...this.#retired])
    this.#note({ what: 'over', ended, timers: this.clock.pending, running, unended })
    return { promised: promisedBy(this.#schedule), entries: this.entries }
  }

  /** All that was asked has had its end: without a network nothing is left to happen then. */
  async #settled(last: number): Promise<void> {
    if (this.#schedule.wire) await this.clock.run(last + SETTLED_MS)
    else await this.clock.run()
  }

  /** All that was wrong is over: a query is answered, at worst when a worker is given up that happens to take very long. */
  async #lively(): Promise<void> {
    const { events } = this.#schedule
    this.#transport.calm()
    if (this.#schedule.wire) await this.clock.run(this.clock.now()) // what had stopped fails now, which is heard first
    for (const [, actor] of this.#actors) actor.change('well')
    const missing = await this.#serving.well(this.#present)
    // Over HTTP a liar has another model, by its answer to the probe.
    if (!this.#schedule.options.scheme?.byzantine) for (const worker of missing) this.#note({ what: 'missing', worker })
    const query =
      1 +
      Math.max(-1, ...events.flatMap((event) => (event.what === 'ask' ? event.query + (event.more?.length ?? 0) : [])))
    // Else nothing was promised. Over a network a liar is no member, by what it answers to the probe, or by its model.
    const { wire, options } = this.#schedule
    const isServed = this.#present.size >= least(this.#schedule) && !this.#serving.isStuck
    const lively = isServed && !(wire && options.scheme?.byzantine)
    const [at, row] = [this.clock.now(), [0.5, 0.25] as [number, number]]
    this.#ask({ at, what: 'ask', query, row, tenant: '', deadlineMs: 3 * HANG_MS, lively })
    await this.#settled(this.clock.now())
  }

  #note(entry: Entry extends infer E ? (E extends Entry ? Omit<E, 'at'> : never) : never): Entry {
    const noted = { at: this.clock.turn, ...entry } as Entry
    this.entries.push(noted)
    return noted
  }

  #born(machine: Machine): Actor {
    const { identity, name } = machine
    const lying = this.#lying.get(identity) ?? { strategy: undefined, share: 0 }
    this.#lying.set(identity, lying)
    const queryOf = (row: Float32Array) => this.#queries.get(row.join())
    const model = () => this.#models.get(identity) ?? 0
    const { wire } = this.#schedule // nobody restarts a machine over a network
    const says = (told: Float32Array) => this.#says(told)
    const witnessed = {
      get model() {
        return model()
      },
      isDeadly: (row: Float32Array) => this.#deadly.has(row.join()),
      killed: ({ name }: Actor, row: Float32Array) =>
        void this.#note({ what: 'killed', query: queryOf(row), worker: name, isLeaving: !this.#present.has(name) }),
      given: ({ name }: Actor, row: Float32Array, fits: boolean) =>
        void this.#note({ what: 'given', query: queryOf(row), worker: name, identity, fits }),
      replied: ({ name }: Actor, row: Float32Array, told: Float32Array, how: { lied: boolean; isNear: boolean }) =>
        void this.#note({ what: 'replied', query: queryOf(row), worker: name, identity, ...how, says: says(told) }),
      ended: ({ name, restart }: Actor, ms: number) =>
        void (ms > HANG_MS && this.#note({ what: 'hung', worker: name, ms, restarts: restart !== undefined && !wire })),
    }
    const actor = new Actor(machine, lying, this.clock, witnessed, this.#schedule.seed, this.#schedule.element)
    if (this.#schedule.wire?.transport === 'nats') actor.fingerprint = `model ${model()}`
    const before = this.#actors.get(name)
    if (before) this.#retired.push(before)
    this.#actors.set(name, actor)
    if (!this.#models.has(identity)) this.#models.set(identity, this.#model)
    this.#note({ what: 'joins', worker: name })
    return actor
  }

  /** Over a network machines have another model one after the other: a late answer may be of the one before. */
  #says(told: Float32Array): number | undefined {
    return this.#schedule.wire ? undefined : labelOf(told)
  }

  /** @param serves  whether it is of what serves now: of one that ends nobody else hears */
  #verdict(identity: string, kind: string, serves: boolean): void {
    if (kind === 'ejected' && serves) this.#ejected.add(identity)
    if (kind === 'readmitted' && serves) this.#ejected.delete(identity)
    this.#note({ what: 'verdict', identity, kind })
  }

  #loads(entry: Loads): void {
    if (entry.what === 'loaded') this.#ejected = new Set(entry.ejected)
    const closed = [...this.#actors.values(), ...this.#retired].filter(({ isClosed }) => isClosed)
    if (entry.what === 'unloaded') this.#note({ ...entry, running: runningOf(closed) })
    else this.#note(entry)
  }

  async #restarts(isKilled: boolean, found: Found): Promise<void> {
    const restarted = await this.#serving.restart(isKilled, found)
    if (!restarted) return
    this.#ejected = new Set(restarted.ejected)
    this.#note({ what: 'restart', ...restarted })
  }

  #happens(event: Event): void {
    if (event.what === 'ask') {
      const rows = [event.row, ...(event.more ?? [])]
      if (event.isTogether) void this.#predictsAll(event, rows)
      else for (const [i, row] of rows.entries()) this.#ask({ ...event, query: event.query + i, row })
    } else if (event.what === 'mood') {
      const mood = event.mood === 'nan' && !this.#judges ? 'short' : event.mood
      this.#actors.get(event.worker)?.fall(mood, event.forMs)
    } else if (event.what === 'lie') Object.assign(this.#lying.get(event.identity) ?? {}, event)
    else if (event.what === 'leave') this.#leaves(event)
    else if (event.what === 'join') this.#joins(event.machine)
    else if (event.what === 'forget') this.#forgets(event.tenant)
    else if (event.what === 'pause') this.#pauses(event.forMs)
    else if (event.what === 'bounce') this.#transport.restart(event.worker, event.forMs)
    else if (event.what === 'cut') this.#transport.cut?.(event.worker, event.forMs)
    else if (event.what === 'restart') void this.#restarts(event.isKilled, event.found)
    else if (event.what === 'load' || event.what === 'unload') this.#reloads(event)
    else this.#renews()
  }

  #reloads(event: Event & { what: 'load' | 'unload' }): void {
    if (!this.#serving.isUp) return // it begins with one
    void (event.what === 'load' ? this.#serving.load(event.fails === true) : this.#serving.unload())
  }

  #pauses(ms: number): void {
    this.clock.spend(ms)
    this.clock.turn = this.clock.now()
    this.#note({ what: 'stalled', ms })
  }

  #forgets(tenant: string): void {
    this.#serving.predictor?.forgetTenant(tenant)
    this.#note({ what: 'forgets', tenant })
  }

  #joins(machine: Machine): void {
    this.#present.add(machine.name)
    this.#transport.join(this.#born(machine))
  }

  #leaves({ worker, how }: Event & { what: 'leave' }): void {
    // What was sent to it may be on its way.
    if (!this.#schedule.wire) this.#note({ what: 'leaves', worker })
    this.#present.delete(worker)
    this.#transport.leave(worker, how)
  }

  /** All machines get another model: at once where that is told, else one after the other, most in a restart. */
  #renews(): void {
    const model = ++this.#model
    if (this.#transport instanceof Direct) {
      for (const identity of this.#models.keys()) this.#models.set(identity, model)
      this.#note({ what: 'renews' })
      return this.#transport.renew(`model ${model}`)
    }
    const random = seeded(this.#schedule.seed)
    const { options, events } = this.#schedule
    const paceMs = options.rollout ? (events.at(-1)?.at ?? 0) / 5 : 20 // for as long as a new model shows itself
    for (const [i, identity] of [...this.#models.keys()].entries()) {
      this.clock.after(i * paceMs * random.next(), () => {
        this.#models.set(identity, model)
        // A server may change its model as it goes, too: its replies say that it has another version.
        if (this.#schedule.wire?.transport === 'http' && random.next() < 0.5) return
        const name = [...this.#present].find((each) => this.#actors.get(each)?.identity === identity)
        if (name !== undefined) this.#transport.restart(name, 10 + 30 * random.next())
      })
    }
  }

  /** With the answer of the model that is nearest, of those that there were since it was asked. */
  #compared(
    row: Float32Array,
    told: Float32Array,
    first: number,
    bits?: string,
  ): { off: number; label: boolean; model: number } {
    const { element } = this.#schedule
    const isOther = element && bits !== bitsOf(element, turned(textsOf(element, row)))
    const models = Array.from({ length: this.#model - first + 1 }, (_, i) => ownAnswer(row, first + i))
    const compared = models.map((own, i) => ({
      off: isOther
        ? 1e9
        : Math.max(...told.map((value, i) => Math.abs(value - own[i]))) / Math.max(1, rootMeanSquare(own)),
      label: labelOf(own) === labelOf(told),
      model: first + i,
    }))
    return compared.reduce((best, each) => (each.off < best.off ? each : best))
  }

  #ask(event: Ask): void {
    if (!this.#serving.isUp) return // nobody listens
    if (this.#callers) this.#callers.ask(event)
    else void this.#predicts(event)
  }

  /** Notes that a query is asked now. @returns notes how it ends */
  #asks({ query, row, tenant, deadlineMs, policy, atDeadline, lively = false, isDeadly, before }: Ask) {
    const values = Float32Array.from(row)
    if (isDeadly) this.#deadly.add(values.join())
    const first = Math.min(...this.#models.values())
    const repeats = this.#schedule.options.reuse?.exact
    const like = repeats ? (this.#queries.get(values.join()) ?? query) : query
    this.#queries.set(values.join(), like)
    const dueAt = this.clock.now() + deadlineMs
    const chosen = policy ?? this.#schedule.options.policy ?? 'auto'
    this.#note({ what: 'asked', query, dueAt, policy: chosen, gives: atDeadline === 'give', lively, ...(repeats && { like, tenant }), ...(before !== undefined && { before }) }) // biome-ignore format: one line
    let isOpen = true
    return {
      answered: ({ status, confidence, values: told, bits, workers: names, id, reused }: Told) => {
        isOpen = false
        const workers = names.map((name) => this.#transport.nameOf(name))
        // Over a network who serves hears of another model when it asks, and then gives no answer of the one before.
        const compared = this.#compared(values, told, repeats && !(this.#transport instanceof Direct) ? 0 : first, bits)
        const more = { ...(id !== undefined && { id }), ...(repeats && { reused: reused === true, told: told.join() }) }
        this.#note({ what: 'answered', query, status, confidence, workers, ...compared, says: this.#says(told), ...more }) // biome-ignore format: one line
      },
      failed: (code: string, retryMs?: number) => {
        isOpen = false
        this.#note({ what: 'failed', query, code, ...(retryMs !== undefined && { retryMs }) })
      },
      left: () => {
        if (isOpen) this.#note({ what: 'left', query })
      },
    }
  }

  async #predicts(event: Ask): Promise<void> {
    const asked = this.#asks(event)
    const options = this.#optionsOf(event, asked.left)
    try {
      const { output, ...rest } = await this.#serving.predict(event.query, Float32Array.from(event.row), options)
      const bits = output.w && bitsOfData(output.w.data)
      asked.answered({ ...rest, values: output.y.data as Float32Array, bits })
    } catch (error) {
      const { code = `${(error as Error).message}`, retryMs } = error as { code?: string; retryMs?: number }
      asked.failed(code, retryMs)
      if (code === 'OVERLOADED' && retryMs !== undefined && event.comesBack) this.#comesBack(event, retryMs)
    }
  }

  /** All of them end when the last one does, as their caller hears of it. */
  async #predictsAll(event: Ask, rows: readonly [number, number][]): Promise<void> {
    if (!this.#serving.isUp) return
    const all = rows.map((row, i) => this.#asks({ ...event, query: event.query + i, row }))
    const options = this.#optionsOf(event, () => {
      for (const { left } of all) left()
    })
    try {
      const values = rows.map((row) => Float32Array.from(row))
      for (const [i, { output, ...rest }] of (await this.#serving.predictAll(event.query, values, options)).entries())
        all[i].answered({ ...rest, values: output.y.data as Float32Array, bits: output.w && bitsOfData(output.w.data) })
    } catch (error) {
      const { code = `${(error as Error).message}` } = error as { code?: string }
      for (const { failed } of all) failed(code)
    }
  }

  /** @param left  told when its caller leaves */
  #optionsOf({ tenant, deadlineMs, policy, atDeadline, leavesAfter, priority, weight }: Ask, left: () => void) {
    const leaving = new AbortController()
    if (leavesAfter !== undefined) {
      this.clock.after(leavesAfter, () => {
        left()
        leaving.abort()
      })
    }
    return {
      ...{ deadlineMs, signal: leaving.signal, ...(policy && { policy }), ...(atDeadline && { atDeadline }) },
      ...{ ...(tenant && { tenant }), ...(priority && { priority }), ...(weight && { weight }) },
    }
  }

  /** With another query, since nobody else's is equal. */
  #comesBack({ query, row: [a, b], ...event }: Ask, afterMs: number): void {
    const again: Ask = { ...event, query: query + BACK, row: [a, b + 1 / 16], comesBack: false, before: query }
    this.clock.after(afterMs, () => this.#ask(again))
  }
}

const runningOf = (actors: readonly Actor[]) => actors.reduce((sum, { open }) => sum + open, 0)

/** What the documentation says of these options. */
function promisedBy({
  options: { scheme, limits, hedge, reuse, rollout, verify },
  isSpared,
  events,
  machines,
  tickMs,
  seed,
  isShared,
}: Schedule): Promised {
  const byzantine = scheme?.byzantine ?? 0
  return {
    byzantine,
    ...(verify?.trust === 'open' && { open: { integrity: verify.integrity as number, own: machines[0].identity } }),
    isRolled: rollout !== undefined,
    ...(verify?.mode === 'sampled' && { sampled: { rate: verify.rate ?? 1 } }),
    maxError: reuse?.maxError ?? 0,
    ledgers: 1 + events.filter(({ what }) => ['renew', 'forget', 'restart', 'load', 'unload'].includes(what)).length,
    preset: scheme?.preset !== undefined,
    answersIn: isSpared ? 2 * HANG_MS : Number.POSITIVE_INFINITY,
    hangMs: HANG_MS,
    limit: limits?.queries ?? Number.POSITIVE_INFINITY,
    minConfidence: byzantine ? 0.98 : 0.9,
    // Twice as many where a worker has several: it does not tell which one it died of. Of a batch each is asked again alone, and counts then.
    ...(machines.every(({ batch, takesNext }) => batch === 1 && !takesNext) && {
      kills: Math.max(2, (scheme?.stragglers ?? 0) + byzantine + 1) * (machines.some(({ slots }) => slots > 1) ? 2 : 1),
    }),
    hedges: {
      burst:
        BURST * ((isShared ? 2 : 1) + events.filter(({ what }) => ['restart', 'load', 'unload'].includes(what)).length),
      share: hedge ? (hedge.budget ?? 0.2) : 0,
    },
    rounding: ROUNDING,
    ...(tickMs && { turnMs: LOOKS * tickMs }),
    ...(threadDraw(seed) && { overtimeMs: OVERTIME_MS }),
  }
}

/** One at a time where it goes over a network: what servers are asked when depends on `Math.random`, and long texts are read in turns, for which time stands still. @throws Error where the run itself throws */
export async function run(schedule: Schedule): Promise<History> {
  const { random } = Math
  const { setTimeout, CompressionStream, DecompressionStream } = globalThis
  if (schedule.wire) Math.random = seeded(schedule.seed).next
  try {
    const world = new World(schedule)
    const turn = (f: () => void) => {
      const release = world.clock.hold()
      return setImmediate(() => {
        f()
        release()
      })
    }
    const timer = (f: () => void, ms?: number) => (!ms ? turn(f) : setTimeout(f, ms))
    if (schedule.wire) globalThis.setTimeout = timer as unknown as typeof setTimeout
    if (schedule.wire?.callers.packs) Object.assign(globalThis, codingStreams(world.clock))
    return await world.run()
  } finally {
    Object.assign(globalThis, { CompressionStream, DecompressionStream })
    Math.random = random
    globalThis.setTimeout = setTimeout
  }
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
