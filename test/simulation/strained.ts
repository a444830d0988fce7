/**
 * Troubles and options that some runs have beside all others. Each is drawn from a stream of its own, so that a seed keeps whatever else it has;
 * a run that gets none of them is what it was before they were there.
 */

import { type Random, seeded } from '../../src/base/random'
import { defaultWorkers } from '../../src/base/scheme'
import type { Event, Machine, Schedule } from './schedule'

/** Seeds that follow each other draw alike otherwise; so do streams. */
const [SEED, STREAM] = [0x85ebca6b, 0xc2b2ae35]

/** Of the runs that may have it, the share that has it. */
const SHARES = {
  paper: 0.15,
  remembering: 0.5,
  priorities: 0.2,
  weights: 0.5,
  together: 0.4,
  returning: 0.2,
  taught: 0.5,
  deadly: 0.1,
  pauses: 0.1,
  hangs: 0.4,
  shared: 0.4,
}
type Kind = keyof typeof SHARES
const KINDS = Object.keys(SHARES) as Kind[]

interface Draw {
  random: Random
  pick<T>(all: readonly T[]): T
}

type Strain = (schedule: Schedule, draw: Draw, isCalm: boolean) => Schedule | undefined

const strains: Record<Kind, Strain> = {
  /** The paper's code, with as many queries in a group as there are machines for. */
  paper: ({ options, machines, isSpared, ...rest }, _, isCalm) => {
    const { scheme, reuse, verify, ...others } = options
    if (!scheme || reuse?.maxError || verify?.mode || verify?.trust || rest.element) return undefined
    if (rest.wire?.disk || others.rollout) return undefined // it has no rollout, saves nothing, and takes no state where some may lie
    const { stragglers: S = 0, byzantine: E = 0 } = scheme
    let { queries: K = 1 } = scheme
    while (K && defaultWorkers(K, S, E) > machines.length) K--
    if (!K) return undefined
    const coded = { ...scheme, queries: K, preset: 'aaai22' } as const
    const all = { ...others, ...(reuse && { reuse }), scheme: coded, policy: 'recover', memory: false } as const
    return { ...rest, machines, options: all, isSpared: isSpared && isCalm } // a group costs more than its queries
  },

  /** What workers cannot answer in time is looked up. */
  remembering: (schedule) => {
    if (!schedule.options.reuse?.maxError) return undefined
    return { ...schedule, options: { ...schedule.options, onOverload: 'remember' } }
  },

  priorities: (schedule, { pick }) =>
    withAsks(schedule, (ask) => ({ ...ask, priority: pick(['high', 'normal', 'normal', 'low'] as const) })),

  weights: (schedule, { pick }) => {
    const weights: Record<string, number> = {}
    for (const tenant of ['a', 'b', 'c', 'd']) weights[tenant] = pick([1, 1, 3, 10])
    const isAny = schedule.events.some((event) => event.what === 'ask' && event.tenant)
    return isAny ? withAsks(schedule, (ask) => ({ ...ask, weight: weights[ask.tenant] ?? 1 })) : undefined
  },

  /** When each row of a batch ends is not seen, nor how many are under way: rows wait until there is room. */
  together: (schedule, { random }) => {
    const { options, wire, events } = schedule
    const isAny = events.some((event) => event.what === 'ask' && event.more)
    const isTold = options.scheme?.byzantine || options.verify?.mode || options.verify?.trust || options.reuse?.exact
    if (!isAny || isTold || wire?.isServed) return undefined
    const all = withAsks(schedule, (ask) => (ask.more && random.next() < 0.7 ? { ...ask, isTogether: true } : ask))
    return { ...all, options: { ...options, limits: { ...options.limits, queries: 10_000 } }, isSpared: false }
  },

  returning: (schedule, { random }) => {
    if (schedule.wire?.isServed) return undefined // seconds are the least that a gateway says
    return withAsks(schedule, (ask) => (random.next() < 0.5 ? { ...ask, comesBack: true } : ask))
  },

  /** A memory that has learned checks answers where workers may lie: in one run there are too few for that. */
  taught: (schedule) => {
    const { options, wire, element } = schedule
    const { scheme, memory, reuse, policy } = options
    if (!scheme?.byzantine || scheme.preset || memory === false || policy === 'retry') return undefined
    return reuse?.maxError || wire?.disk || element ? undefined : { ...schedule, isTaught: true }
  },

  /** Equal queries would be as deadly. */
  deadly: (schedule, { random, pick }) => {
    const { wire, options, events } = schedule
    if ((wire && wire.transport !== 'direct') || options.reuse?.exact) return undefined
    const asks = events.filter((event) => event.what === 'ask' && !event.more)
    if (!asks.length) return undefined
    const chosen = new Set(random.choose(asks.length, Math.min(asks.length, pick([1, 3, 10]))).map((i) => asks[i]))
    const all = withAsks(schedule, (ask) => (chosen.has(ask) ? { ...ask, isDeadly: true } : ask))
    // Of several that a worker had nothing tells which one took it down: half of the fleets have one query at a time, and a quarter one in each slot.
    const draw = random.next()
    const plain = (machine: Machine): Machine => {
      if (draw >= 0.75) return machine
      return { ...machine, slots: draw < 0.5 ? 1 : machine.slots, batch: 1, takesNext: false }
    }
    const each = (event: Event): Event => (event.what === 'join' ? { ...event, machine: plain(event.machine) } : event)
    return { ...all, machines: all.machines.map(plain), events: all.events.map(each), isSpared: false }
  },

  pauses: (schedule, { random, pick }) => {
    const end = schedule.events.at(-1)?.at ?? 0
    const pauses = Array.from({ length: pick([1, 3]) }, (): Event => {
      return { at: end * random.next(), what: 'pause', forMs: pick([50, 500, 4000]) * (0.5 + random.next()) }
    })
    return { ...schedule, events: [...schedule.events, ...pauses].sort((a, b) => a.at - b.at), isSpared: false }
  },

  /** The store of a gateway hangs for a while, longer than it is waited for or not. */
  hangs: (schedule, { random, pick }) => {
    const { wire, events } = schedule
    if (!wire?.isServed || !wire.disk) return undefined
    const from = (events.at(-1)?.at ?? 0) * random.next()
    const hangs = { from, until: from + pick([500, 3000, 10_000]) }
    return { ...schedule, wire: { ...wire, disk: { ...wire.disk, hangs } } }
  },

  /** Two predictors have one fleet: each believes whom it believes, so that nobody lies there. */
  shared: (schedule) => {
    const { wire, options, events } = schedule
    const isAlone = !wire || wire.transport === 'direct' || wire.isServed || wire.disk
    if (isAlone || options.scheme?.byzantine || options.verify?.mode || options.rollout || options.reuse)
      return undefined
    if (events.some(({ what }) => what === 'lie' || what === 'forget')) return undefined
    return {
      ...schedule,
      options: { ...options, limits: { ...options.limits, queries: 10_000 } },
      isShared: true,
      isSpared: false,
    }
  },
}

type Ask = Event & { what: 'ask' }

function withAsks(schedule: Schedule, change: (ask: Ask) => Ask): Schedule {
  return { ...schedule, events: schedule.events.map((event) => (event.what === 'ask' ? change(event) : event)) }
}

/** @param isCalm  the others can answer all, also where each query is asked for more than once */
export function strained(schedule: Schedule, isCalm = false): Schedule {
  return KINDS.reduce((all, kind, stream) => {
    const random = seeded(Math.imul(SEED, all.seed) ^ Math.imul(STREAM, stream + 1))
    const pick = <T>(of: readonly T[]) => of[random.below(of.length)]
    const isDrawn = random.next() < SHARES[kind]
    return (isDrawn && strains[kind](all, { random, pick }, isCalm)) || all
  }, schedule)
}
