/** Hedges, retries, forgiveness and refusals, over a fake service. */

import { describe, expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import { type HedgeOptions, hedge } from '../../src/layers/hedge'
import type { Attempt, Identity } from '../../src/pool/attempt'
import type { Call, Service } from '../../src/service'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { fakeService, listener, queryOf } from '../shared/fake-service'

const ages = { giveMs: 20, hedgeMs: 30, worth: 1 }

/** Workers of one letter each. */
function poolOf(names: string) {
  const blockedOf = (blocked: Iterable<Identity>) => new Set([...blocked].filter((each) => names.includes(each)))
  const available = (blocked: Iterable<Identity>) => names.length - blockedOf(blocked).size
  return {
    ...{ available, free: 1, size: names.length, usable: names.length, nobody: 'nobody is left', waiting: 0 },
    isOverloaded: false,
    tooLate: (): ApproxiferError | undefined => undefined,
  }
}

function hedged(options: Partial<Omit<HedgeOptions, 'clock'>> = {}) {
  const { clock, asked, service } = fakeService()
  const counts = { sent: 0, won: 0 }
  const spent = { earned: [] as number[], taken: 0 }
  const budget = { earn: (open = 0) => spent.earned.push(open), has: true, take: () => spent.taken++ }
  const lateness = { ages, tell() {} }
  const ask = hedge({ clock, lateness, budget, pool: poolOf('abcdef'), counts, mostDowns: 2, ...options })(service)
  return { clock, asked, ask, counts, spent }
}
const pass = (clock: VirtualClock, ms: number) => clock.run(clock.now() + ms)
const microtasks = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('a late attempt', () => {
  it('has another worker asked; the first answer wins, and the other worker is told', async () => {
    const { clock, asked, ask, counts, spent } = hedged()
    const { log, caller } = listener()
    const query = queryOf()
    ask(query, caller)
    asked[0].begin('a')
    await pass(clock, 29)
    expect([asked.length, query.tried.hedged]).toEqual([1, false])
    await pass(clock, 1)
    expect(asked[1].query.priority).toBe('high')
    asked[1].begin('b').answer(2)
    expect(asked[0].dropped).toBe('over')
    asked[0].answer(2)
    expect(log).toEqual(['began a', 'began b', 'ended b', 'exact 2', 'ended a', 'done'])
    expect([counts, spent.taken, query.tried.hedged]).toEqual([{ sent: 1, won: 1 }, 1, true])
  })

  it('waits behind others where the hedge would cost them more than it saves', async () => {
    const { clock, asked, ask } = hedged({ pool: { ...poolOf('ab'), waiting: 2 } })
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 30)
    expect(asked[1].query.priority).toBe('normal')
  })

  it.each([
    ['the budget is spent', { budget: { earn() {}, has: false, take() {} } }],
    ['the pool is overloaded', { pool: { ...poolOf('abc'), isOverloaded: true } }],
    ['nobody else is there', { pool: poolOf('a') }],
  ])('is waited for where %s', async (_, options) => {
    const { clock, asked, ask } = hedged(options)
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 900)
    expect(asked).toHaveLength(1)
  })

  it('that nothing was left for has another worker asked once there is: it had waited for its hung worker to the deadline', async () => {
    const budget = { earn() {}, has: false, take() {} }
    const { clock, asked, ask } = hedged({ budget })
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 100)
    budget.has = true
    await pass(clock, 19)
    expect(asked).toHaveLength(1)
    await pass(clock, 1)
    expect(asked).toHaveLength(2)
  })

  it('has no third worker asked while the second attempt is queued', async () => {
    const { clock, asked, ask } = hedged()
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 500)
    expect(asked).toHaveLength(2)
    asked[1].begin('b')
    await pass(clock, 29)
    expect(asked).toHaveLength(2)
    await pass(clock, 1)
    expect(asked).toHaveLength(3)
  })

  it('has the next worker asked at once where the second one failed', async () => {
    const { clock, asked, ask } = hedged()
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 30)
    asked[1].begin('b').fail()
    expect(asked).toHaveLength(3)
  })

  it('is one whose share of the time to the deadline is over, while nobody knows what is late; and is known when that is', async () => {
    const lateness = { ages: undefined as typeof ages | undefined, tell: (_: Attempt) => {} }
    const { clock, asked, ask } = hedged({ lateness })
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 499)
    expect(asked).toHaveLength(1)
    await pass(clock, 1)
    expect(asked).toHaveLength(2)
    asked[1].begin('b')
    lateness.tell = () => {
      lateness.ages = ages
    }
    ask(queryOf(), listener().caller)
    asked[2].begin('c').answer(1)
    await pass(clock, 30)
    expect(asked).toHaveLength(4)
  })

  it('has three hedges a query, also where several calls are made for it', async () => {
    const { clock, asked, ask, spent } = hedged()
    const query = queryOf()
    for (let voter = 0; voter < 2; voter++) ask(query, listener().caller)
    expect(spent.earned).toEqual([0]) // once a query
    for (let at = 0; at < 5; at++) {
      asked[at].begin('abcdef'[at])
      if (at) await pass(clock, 30)
    }
    expect(asked).toHaveLength(5)
  })
})

describe('where workers fail', () => {
  it('others are asked at once, as often as a query may', () => {
    const { asked, ask } = hedged()
    const { log, outcomes, caller } = listener()
    ask(queryOf(), caller)
    for (let at = 0; at < 3; at++) asked[at].begin('abc'[at]).fail()
    expect(asked).toHaveLength(3)
    expect(log.slice(-2)).toEqual(['WORKER', 'done'])
    expect(outcomes).toMatchObject([{ error: { message: '3 workers failed on the query: broke', ofQuery: true } }])
  })

  it('a query that takes two down is given up', () => {
    const { asked, ask } = hedged()
    const { outcomes, caller } = listener()
    ask(queryOf(), caller)
    for (let at = 0; at < 2; at++) asked[at].begin('ab'[at]).fail('worker', { lost: 'down' })
    expect(outcomes).toMatchObject([
      { error: { message: '2 workers went down with the query, and no other is asked: broke', ofQuery: true } },
    ])
  })

  it('a query that takes down workers of several slots is given up after twice as many', () => {
    const { asked, ask } = hedged({ mostFailures: 9 })
    const { outcomes, caller } = listener()
    ask(queryOf(), caller)
    for (let at = 0; at < 3; at++) asked[at].begin('abc'[at]).fail('worker', { lost: 'shared' })
    expect(outcomes).toEqual([])
    asked[3].begin('d').fail('worker', { lost: 'shared' })
    expect([asked.length, outcomes]).toMatchObject([4, [{ error: { code: 'WORKER', ofQuery: true } }]])
  })

  it('a query that takes two down is hedged no more, and a hedge that waits is taken back', async () => {
    const { clock, asked, ask } = hedged()
    const { outcomes, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('a')
    await pass(clock, 30)
    asked[1].begin('b')
    await pass(clock, 30)
    expect(asked.length).toBe(3)
    for (const each of asked.slice(0, 2)) each.fail('worker', { lost: 'down' })
    expect(asked[2].dropped).toBe('over')
    expect(outcomes).toMatchObject([{ error: { code: 'WORKER', ofQuery: true } }])
  })

  it('a query of which another voter took two down is not hedged where it is late', async () => {
    const { clock, asked, ask } = hedged()
    const query = queryOf()
    ask(query, listener().caller)
    asked[0].begin('a')
    const down = { outcome: { kind: 'failed', lost: 'down' } } as Attempt
    query.tried.add(down)
    query.tried.add({ ...down } as Attempt)
    await pass(clock, 60)
    expect(asked.length).toBe(1)
  })

  it('they are forgiven, once, where nobody else is left', () => {
    const { asked, ask } = hedged({ pool: poolOf('a') })
    const { log, outcomes, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('a').fail()
    asked[1].begin('a').fail()
    expect(asked).toHaveLength(2)
    expect(log.slice(-2)).toEqual(['WORKER', 'done'])
    expect(outcomes).toMatchObject([{ error: { message: 'all 1 workers failed on the query in 2 tries: broke' } }])
  })

  it.each([
    ['no answer', { code: 'PROTOCOL' as const }],
    ['silence', { lost: 'silent' as const }],
  ])('one is not forgiven for %s', (_, over) => {
    const { asked, ask } = hedged({ pool: poolOf('a') })
    ask(queryOf(), listener().caller)
    asked[0].begin('a').fail('worker', over)
    expect(asked).toHaveLength(1)
  })

  it('an attempt that was taken away counts for nothing', () => {
    const { asked, ask } = hedged()
    ask(queryOf(), listener().caller)
    for (let at = 0; at < 5; at++) asked[at].begin('a').fail('nobody')
    expect(asked).toHaveLength(6)
  })

  it('another answer would be too late: the query is refused', () => {
    const error = new ApproxiferError('OVERLOADED', 'too late')
    const { asked, ask } = hedged({ pool: { ...poolOf('abc'), isOverloaded: true, tooLate: () => error } })
    const { log, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('a').fail()
    expect([asked.length, log.slice(-2)]).toEqual([1, ['OVERLOADED', 'done']])
  })

  it.each(['payload', 'load'] as const)('nobody else is asked where the %s is to blame', (blame) => {
    const { asked, ask } = hedged()
    const { log, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('a').fail(blame, { code: blame === 'load' ? 'OVERLOADED' : 'WORKER' })
    expect([asked.length, log.at(-2)]).toEqual([1, blame === 'load' ? 'OVERLOADED' : 'WORKER'])
  })

  it('nobody else is asked for what is only to be recovered', () => {
    const { asked, ask } = hedged()
    ask(queryOf({ choices: { policy: 'recover' } as never }), listener().caller)
    asked[0].begin('a').fail()
    expect(asked).toHaveLength(1)
  })

  it('what runs elsewhere is waited for', async () => {
    const { clock, asked, ask } = hedged()
    const { log, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('a')
    await pass(clock, 30)
    asked[1].begin('b')
    asked[0].fail()
    expect(log).not.toContain('WORKER')
    asked[1].answer(3)
    expect(log.slice(-2)).toEqual(['exact 3', 'done'])
  })

  it('without a worker the query says why', () => {
    const { asked, ask } = hedged({ pool: { ...poolOf(''), usable: 0 } })
    const { outcomes, caller } = listener()
    ask(queryOf(), caller)
    asked[0].fail('nobody')
    expect(outcomes).toMatchObject([{ error: { code: 'WORKER', message: 'nobody is left' } }])
  })
})

it('of what is refused no worker is asked; its caller hears of it when the call is known, and it earns nothing', async () => {
  const { asked, ask, spent } = hedged()
  const { log, caller } = listener()
  ask(queryOf({ refusal: new ApproxiferError('OVERLOADED', 'too late') }), caller)
  expect(log).toEqual([])
  await microtasks()
  expect([asked.length, log, spent.earned]).toEqual([0, ['OVERLOADED', 'done'], []])
})

it('expires with what it waited for, and is done when the last attempt is', async () => {
  const { clock, asked, ask } = hedged()
  const [queued, running] = [listener(), listener()]
  ask(queryOf(), queued.caller).expire()
  expect(queued.log).toEqual(['DEADLINE', 'ended undefined', 'done'])
  expect(queued.outcomes).toMatchObject([{ error: { message: 'waited 0 ms for workers, 1 of 6 free' } }])
  const call = ask(queryOf(), running.caller)
  asked[1].begin('a')
  await pass(clock, 10)
  call.expire()
  expect(running.outcomes).toMatchObject([{ error: { message: 'no answer within 10 ms' } }])
  asked[1].answer(1)
  expect(running.log).toEqual(['began a', 'DEADLINE', 'ended a', 'done'])
})

it('a call that is dropped sends no hedge, and settles no more', async () => {
  const { clock, asked, ask } = hedged()
  const { log, caller } = listener()
  const call = ask(queryOf(), caller)
  asked[0].begin('a')
  call.drop('left')
  await pass(clock, 100)
  asked[0].fail()
  expect([asked.length, asked[0].dropped, log]).toEqual([1, 'left', ['began a', 'ended a', 'done']])
})

it('the first attempt’s time is told, long after another’s answer was given', async () => {
  const told: number[] = []
  const { clock, asked, ask } = hedged({ lateness: { ages, tell: ({ startedAt }) => told.push(startedAt) } })
  ask(queryOf(), listener().caller)
  await pass(clock, 5)
  asked[0].begin('a')
  await pass(clock, 30)
  asked[1].begin('b').answer(1)
  expect(told).toEqual([])
  asked[0].answer(1)
  expect(told).toEqual([5])
})

describe('while a memory is asked', () => {
  it('nobody else is, and the query is not done; then it goes on', async () => {
    const { asked, ask } = hedged()
    const { log, caller } = listener()
    const query = queryOf()
    ask(query, caller)
    query.tried.hold()
    asked[0].begin('a').fail()
    expect([asked.length, log]).toEqual([1, ['began a', 'ended a']])
    query.tried.release()
    expect(asked).toHaveLength(2)
    asked[1].begin('b').answer(2)
    expect(log.slice(2)).toEqual(['began b', 'ended b', 'exact 2', 'done'])
  })

  it('a late attempt has no hedge', async () => {
    const { clock, asked, ask } = hedged()
    const query = queryOf()
    ask(query, listener().caller)
    asked[0].begin('a')
    query.tried.hold()
    await pass(clock, 50)
    expect(asked).toHaveLength(1)
    query.tried.release()
    expect(asked).toHaveLength(2)
  })

  it('a call that is dropped is done once it is told', () => {
    const { asked, ask } = hedged()
    const { log, caller } = listener()
    const query = queryOf()
    const call = ask(query, caller)
    query.tried.hold()
    asked[0].begin('a').fail()
    call.drop('teach')
    query.tried.release()
    expect([asked.length, log]).toEqual([1, ['began a', 'ended a', 'done']])
  })
})

it('a call that is dropped while a hedge is sent drops that as well', async () => {
  const { clock, asked, service } = fakeService()
  let call: Call | undefined
  const leaving: Service = (query, caller) => {
    if (asked.length) call?.drop('left')
    return service(query, caller)
  }
  const budget = { earn() {}, has: true, take() {} }
  const counts = { sent: 0, won: 0 }
  call = hedge({ clock, lateness: { ages, tell() {} }, budget, pool: poolOf('ab'), counts, mostDowns: 2 })(leaving)(
    queryOf(),
    listener().caller,
  )
  asked[0].begin('a')
  await pass(clock, 30)
  expect(asked.map(({ dropped }) => dropped)).toEqual(['left', 'left'])
})

describe('a call for one of several answers that are compared', () => {
  const compares = { compares: true, mostDowns: 4 }

  it('lets the slower worker go on where one has answered, and when time is up', async () => {
    const { clock, asked, ask } = hedged(compares)
    ask(queryOf(), listener().caller)
    asked[0].begin('a')
    await pass(clock, 30)
    asked[1].begin('b').answer(1)
    expect(asked[0].dropped).toBe('teach')
    const other = hedged(compares)
    const call = other.ask(queryOf(), listener().caller)
    other.asked[0].begin('a')
    call.expire()
    expect(other.asked[0].dropped).toBe('teach')
  })

  it('asks others whatever the policy, however many failed, as long as few went down', () => {
    const { asked, ask } = hedged(compares)
    ask(queryOf({ choices: { policy: 'recover' } as never }), listener().caller)
    for (const name of 'abcd') asked['abcd'.indexOf(name)].begin(name).fail()
    expect(asked.length).toBe(5)
    const deadly = hedged(compares)
    deadly.ask(queryOf(), listener().caller)
    for (let i = 0; i < 4; i++) deadly.asked[i].begin('abcd'[i]).fail('worker', { lost: 'down' })
    expect(deadly.asked.length).toBe(4)
  })

  it('that nobody waits for is not hedged, and goes before nobody where a worker failed', async () => {
    const { clock, asked, ask } = hedged(compares)
    ask(queryOf({ priority: 'low' }), listener().caller)
    asked[0].begin('a')
    await pass(clock, 500)
    expect(asked.length).toBe(1)
    asked[0].fail()
    expect(asked[1].query.priority).toBe('low')
  })

  it('tells nobody that it needs another worker while one is at work on the query', () => {
    const { asked, ask } = hedged(compares)
    const query = queryOf()
    let needs = 0
    query.tried.onNeed = () => needs++
    ask(query, listener().caller)
    ask(query, listener().caller)
    asked[1].begin('b')
    asked[0].begin('a').fail()
    expect(needs).toBe(0)
  })
})
