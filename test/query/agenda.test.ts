import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/clock'
import { Lateness } from '../../src/layers/lateness'
import { Agenda, isLate, type Timed } from '../../src/query/agenda'
import { seeded } from '../../src/random'
import { VirtualClock } from '../../src/testing/virtual-clock'

const DEADLINE_MS = 1000
const IDLE = { utilisation: 0, slots: 9 }

/** An agenda on made time, and queries that write down when they were told. */
function fresh({ deadlineMs = DEADLINE_MS, lateMs = 0 } = {}) {
  const clock = new VirtualClock()
  const lateness = new Lateness(() => IDLE)
  /** From now on what takes this long is late: so few times were seen that it is three medians. */
  const late = (ms: number) => {
    for (let i = 0; i < 10; i++) lateness.see(ms / 3)
  }
  if (lateMs) late(lateMs)
  const agenda = new Agenda(clock, lateness, deadlineMs)
  const told: string[] = []
  /** How often somebody was asked whether he still waits. */
  const asked = { count: 0 }
  const add = (
    name: string,
    ms = deadlineMs,
    does: (now: number) => void = () => {},
    begins?: number,
    factor?: number,
  ) => {
    const since = clock.now()
    let isOpen = true
    const timed: Timed = {
      caller: {
        since,
        dueAt: since + ms,
        get isOpen() {
          asked.count++
          return isOpen
        },
      },
      look: (now) => {
        told.push(`${name} ${now}`)
        does(now)
      },
    }
    const places = agenda.add(timed)
    agenda.began(places, begins === undefined ? since : begins, factor)
    const remove = () => {
      isOpen = false
      agenda.remove(places)
    }
    return { again: (at: number) => agenda.again(places, at), remove, places }
  }
  return { clock, agenda, late, add, told, asked }
}

describe('deadlines', () => {
  it('come in the order of the queries, those that were answered are not told, and one timer does for all', async () => {
    const { clock, add, told } = fresh()
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const { remove } = add(name, DEADLINE_MS, () => remove())
      if (name === 'a') remove()
      if (name === 'd') clock.after(5, remove)
      expect(clock.pending).toBeLessThanOrEqual(2)
      await clock.run(clock.now() + 10)
    }
    expect(clock.pending).toBe(1)
    await clock.run()
    expect(told).toEqual(['b 1010', 'c 1020', 'e 1040'])
    expect(clock.pending).toBe(0)
  })

  it('of one that asks again, behind others that are due later, is kept', async () => {
    const { clock, agenda, told, add } = fresh()
    await clock.run(500)
    add('new')
    agenda.add({ caller: { since: 0, dueAt: DEADLINE_MS, isOpen: true }, look: (now) => told.push(`again ${now}`) })
    await clock.run()
    expect(told).toEqual(['again 1000', 'new 1500'])
  })

  it('other than the usual one are kept as well', async () => {
    const { clock, add, told } = fresh()
    for (const [name, ms] of [
      ['usual', DEADLINE_MS],
      ['longer', 2000],
      ['shorter', 20],
      ['at once', 0],
    ] as const) {
      const { remove } = add(name, ms, () => remove())
    }
    await clock.run()
    expect(told).toEqual(['at once 0', 'shorter 20', 'usual 1000', 'longer 2000'])
  })

  it('one that is answered while others of the same time are told is not told', async () => {
    const { clock, add, told } = fresh()
    const first = add('first', DEADLINE_MS, () => {
      first.remove()
      second.remove()
    })
    const second = add('second')
    await clock.run()
    expect(told).toEqual(['first 1000'])
  })

  it('a timer that fires a little early is as good as one in time', () => {
    let fire = () => {}
    let [now, timers] = [0, 0]
    const early: Clock = {
      now: () => now,
      after: (_, f) => {
        timers++
        fire = f
        return () => {}
      },
    }
    const agenda = new Agenda(early, new Lateness(() => IDLE), DEADLINE_MS)
    const told: number[] = []
    agenda.add({ caller: { since: 0, dueAt: DEADLINE_MS, isOpen: true }, look: (at) => told.push(at) })
    now = DEADLINE_MS - 0.9
    fire()
    expect([told, timers]).toEqual([[DEADLINE_MS], 1])
  })
})

describe('late queries', () => {
  it('are only those that still wait, in the order in which they came, also where what is late is known later', async () => {
    const { clock, late, add, told } = fresh()
    const all: { remove(): void }[] = []
    for (let i = 0; i < 5; i++) {
      all.push(add(`${i}`))
      await clock.run(clock.now() + 1)
    }
    all[0].remove()
    all[3].remove()
    late(30)
    await clock.run(31)
    expect(told).toEqual(['1 31'])
    all[1].remove() // answered after it was late
    await clock.run(900)
    expect(told).toEqual(['1 31', '2 32', '4 34'])
    for (const i of [2, 4]) all[i].remove()
    await clock.run()
    expect(told.length).toBe(3)
  })

  it('that came long before it was known what is late are told at once', async () => {
    const { clock, late, add, told } = fresh()
    for (const name of ['a', 'b']) add(name)
    await clock.run(500)
    late(30)
    await clock.run(501)
    expect(told).toEqual(['a 500', 'b 500'])
  })

  it('are told once, and again at their deadline', async () => {
    const { clock, add, told } = fresh({ lateMs: 30 })
    const { remove } = add('a')
    await clock.run(999)
    expect(told).toEqual(['a 30'])
    await clock.run(1001)
    expect(told).toEqual(['a 30', 'a 1000'])
    remove()
  })

  it('nobody is late before it is known what is', async () => {
    const { clock, add, told } = fresh()
    const { remove } = add('a')
    await clock.run(999)
    expect(told).toEqual([])
    remove()
    expect(clock.pending).toBe(0)
  })
})

describe('another time', () => {
  it('is told, also where it is the first of all, unless the query was answered before', async () => {
    const { clock, add, told } = fresh({ lateMs: 30 })
    const [a, b, c] = [add('a'), add('b'), add('c')]
    b.again(20)
    a.again(10)
    c.again(15)
    c.remove()
    expect(clock.pending).toBe(1)
    await clock.run(29)
    expect(told).toEqual(['a 10', 'b 20'])
    await clock.run(31)
    expect(told).toEqual(['a 10', 'b 20', 'a 30', 'b 30'])
    for (const { remove } of [a, b]) remove()
    expect(clock.pending).toBe(0)
  })

  it('that has passed is told in the next turn, not from inside', async () => {
    const { clock, add, told } = fresh()
    await clock.run(50)
    const { again, remove } = add('a')
    again(40)
    expect(told).toEqual([])
    await clock.run(51)
    expect(told).toEqual(['a 50'])
    remove()
  })

  it('may be asked for whenever one is told', async () => {
    const { clock, add, told } = fresh()
    const { again, remove } = add('a', DEADLINE_MS, (now) => (now < 40 ? again(now + 10) : remove()))
    again(10)
    await clock.run()
    expect(told).toEqual(['a 10', 'a 20', 'a 30', 'a 40'])
  })

  it('that a query had asked for does not keep it once it was answered', () => {
    const { add } = fresh()
    add('stays')
    const { again, remove, places } = add('a', 2 * DEADLINE_MS)
    again(500)
    remove()
    expect(places.timed).toBe(undefined)
  })

  it('of queries that were answered does not pile up', async () => {
    const { clock, add, told, asked } = fresh()
    const stays = add('stays')
    for (let i = 0; i < 20_000; i++) {
      const { again, remove } = add(`${i}`)
      again(500)
      remove()
    }
    const before = asked.count
    await clock.run(501)
    expect(told).toEqual([])
    expect(asked.count - before).toBeLessThan(2000)
    stays.remove()
  })
})

it('no timer is left where nobody waits, whatever they waited for', async () => {
  const { clock, add, told } = fresh({ lateMs: 30 })
  for (let round = 0; round < 3; round++) {
    const all = [add('usual'), add('odd', 200), add('again')]
    all[2].again(clock.now() + 5)
    expect(clock.pending).toBe(1)
    for (const { remove } of all) remove()
    expect(clock.pending).toBe(0)
    await clock.run(clock.now() + 1)
  }
  await clock.run()
  expect(told).toEqual([])
})

it('whoever comes, asks again and leaves, each is told at its times and at no other', async () => {
  const random = seeded(3)
  const { clock, add, told } = fresh({ lateMs: 30 })
  const expected: string[] = []
  for (let i = 0, at = 0; i < 2000; i++) {
    at += Math.ceil(3 * random.next())
    const since = at
    const leavesAt = since + 0.5 + random.below(random.next() < 0.2 ? 1200 : 60)
    const ms = random.next() < 0.3 ? 1 + random.below(60) : DEADLINE_MS
    const times = new Set([30, ms])
    clock.after(since, () => {
      const { again, remove } = add(`${i}`, ms)
      for (let times = random.below(3); times > 0; times--) {
        const later = 1 + random.below(80)
        again(since + later)
        if (since + later < leavesAt) expected.push(`${i} ${since + later}`)
      }
      clock.after(leavesAt - since, remove)
    })
    for (const time of times) if (since + time < leavesAt) expected.push(`${i} ${since + time}`)
  }
  await clock.run()
  const timeOf = (line: string) => Number(line.split(' ')[1])
  expect(told.map(timeOf)).toEqual(told.map(timeOf).sort((a, b) => a - b))
  expect([...new Set(told)].sort()).toEqual([...new Set(expected)].sort())
  expect(clock.pending).toBe(0)
})

it('a row that is behind another in its worker has not begun: no time is planned for it, and others have theirs', async () => {
  const { clock, add, told } = fresh({ lateMs: 30 })
  add('behind', DEADLINE_MS, () => {}, Number.NaN).remove()
  const behind = add('behind', DEADLINE_MS, () => behind.remove(), Number.NaN)
  const usual = add('usual', DEADLINE_MS, (now) => now >= DEADLINE_MS && usual.remove())
  await clock.run()
  expect(told).toEqual(['usual 30', `behind ${DEADLINE_MS}`, `usual ${DEADLINE_MS}`])
})

it('one that takes less than others asks again by itself, since it is late before they are; but not while nobody knows what is late', () => {
  const nothing = () => {}
  const { add } = fresh({ lateMs: 30 })
  expect([0.5, 1, 2].map((factor) => isLate(add('a', DEADLINE_MS, nothing, 0, factor).places))).toEqual([true, false, false]) // biome-ignore format: one line
  expect(isLate(fresh().add('a', DEADLINE_MS, nothing, 0, 0.5).places)).toBe(false)
})
