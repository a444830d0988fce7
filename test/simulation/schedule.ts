/**
 * What happens in one run, drawn from a seed: plain data, so that a run that fails can be cut down to the events that it takes. Each seed
 * turns on some kinds of trouble and not others (swarm testing: Groce et al., ISSTA 2012), since what hides behind constant trouble
 * of every kind shows where only one is on.
 */

import type { PredictorOptions } from 'approxifer'
import { type Random, seeded } from '../../src/base/random'
import { defaultWorkers } from '../../src/base/scheme'
import { moods } from './actor'
import { repeated, sampled, steered, typed } from './chosen'
import type { Other } from './elements'
import { strategies } from './model'
import { strained } from './strained'
import { loaded, packed, type Wire, type WireEvent, wired } from './wire'

/** A worker at its start. */
export interface Machine {
  name: string
  identity: string
  slots: number
  takesNext: boolean
  batch: number
  /** Whether an abort ends its work, and whether the pool may restart it. */
  stops: boolean
  restarts: boolean
  /** Of its times: median in ms, and the standard deviation of their logarithm. */
  medianMs: number
  deviation: number
  /** Its own rounding, over the answer. */
  rounding: number
  /** What it tells of the size of its answers. */
  scale?: number | undefined
  /** It is the user's own. */
  trusted?: boolean
}

export type Mood = 'well' | (typeof moods)[number]

export type Event = { at: number } & (
  | {
      what: 'ask'
      query: number
      row: [number, number]
      /** Of further queries that its caller asks at once, like this one. */
      more?: [number, number][]
      tenant: string
      deadlineMs: number
      policy?: 'auto' | 'retry' | 'recover'
      atDeadline?: 'give'
      /** Milliseconds after which the caller leaves. */
      leavesAfter?: number
      /** Nothing is wrong any more. */
      lively?: boolean
      priority?: 'high' | 'normal' | 'low'
      /** Of its tenant. */
      weight?: number
      /** Its caller asks with `predictAll`. */
      isTogether?: boolean
      /** A caller who is refused comes back when it is told to. */
      comesBack?: boolean
      /** Each worker that runs it goes down. */
      isDeadly?: boolean
      /** The query that its caller was refused before. */
      before?: number
    }
  | { what: 'mood'; worker: string; mood: Mood; forMs: number }
  | { what: 'lie'; identity: string; strategy: string | undefined; share: number }
  | { what: 'leave'; worker: string; how: 'remove' | 'drain' }
  | { what: 'join'; machine: Machine }
  | { what: 'forget'; tenant: string }
  /** All workers have another model from now on. */
  | { what: 'renew' }
  /** What serves stands still for so long: all that is due, or comes, meanwhile is late. */
  | { what: 'pause'; forMs: number }
  | WireEvent
)

export interface Schedule {
  seed: number
  options: Pick<
    PredictorOptions,
    | 'verify'
    | 'scheme'
    | 'hangMs'
    | 'deadlineMs'
    | 'maxWaitMs'
    | 'policy'
    | 'onOverload'
    | 'hedge'
    | 'memory'
    | 'limits'
    | 'reuse'
    | 'rollout'
  >
  machines: Machine[]
  events: Event[]
  /** Whether it is the same S machines all along that are in trouble, and all queries together are no more than the others can answer. */
  isSpared: boolean
  /** What goes over a network. */
  wire?: Wire
  /** The memory knows the model when it begins. */
  isTaught?: boolean
  /** Another predictor has the same machines, and queries of its own. */
  isShared?: boolean
  /** Of further values that the model takes and gives. */
  element?: Other
  /** What each look at the clock takes: else no time passes within a turn, as it does on real machines. */
  tickMs?: number
}

/** Kinds of trouble. */
const troubles = [
  'moods',
  'leaving',
  'aborts',
  'haste',
  'liars',
  'tenants',
  'crowds',
  'batches',
  'gives',
  'forgetting',
  'renewing',
] as const
type Trouble = (typeof troubles)[number]

/** With which it cannot be said that S machines are in trouble, and the others can answer all; and the share of runs without them. */
const others: readonly Trouble[] = ['crowds', 'leaving', 'renewing', 'liars']
const CALM = 0.15

export const HANG_MS = 200
const DEADLINE_MS = 400
/** Of all answers those that a memory may give unasked and wrong. */
const MAX_ERROR = 0.1
/** Queries that one caller asks at once. */
const MOST_AT_ONCE = 16
/** How long machines are in trouble, and well between: wide, so that some hangs are noticed and others are not. */
const TROUBLE_MS = [5, 5 * HANG_MS] as const
const WELL_MS = 40

/** What a run is drawn with. */
interface Draw {
  random: Random
  on: ReadonlySet<Trouble>
  pick<T>(all: readonly T[]): T
  chance(share: number): boolean
}

/** @param queries  that are asked */
export function drawn(seed: number, queries: number): Schedule {
  const random = seeded(seed)
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const isCalm = random.next() < CALM
  const kinds = isCalm ? troubles.filter((each) => !others.includes(each)) : troubles
  const on = new Set(kinds.filter((each) => random.next() < 0.5 || (isCalm && each === 'moods')))
  const draw: Draw = { random, on, pick, chance: (share) => random.next() < share }
  const E = on.has('liars') ? 1 + random.below(2) : 0
  const [K, S] = [1 + random.below(6), isCalm ? 1 + random.below(2) : random.below(3)]
  const count = E ? 2 * E + 1 + S + random.below(4) : K + S + random.below(4)
  const machines = Array.from({ length: count }, (_, i) => machine(`w${i}`, i, draw))
  const options: Schedule['options'] = {
    ...((E || isCalm || draw.chance(0.8)) && { scheme: { queries: E ? Math.min(K, count - 2 * E) : K, stragglers: S, ...(E && { byzantine: E }) } }), // biome-ignore format: one line
    hangMs: HANG_MS,
    deadlineMs: DEADLINE_MS,
    maxWaitMs: pick([0, 5, 50]),
    policy: pick(['auto', 'retry', 'recover'] as const),
    hedge: { budget: pick([0, 0.1, 0.2, 1]) },
    memory: pick([undefined, false] as const),
    ...(draw.chance(0.3) && { verify: { audit: 1 } }),
    limits: { queries: pick([8, 50, 10_000]), tenants: on.has('tenants') ? 3 : 1 },
  }
  if (remembers(seed, options, on)) Object.assign(options, { reuse: { maxError: MAX_ERROR }, memory: undefined })
  const rate = isCalm ? spared(machines, options) : machines.reduce((sum, each) => sum + rateOf(each), 0)
  const events: Event[] = asking(queries, rate, draw)
  const end = events.at(-1)?.at ?? 0
  const same = isCalm || draw.chance(0.5)
  events.push(...trouble({ end, S, E, machines, same }, draw))
  const isSpared = isCalm || !(on.has('moods') || options.verify || others.some((each) => on.has(each)))
  const plain: Schedule = { seed, options, machines, events: events.sort((a, b) => a.at - b.at), isSpared }
  const apart = seeded(~seed + 2)
  if (!E && apart.next() < OPEN) return strained(steered(opened(plain, end, apart)))
  const audited = E ? undefined : sampled(plain, end)
  const schedule = audited ?? typed(packed(loaded(wired(plain))))
  return strained(ticking(repeated(steered(on.has('renewing') && !audited ? rolled(schedule) : schedule))), isCalm)
}

/** Whether time passes within a turn: drawn apart. */
function ticking(schedule: Schedule): Schedule {
  const random = seeded(~schedule.seed + 3)
  return random.next() < 0.3 ? { ...schedule, tickMs: [0.001, 0.02][random.below(2)] } : schedule
}

/** Few right answers make a stranger believed, so that most are. */
const INTEGRITY = 0.9
/** Share of the runs without E in which anybody may join. */
const OPEN = 0.2

/** Anybody may join. Drawn apart, and without a network, or a new model, which has queries asked again. Any number of strangers lie, some of them from later on, leave, and come back under new keys. */
function opened({ seed, options, machines, events }: Schedule, end: number, random: Random): Schedule {
  const { scheme: _, reuse: __, ...rest } = options
  const strategy = () => Object.keys(strategies)[random.below(Object.keys(strategies).length)]
  const lie = (at: number, identity: string): Event => ({ at, what: 'lie', identity, strategy: strategy(), share: [0.05, 0.5, 1][random.below(3)] }) // biome-ignore format: one line
  const [own, ...strangers] = machines.map((machine, i) => ({ ...machine, trusted: i === 0 }))
  const liars = strangers.filter(() => random.next() < 0.5)
  const more: Event[] = liars.map(({ identity }) => lie([0, end / 3][random.below(2)], identity))
  for (let [at, n] = [end / 10, 0]; liars.length && at < end; at += (end / 20) * random.next() + 1, n++) {
    const name = `new ${n}`
    more.push({ at, what: 'join', machine: { ...liars[random.below(liars.length)], name, identity: name } }, lie(at + 0.01, name)) // biome-ignore format: one line
    more.push({ at: at + (end / 2) * random.next(), what: 'leave', worker: name, how: 'remove' })
  }
  const told = events.filter(({ what }) => what !== 'renew').map((event) => (event.what === 'join' ? { ...event, machine: { ...event.machine, trusted: event.machine.identity === own.identity } } : event)) // biome-ignore format: one line
  return {
    seed,
    options: { ...rest, policy: 'retry', memory: false, verify: { trust: 'open', integrity: INTEGRITY } },
    machines: [own, ...strangers],
    events: [...told, ...more].sort((a, b) => a.at - b.at),
    isSpared: false,
  }
}

/** Of workers elsewhere whose model is replaced: whether the new one has to show itself first. Drawn apart. Whatever it answers will do: it is another one. */
function rolled(schedule: Schedule): Schedule {
  const { wire, seed, options } = schedule
  const random = seeded(~seed + 1)
  if (!wire || wire.transport === 'direct' || random.next() < 0.5) return schedule
  const ways = [{ shadow: 0.5 }, { shadow: 1 }, { canary: 0.3 }, { shadow: 0.2, canary: 0.2 }]
  const rollout = { ...ways[random.below(ways.length)], agreement: [0, 0.5, 0.95][random.below(3)] }
  return { ...schedule, options: { ...options, rollout } }
}

/** Whether the memory is in a thread, and what else is drawn of that: apart, so that other seeds stay as they are. */
export function threadDraw(seed: number): Random | undefined {
  const random = seeded(~seed + 4)
  return random.next() < 0.5 ? undefined : random
}

/** Whether a memory is asked first: drawn apart, so that other seeds stay as they are. Of tenants nobody here knows how often one began anew. */
function remembers(seed: number, { policy }: Schedule['options'], on: ReadonlySet<Trouble>): boolean {
  return policy !== 'recover' && !on.has('tenants') && seeded(~seed).next() < 0.5
}

function machine(name: string, index: number, { on, pick, chance }: Draw): Machine {
  return {
    name,
    identity: name,
    slots: pick([1, 1, 1, 2, 4]),
    takesNext: index % 2 === 1,
    batch: pick([1, 1, 4]),
    stops: chance(0.5),
    restarts: chance(0.7),
    medianMs: pick([2, 5, 10]),
    deviation: pick([0, 0.1, 0.5, 1]),
    rounding: on.has('liars') && chance(0.3) ? 1e-6 : 0, // with E = 0 an exact answer is the model's to the bit
  }
}

/** Answers a ms. */
const rateOf = ({ slots, medianMs }: Machine) => slots / medianMs

/** What those answer that are not in trouble, whichever these are, where every query may take a copy as well, and an audit where all are audited. */
function spared(machines: readonly Machine[], { scheme, verify }: Schedule['options']): number {
  const { queries = 1, stragglers = 0 } = scheme ?? {}
  const rates = machines.map(rateOf).sort((a, b) => a - b)
  const left = rates.slice(0, rates.length - stragglers).reduce((sum, rate) => sum + rate, 0)
  return (left * queries) / (queries + stragglers) / (verify?.audit ? 3 : 2)
}

/** Callers, who come by themselves. @param rate  answers a ms that there may be */
function asking(queries: number, rate: number, { random, on, pick, chance }: Draw): Event[] {
  const load = on.has('crowds') ? pick([1, 3]) : pick([0.1, 0.3, 0.6, 0.8])
  const leaving = pick([0.15, 0.7])
  const events: Event[] = []
  const row = (): [number, number] => [random.gauss(), random.gauss()]
  for (let [at, query] = [0, 0]; query < queries; ) {
    const count = on.has('batches') && chance(0.3) ? Math.min(1 + random.below(MOST_AT_ONCE), queries - query) : 1
    at += (-count * Math.log(1 - random.next())) / (rate * load)
    events.push({
      ...{ at, what: 'ask', query, row: row() },
      ...(count > 1 && { more: Array.from({ length: count - 1 }, row) }),
      tenant: on.has('tenants') ? pick(['a', 'b', 'c', 'd']) : '',
      deadlineMs: on.has('haste') && chance(0.2) ? 30 * random.next() : DEADLINE_MS,
      ...(on.has('gives') && chance(0.2) && { atDeadline: 'give' as const }),
      ...(on.has('aborts') && chance(leaving) && { leavesAfter: pick([0, 1, 20]) * random.next() }),
    })
    query += count
  }
  return events
}

/** What befalls machines: at most S of them are in a bad mood at a time, at least one, others a moment later or the same; E of them lie, whatever they are called. */
function trouble(
  { end, S, E, machines, same }: { end: number; S: number; E: number; machines: readonly Machine[]; same: boolean },
  draw: Draw,
): Event[] {
  const { random, on, pick } = draw
  const events: Event[] = []
  if (on.has('moods')) events.push(...bad(end, machines, Math.max(1, S), same, draw))
  for (const { identity } of machines.slice(0, E)) {
    const [strategy, share] = [pick(Object.keys(strategies)), pick([0.05, 0.5, 1])]
    events.push({ at: pick([0, end / 3]), what: 'lie', identity, strategy, share })
  }
  if (on.has('leaving')) events.push(...comings(end, machines, draw))
  if (on.has('renewing')) events.push({ at: (0.3 + 0.4 * random.next()) * end, what: 'renew' })
  if (on.has('forgetting')) events.push({ at: end / 2, what: 'forget', tenant: on.has('tenants') ? 'a' : '' })
  return events
}

/** @param most  machines in a bad mood at a time @param same  it is always these */
function bad(end: number, machines: readonly Machine[], most: number, same: boolean, draw: Draw): Event[] {
  const { random, pick } = draw
  const some = random.choose(moods.length, 1 + random.below(4)).map((i) => moods[i])
  const [shortest, longest] = TROUBLE_MS
  return random.choose(machines.length, most).flatMap((first) => {
    const events: Event[] = []
    for (let at = 10 * random.next(); at < end; ) {
      const { name: worker } = machines[same ? first : random.below(machines.length)]
      const forMs = shortest * (longest / shortest) ** random.next()
      events.push({ at, what: 'mood', worker, mood: pick(some), forMs })
      at += forMs - WELL_MS * Math.log(1 - random.next())
    }
    return events
  })
}

/** One leaves and comes back, under its name or another; who it is stays. */
function comings(end: number, machines: readonly Machine[], { random, pick, chance }: Draw): Event[] {
  const events: Event[] = []
  const names = machines.map(({ name }) => name)
  for (let [at, n] = [30, 0]; at < end; at += 100 * random.next() + 40, n++) {
    const which = random.below(machines.length)
    const next = chance(0.5) ? names[which] : `${machines[which].name}-${n}`
    events.push({ at, what: 'leave', worker: names[which], how: pick(['remove', 'drain'] as const) })
    names[which] = next
    events.push({ at: at + 35 * random.next(), what: 'join', machine: { ...machines[which], name: next } })
  }
  return events
}

/** Workers without which a predictor does not begin. */
export function least({ options: { scheme } }: Schedule): number {
  const { queries = 1, stragglers = 0, byzantine = 0, preset } = scheme ?? {}
  if (preset) return defaultWorkers(queries, stragglers, byzantine)
  return byzantine ? Math.max(2 * byzantine + 1 + stragglers, queries + 2 * byzantine) : queries + stragglers
}
