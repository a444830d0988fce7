/** What is guaranteed takes what docs/reference/guarantees.md says that it takes: without it the line that leans on it is broken. */

import { describe, expect, it } from 'vitest'
import { violations } from './history'
import { drawn, type Event, type Schedule } from './schedule'
import { run } from './world'

const QUERIES = 200
const SEEDS = 100

interface Assumption {
  /** As the docs have it. */
  assumed: string
  line: string
  /** Runs that lean on it. */
  concerns(schedule: Schedule): boolean
  without(schedule: Schedule): Schedule
}

const liarsOf = ({ options: { scheme } }: Schedule) => scheme?.byzantine ?? 0
const isLocal = ({ wire }: Schedule) => !wire
const lie = (identity: string): Event => ({ at: 0, what: 'lie', identity, strategy: 'constant', share: 1 })
const lies = (schedule: Schedule, identities: readonly string[]): Schedule => ({
  ...schedule,
  events: [...identities.map(lie), ...schedule.events.filter(({ what }) => what !== 'lie')],
})

const assumptions: Assumption[] = [
  {
    assumed: 'no worker lies where `byzantine` is 0',
    line: 'an `exact` answer is the model’s own answer',
    concerns: (schedule) => isLocal(schedule) && !liarsOf(schedule),
    without: (schedule) => lies(schedule, [schedule.machines[0].identity]),
  },
  {
    assumed: 'at most E machines lie',
    line: 'an exact answer is proven by E + 1 workers',
    concerns: (schedule) => isLocal(schedule) && liarsOf(schedule) > 0,
    without: (schedule) => {
      const identities = schedule.machines.slice(0, liarsOf(schedule) + 1).map(({ identity }) => identity)
      return lies(schedule, identities)
    },
  },
  {
    assumed: 'a machine has one identity',
    line: 'no honest worker is ejected',
    concerns: (schedule) => isLocal(schedule) && liarsOf(schedule) > 0,
    without: (schedule) => {
      // All that one liar has to do to outvote the others is to be called by many names.
      const [first] = schedule.machines
      const more = schedule.machines.map((_, i) => ({ ...first, name: `m${i}`, identity: `m${i}` }))
      const named = lies(schedule, [first.identity, ...more.map(({ identity }) => identity)])
      return { ...named, machines: [...more, ...schedule.machines] }
    },
  },
  {
    assumed: 'honest answers differ by no more than `verify.rounding`',
    line: 'no honest worker is ejected',
    concerns: (schedule) => isLocal(schedule) && liarsOf(schedule) > 0,
    without: (schedule) => {
      const [first, ...others] = lies(schedule, []).machines
      return { ...lies(schedule, []), machines: [{ ...first, rounding: 0.1 }, ...others] }
    },
  },
  {
    assumed: 'at most S machines are in trouble during a query',
    line: 'every query is answered while at most S workers are in trouble',
    concerns: ({ isSpared, wire }) => isSpared && !wire,
    without: (schedule) => {
      const silent = schedule.machines.map(({ name }): Event => ({ at: 5, what: 'mood', worker: name, mood: 'silent', forMs: 1e4 })) // biome-ignore format: one line
      return { ...schedule, events: [...silent, ...schedule.events].sort((a, b) => a.at - b.at) }
    },
  },
  {
    assumed: 'the other machines have the capacity for all queries',
    line: 'every query is answered while at most S workers are in trouble',
    concerns: ({ isSpared, wire }) => isSpared && !wire,
    without: (schedule) => {
      return { ...schedule, machines: schedule.machines.map((each) => ({ ...each, medianMs: 40 * each.medianMs })) }
    },
  },
]

describe('what is guaranteed takes that', () => {
  it.each(assumptions)('$assumed', async ({ line, concerns, without }) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const schedule = drawn(seed, QUERIES)
      if (!concerns(schedule)) continue
      if (violations(await run(without(schedule))).some((broken) => broken.startsWith(line))) return
    }
    expect.fail(`none of ${SEEDS} runs without it breaks "${line}"`)
  })
})
