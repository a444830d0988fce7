/** What of a run goes over a network, and what befalls it there: drawn apart from the rest, so that a run without it is what it was. */

import { type Random, seeded } from '../../src/base/random'
import type { DiskTrouble, Found } from './disk'
import { CALM, type Weather } from './network'
import type { Machine, Schedule } from './schedule'

export interface Wire {
  transport: 'direct' | 'http' | 'nats'
  /** Callers send requests to a gateway. */
  isServed: boolean
  weather: Weather
  http: { concurrency?: number | undefined; maxBatch: number; binary: 'auto' | boolean }
  /** @param most  bytes that a message may have @param forges  liars answer in others' place, whose rows they read */
  nats: { most: number; maxPending: number; beatMs: number; forges: boolean }
  /** What was learned is saved, now and then, and read when the process starts again. */
  disk?: DiskTrouble & { saveEveryMs: number }
  /** Of the callers' requests: shares that are nonsense, and whose bodies stop, or are cut off. */
  callers: { nonsense: number; stops: number; batches: boolean; packs?: boolean }
}

/** What serves is started again, and finds what it has saved, or something else. */
interface Restart {
  what: 'restart'
  isKilled: boolean
  found: Found
}

/** The gateway's model is replaced, or loaded again; nothing comes of it where it fails. Or it is taken away. */
type Loading = { what: 'load'; fails?: boolean } | { what: 'unload' }

export type WireEvent =
  | Loading
  /** A machine is down for a moment, or the way to it, or to all. */
  | { what: 'bounce'; worker: string; forMs: number }
  | { what: 'cut'; worker?: string; forMs: number }
  | Restart

/** Share of the gateways whose model is loaded and unloaded. */
const LOADED = 0.5
/** Of those whose callers know gzip. */
const PACKED = 0.4

/** Seeds that follow each other draw alike otherwise. */
const SEED = 0x9e3779b1

interface Draw {
  random: Random
  pick<T>(all: readonly T[]): T
  chance(share: number): boolean
}

/** A schedule with what its seed adds to it. */
export function wired(schedule: Schedule): Schedule {
  const random = seeded(Math.imul(SEED, schedule.seed))
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const draw: Draw = { random, pick, chance: (share) => random.next() < share }
  const transport = pick(['direct', 'direct', 'direct', 'direct', 'http', 'nats'] as const)
  const isServed = draw.chance(0.25)
  const disk = chanceOfDisk(draw)
  if (transport === 'direct' && !isServed && !disk) return schedule
  const wire: Wire = { transport, isServed, ...(disk && { disk }), ...details(draw) }
  const { events, machines, options } = schedule
  // Rows of a batch wait until there is room.
  const limits = wire.isServed && wire.callers.batches ? { limits: { ...options.limits, queries: 10_000 } } : {}
  // What is on its way takes time, too: callers come as much later.
  const stretch = transport === 'direct' ? 1 : 2 + wire.weather.delayMs
  const stretched = events.map((event) => ({ ...event, at: stretch * event.at }))
  const end = Math.max(0, ...stretched.map(({ at }) => at))
  const more = transport === 'direct' ? [] : befalling(end, machines, draw)
  if (disk) more.push(...restarts(end, draw))
  return {
    ...schedule,
    wire,
    machines: transport === 'direct' ? machines : machines.map((each) => (draw.chance(0.2) ? { ...each, slots: 16 } : each)), // biome-ignore format: one line
    options: { ...options, ...limits },
    events: [...stretched, ...more].sort((a, b) => a.at - b.at),
    isSpared: schedule.isSpared && transport === 'direct' && !disk && !wire.callers.batches,
  }
}

/** Callers pack their bodies, and take packed ones: drawn apart. */
export function packed(schedule: Schedule): Schedule {
  const { seed, wire } = schedule
  if (!wire?.isServed || seeded(~seed + 7).next() >= PACKED) return schedule
  return { ...schedule, wire: { ...wire, callers: { ...wire.callers, packs: true } } }
}

/** A gateway whose model is loaded and unloaded while it serves: drawn apart. Two of its versions have as many queries under way as both may have. */
export function loaded(schedule: Schedule): Schedule {
  const { seed, wire, events, options } = schedule
  const random = seeded(~seed + 5)
  if (!wire?.isServed || random.next() >= LOADED) return schedule
  const end = events.at(-1)?.at ?? 0
  const more: Schedule['events'] = []
  const add = (at: number, what: 'load' | 'unload', fails = 0) => {
    more.push(random.next() < fails ? { at, what: 'load', fails: true } : { at, what })
  }
  for (let at = (end * random.next()) / 4; at < end; at += (end * (1 + random.next())) / 6) {
    const soon = at + [0, 1, 20][random.below(3)] * random.next()
    const way = random.below(4)
    add(at, way > 1 ? 'unload' : 'load', way ? 0 : 0.3)
    if (way === 1) add(soon, random.next() < 0.5 ? 'load' : 'unload') // while it loads
    if (way) add(soon + 20 * random.next(), 'load', 0.2)
  }
  for (const { at, what } of events) if (what === 'restart') add(Math.max(0, at - 20 * random.next()), 'unload')
  return {
    ...schedule,
    options: { ...options, limits: { ...options.limits, queries: 10_000 } },
    events: [...events, ...more].sort((a, b) => a.at - b.at),
    isSpared: false,
  }
}

function details({ pick, chance }: Draw): Omit<Wire, 'transport' | 'isServed'> {
  const share = (of: number) => (chance(0.5) ? of : 0)
  const weather = {
    ...{ delayMs: pick([0.05, 0.5, 2]), deviation: pick([0, 0.5, 1]), pieces: pick([1, 2, 5]) },
    ...{ resets: share(0.03), stalls: share(0.03), losses: share(0.02), twice: share(0.05), crossed: share(0.05) },
  }
  return {
    weather: chance(0.8) ? weather : CALM,
    http: {
      concurrency: pick([undefined, 1, 2, 16]),
      maxBatch: pick([1, 4]),
      binary: pick(['auto', true, false] as const),
    },
    nats: { most: pick([20, 1_048_576]), maxPending: pick([0, 2]), beatMs: pick([20, 40]), forges: chance(0.5) },
    callers: { nonsense: share(0.1), stops: share(0.1), batches: chance(0.3) },
  }
}

function chanceOfDisk({ pick, chance }: Draw): Wire['disk'] | undefined {
  if (!chance(0.2)) return undefined
  const trouble = { mostMs: pick([0, 5, 100]), full: pick([0, 0.3]), tears: chance(0.5) }
  return { ...trouble, saveEveryMs: pick([20, 100]) }
}

function restarts(end: number, { random, pick, chance }: Draw): Schedule['events'] {
  const found = ['last', 'last', 'last', 'last', 'last', 'old', 'foreign', 'flipped', 'cut'] as const
  return Array.from({ length: 1 + random.below(2) }, (_, i) => {
    const at = ((i + 1) * end * (1 + random.next())) / 4
    return { at, what: 'restart' as const, isKilled: chance(0.5), found: pick(found) }
  })
}

function befalling(end: number, machines: readonly Machine[], { random, pick, chance }: Draw): Schedule['events'] {
  const events: Schedule['events'] = []
  const [bounces, cuts] = [chance(0.5), chance(0.5)]
  for (let at = 50; at < end; at += 60 + 300 * random.next()) {
    const worker = pick(machines).name
    const forMs = pick([5, 30, 150]) * random.next()
    if (bounces && chance(0.5)) events.push({ at, what: 'bounce', worker, forMs })
    else if (cuts) events.push({ at, what: 'cut', forMs, ...(chance(0.7) && { worker }) })
  }
  return events
}
