/**
 * Cuts a schedule that breaks a promise down to what it takes: whole kinds of trouble and whole workers first, then events by delta
 * debugging (Zeller and Hildebrandt, TSE 2002), then what events and workers say more than it takes.
 */

import { type Event, least, type Machine, type Schedule } from './schedule'

/** Whether a schedule breaks a promise. */
export type Breaks = (schedule: Schedule) => Promise<boolean>
type Ask = Event & { what: 'ask' }

/** Rows that a caller asks at once, at most. */
const MOST_AT_ONCE = 16
/** Events of all schedules that are tried together: half a minute. */
const MOST_EVENTS = 100_000

export async function shrunk(schedule: Schedule, isBroken: Breaks): Promise<Schedule> {
  let left = MOST_EVENTS
  const breaks: Breaks = async (each) => {
    left -= 10 + each.events.length
    return left > 0 && isBroken(each)
  }
  const passes = [withoutKinds, withoutWorkers, withoutEvents, atOnce, withoutRows, sooner, plain]
  let small = schedule
  for (let size = Number.POSITIVE_INFINITY; sizeOf(small) < size; ) {
    size = sizeOf(small)
    for (const pass of passes) small = await pass(small, breaks)
  }
  return small
}

/** Fewer events before fewer workers and rows. */
function sizeOf({ events, machines }: Schedule): number {
  const rows = events.reduce((sum, event) => sum + (event.what === 'ask' ? (event.more?.length ?? 0) : 0), 0)
  return 1e6 * events.length + 1000 * machines.length + rows
}

/** The last of these that breaks a promise as well, each tried on what those before left. */
async function tried(small: Schedule, breaks: Breaks, changes: readonly ((now: Schedule) => Schedule)[]) {
  let best = small
  for (const change of changes) {
    const next = change(best)
    if (next !== best && (await breaks(next))) best = next
  }
  return best
}

/** Of which there are several: all of a kind, of a worker, of a tenant. */
function withoutKinds(small: Schedule, breaks: Breaks): Promise<Schedule> {
  const last = ({ events }: Schedule) => events.findLastIndex(({ what }) => what === 'ask')
  const kindOf = (event: Event) => (event.what === 'mood' ? `${event.worker} ${event.mood}` : event.what === 'ask' ? event.tenant : event.what) // biome-ignore format: one line
  const kinds = [...new Set(small.events.map(kindOf))]
  return tried(small, breaks, [
    (now) => ({ ...now, events: now.events.slice(0, last(now) + 1) }),
    ...kinds.map((kind) => (now: Schedule) => only(now, (event) => kindOf(event) !== kind)),
  ])
}

function only(now: Schedule, keeps: (event: Event) => boolean): Schedule {
  const events = now.events.filter(keeps)
  return events.length === now.events.length ? now : { ...now, events }
}

/** Whose word is proof: where that is asked for, nothing begins without one. */
const isAnchor = ({ trusted }: Machine) => trusted === true

/** With fewer workers it is not said any more that the others can answer all. */
function withoutWorkers(small: Schedule, breaks: Breaks): Promise<Schedule> {
  const without = ({ name, identity }: Machine) => {
    const isTheirs = (event: Event) => {
      if (event.what === 'mood' || event.what === 'leave') return event.worker === name
      if (event.what === 'join') return event.machine.identity === identity
      return event.what === 'lie' && event.identity === identity
    }
    return (now: Schedule): Schedule => {
      const machines = now.machines.filter((each) => each.name !== name)
      if (machines.length < least(now) || now.machines.some(isAnchor) !== machines.some(isAnchor)) return now
      return { ...now, machines, events: now.events.filter((event) => !isTheirs(event)), isSpared: false }
    }
  }
  return tried(small, breaks, small.machines.map(without))
}

async function withoutEvents(small: Schedule, breaks: Breaks): Promise<Schedule> {
  const events = await fewest(small.events, (events) => breaks({ ...small, events }))
  return { ...small, events }
}

/** Delta debugging: those without which it fails no more. */
async function fewest<T>(all: readonly T[], fails: (some: T[]) => Promise<boolean>): Promise<T[]> {
  let some = [...all]
  for (let parts = 2; some.length > 0; ) {
    const size = Math.ceil(some.length / parts)
    const smaller = await firstThat(chunks(some, size), fails)
    if (smaller) {
      some = smaller
      parts = Math.max(2, parts - 1)
    } else if (size === 1) break
    else parts = Math.min(some.length, 2 * parts)
  }
  return some
}

/** All but one chunk each: late ones first, since what came later is less likely to be why. */
function* chunks<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let from = all.length - (all.length % size || size); from >= 0; from -= size) {
    yield [...all.slice(0, from), ...all.slice(from + size)]
  }
}

async function firstThat<T>(all: Iterable<T>, holds: (one: T) => Promise<boolean>): Promise<T | undefined> {
  for (const one of all) if (await holds(one)) return one
  return undefined
}

/** Queries that follow each other are one caller's, who asks for them together. */
async function atOnce(small: Schedule, breaks: Breaks): Promise<Schedule> {
  let best = small
  for (let i = best.events.length - 1; i > 0; i--) {
    const joined = withAsked(best.events, i)
    if (joined && (await breaks({ ...best, events: joined }))) best = { ...best, events: joined }
  }
  return best
}

/** One event less: what is asked there is asked with the query before. */
function withAsked(events: readonly Event[], at: number): Event[] | undefined {
  const second = events[at]
  const i = events.slice(0, at).findLastIndex(({ what }) => what === 'ask')
  const first = events[i]
  if (second?.what !== 'ask' || first?.what !== 'ask') return undefined
  const more = [...(first.more ?? []), second.row, ...(second.more ?? [])]
  if (more.length >= MOST_AT_ONCE) return undefined
  return numbered(events.flatMap((event, j) => (j === i ? [{ ...first, more }] : j === at ? [] : [event])))
}

/** Queries by their place: one that asks for several has as many numbers. */
function numbered(events: readonly Event[]): Event[] {
  let query = 0
  return events.map((event) => {
    if (event.what !== 'ask') return event
    const own = query
    query += 1 + (event.more?.length ?? 0)
    return { ...event, query: own }
  })
}

async function withoutRows(small: Schedule, breaks: Breaks): Promise<Schedule> {
  let best = small
  for (let i = 0; i < best.events.length; i++) {
    const event = best.events[i]
    if (event.what !== 'ask' || !event.more) continue
    const rows = [event.row, ...event.more]
    const withRows = ([row, ...more]: Ask['row'][]): Schedule => ({ ...best, events: numbered(best.events.with(i, { ...event, row, more: more.length ? more : undefined })) }) // biome-ignore format: one line
    const some = await fewest(rows, async (some) => some.length > 0 && breaks(withRows(some)))
    if (some.length < rows.length) best = withRows(some)
  }
  return best
}

/** Events follow each other sooner, and troubles are shorter. */
function sooner(small: Schedule, breaks: Breaks): Promise<Schedule> {
  const after = (i: number, gap: (ms: number) => number) => (now: Schedule) => {
    const from = i ? now.events[i - 1].at : 0
    const less = now.events[i].at - from - gap(now.events[i].at - from)
    if (less < 1) return now
    return { ...now, isSpared: false, events: now.events.map((event, j) => (j < i ? event : { ...event, at: event.at - less })) } // biome-ignore format: one line
  }
  const shorter = (i: number) => (now: Schedule) => {
    const event = now.events[i]
    if (event.what !== 'mood' || event.forMs < 2) return now
    return { ...now, events: now.events.with(i, { ...event, forMs: Math.ceil(event.forMs / 2) }) }
  }
  return tried(small, breaks, [
    ...[...small.events.keys()].flatMap((i) => [after(i, () => 0), after(i, (ms) => ms / 2), after(i, Math.floor)]),
    ...[...small.events.keys()].map(shorter),
  ])
}

/** Workers, callers and options without what it does not take. */
function plain(small: Schedule, breaks: Breaks): Promise<Schedule> {
  const ordinary = { deviation: 0, slots: 1, batch: 1, takesNext: false, rounding: 0, stops: true, restarts: true }
  const all = (Object.keys(ordinary) as (keyof typeof ordinary)[]).map((name) => (now: Schedule) => ({
    ...now,
    isSpared: false,
    machines: now.machines.map((machine) => ({ ...machine, [name]: ordinary[name] })),
  }))
  const without = (name: 'leavesAfter' | 'atDeadline') => (now: Schedule) => ({
    ...now,
    events: now.events.map((event) => (event.what === 'ask' ? { ...event, [name]: undefined } : event)),
  })
  return tried(small, breaks, [
    ...all,
    without('leavesAfter'),
    without('atDeadline'),
    (now) => ({ ...now, options: { ...now.options, memory: false } }),
    (now) => ({ ...now, options: { ...now.options, maxWaitMs: 0 } }),
  ])
}
