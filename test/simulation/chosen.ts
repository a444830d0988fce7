/** Options that some runs have beside what befalls them, drawn apart, so that others stay what they are. */

import { type Random, seeded } from '../../src/base/random'
import { others } from './elements'
import { strategies } from './model'
import type { Event, Machine, Schedule } from './schedule'

/** Share of the runs without liars whose answers are sampled, and of all closed fleets that have equal queries. */
const SAMPLED = 0.15
const REPEATED = 0.3
/** Of those over a network. */
const TYPED = 0.4
/** Bytes of a message on NATS there: each is signed, which takes most of a run's time where they are shorter. */
const FRAME = 100
/** Of workers that may lie. */
const LIARS = 0.4
/** Of all runs those in which workers tell of scales, and some callers' rows are of another size. */
const STEERED = 0.5
/** What the model's answers are about as large as, and what liars tell of that as well. */
const SCALE = 1
const SAID = [1e30, 1e30, 1e-30, Number.NaN, SCALE]

/** Answers are given as they come, and some are audited by workers of the user's own: others may lie, any number. */
export function sampled(schedule: Schedule, end: number): Schedule | undefined {
  const random = seeded(~schedule.seed + 4)
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const { machines, events, options } = schedule
  if (random.next() >= SAMPLED || machines.length < 2) return undefined
  const anchors = machines.slice(0, 1 + random.below(Math.min(2, machines.length - 1))).map(({ identity }) => identity)
  const own = (machine: Machine): Machine => {
    const trusted = anchors.includes(machine.identity)
    return { ...machine, trusted, rounding: trusted || machine.name.length % 2 ? 0 : 1e-6 }
  }
  const lies = machines.flatMap(({ identity }): Event[] => {
    if (anchors.includes(identity) || random.next() >= LIARS) return []
    return [{ at: pick([0, end / 3]), what: 'lie', identity, strategy: pick(Object.keys(strategies)), share: pick([0.05, 0.5, 1]) }] // biome-ignore format: one line
  })
  const told = events.map((event) => (event.what === 'join' ? { ...event, machine: own(event.machine) } : event))
  const { reuse: _, ...rest } = options
  const verify = { mode: 'sampled', rate: pick([0.05, 0.2, 1]) } as const
  return {
    ...schedule,
    options: { ...rest, verify },
    machines: machines.map(own),
    events: [...lies, ...told].sort((a, b) => a.at - b.at),
    isSpared: false,
  }
}

/**
 * Workers tell how large answers usually are, or none does; those that lie all tell the same, which may be anything, and where some are
 * the user's own all others do. The rows of one tenant, or of one caller in four, are
 * far larger or smaller than others'.
 */
export function steered(schedule: Schedule): Schedule {
  const random = seeded(~schedule.seed + 7)
  if (random.next() >= STEERED) return schedule
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const [honest, factor, said] = [pick([SCALE, SCALE, undefined]), pick([1, 255, 1e-6]), pick(SAID)]
  const liars = new Set(schedule.events.flatMap((event) => (event.what === 'lie' ? [event.identity] : [])))
  const isAnchored = schedule.machines.some(({ trusted }) => trusted)
  const tells = (machine: Machine): Machine => {
    const isBelieved = isAnchored ? machine.trusted : !liars.has(machine.identity)
    return { ...machine, scale: isBelieved ? honest : said }
  }
  const scaled = ([a, b]: [number, number]): [number, number] => [factor * a, factor * b]
  const changed = (event: Event): Event => {
    if (event.what === 'join') return { ...event, machine: tells(event.machine) }
    if (event.what !== 'ask' || !(event.tenant ? event.tenant === 'b' : event.query % 4 === 0)) return event
    return { ...event, row: scaled(event.row), ...(event.more && { more: event.more.map(scaled) }) }
  }
  return { ...schedule, machines: schedule.machines.map(tells), events: schedule.events.map(changed) }
}

/** The model takes and gives values of another type, too, of which nothing is mixed or learned. */
export function typed(schedule: Schedule): Schedule {
  const random = seeded(~schedule.seed + 6)
  const { options, wire } = schedule
  if (!wire || options.scheme?.byzantine || random.next() >= TYPED) return schedule
  const { scheme: _, reuse: __, verify: ___, ...rest } = options
  const element = others[random.below(others.length)]
  const nats = { ...wire.nats, most: Math.max(FRAME, wire.nats.most) }
  return { ...schedule, wire: { ...wire, nats }, options: { ...rest, policy: 'retry', memory: false }, element, isSpared: false } // biome-ignore format: one line
}

/** Some queries equal others, of before or at once, whose answers they get. */
export function repeated(schedule: Schedule): Schedule {
  const random = seeded(~schedule.seed + 3)
  if (random.next() >= REPEATED) return schedule
  const pick = <T>(all: readonly T[]) => all[random.below(all.length)]
  const [share, last] = [pick([0.2, 0.7]), pick([1, 5, 50])]
  const bytes = pick([undefined, 5000])
  const { options, events } = schedule
  return {
    ...schedule,
    options: { ...options, reuse: { ...options.reuse, exact: true, ...(bytes && { bytes }) } },
    events: withEqual(events, { random, share, last }),
    // Who joins one that is due before him asks again when that has failed, and has less time then.
    isSpared: schedule.isSpared && events.every((event) => event.what !== 'ask' || event.deadlineMs >= 400),
  }
}

/** @param last  so many rows one of which is asked for again */
function withEqual(events: readonly Event[], { random, share, last }: { random: Random; share: number; last: number }) {
  const rows: [number, number][] = []
  const again = (row: [number, number]): [number, number] => {
    const drawn = rows.length && random.next() < share ? rows[rows.length - 1 - random.below(Math.min(last, rows.length))] : row // biome-ignore format: one line
    rows.push(drawn)
    return drawn
  }
  return events.map((event) => {
    if (event.what !== 'ask') return event
    return { ...event, row: again(event.row), ...(event.more && { more: event.more.map(again) }) }
  })
}
