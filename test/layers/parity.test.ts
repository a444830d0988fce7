/** Groups of K queries and the parities that mix them, over fake services: one for queries, one for what goes past the hedges. */

import { beforeAll, describe, expect, it } from 'vitest'
import type { Policy } from '../../src/base/choices'
import { Codec } from '../../src/codec/codec'
import { type ParityOptions, parity, sendsParities } from '../../src/layers/parity'
import type { Rehearsal } from '../../src/memory/service'
import type { Attempt, Identity } from '../../src/pool/attempt'
import type { Offer, Query, Service } from '../../src/service'
import { type FakeAttempt, fakeService, listener, payload, queryOf } from '../shared/fake-service'

const codecs = new Map<string, Codec>()
const SCHEMES = [[1, 1], [2, 1], [3, 1], [3, 2], [4, 1], [1000, 1]] as const // biome-ignore format: one line

beforeAll(async () => {
  for (const [queries, stragglers] of SCHEMES)
    codecs.set(`${queries},${stragglers}`, await Codec.create({ queries, stragglers, core: { prefer: 'js' } }))
})

/** A layer whose queries and parities begin and end by hand. */
function grouping(queries: number, stragglers: number, over: Partial<ParityOptions> = {}) {
  const { clock, asked, service } = fakeService()
  const { asked: parities, service: workers } = fakeService(clock)
  const promoted: Attempt[] = []
  const studied: Rehearsal[][] = []
  const pool = {
    usable: 9,
    nobody: 'nobody is left',
    utilisation: 0,
    free: ['a', 'b', 'c', 'd', 'e', 'f'] as Identity[],
    available: (blocked: Iterable<Identity>) => pool.free.filter((each) => ![...blocked].includes(each)).length,
    promote: (attempt: Attempt) => promoted.push(attempt),
  }
  const memory = {
    isWarm: false,
    study: (all: Iterable<readonly Rehearsal[]>) => studied.push([...all].flat()),
  }
  const codec = codecs.get(`${queries},${stragglers}`) as Codec
  const inputs = [{ name: 'x', shape: [2] }]
  const layer = parity({ clock, codec, pool, workers, inputs, memory, maxWaitMs: 10, ...over })
  const ask = layer(service)
  /** @param takes  what is decoded is given at once */
  const join = (policy: Policy = 'recover', over: Partial<Query> = {}, takes = false) => {
    const { log, outcomes, caller } = listener()
    const offers: { decode: () => Offer | undefined; isLost: boolean }[] = []
    const query = queryOf({ payload: payload(asked.length + 1, 1), ...over, choices: { policy } as never })
    const offer = (decode: () => Offer | undefined, isLost: boolean) => {
      log.push(isLost ? 'offered, lost' : 'decodable')
      offers.push({ decode, isLost })
      const decoded = takes ? decode() : undefined
      if (!decoded) return
      log.push(`recovered ${Math.round(decoded.recoveries[0].answer[0])}`)
      call.drop('teach')
    }
    const call = ask(query, { ...caller, offer })
    return { call, query, log, outcomes, offers, attempt: asked.at(-1) as FakeAttempt }
  }
  return { clock, asked, parities, pool, memory, layer, ask, join, promoted, studied }
}

const values = ({ query }: FakeAttempt) => [...query.payload.vector]
const codeOf = ({ outcomes }: { outcomes: unknown[] }) => (outcomes[0] as { error: { code: string } })?.error.code

/** Twice the query, as the model would. */
const answer = (attempt: FakeAttempt) => attempt.answer(...values(attempt).map((value) => 2 * value))

describe('a group', () => {
  it('sends each query at once; its answer does not wait for the group', () => {
    const { join, parities } = grouping(3, 1)
    const { log, attempt } = join()
    answer(attempt.begin('a'))
    expect([log, parities]).toEqual([['began a', 'ended a', 'exact 2,2'], []])
  })

  it('closes when it is full: parities of low priority mix what has no answer', () => {
    const { join, parities } = grouping(3, 1)
    const [one] = [join(), join()]
    answer(one.attempt.begin('a'))
    expect(parities).toEqual([])
    join()
    expect(parities.map(values)).toEqual([[2.5, 1]])
    expect(parities[0].query).toMatchObject({ priority: 'low', dueAt: Number.POSITIVE_INFINITY, refusal: false })
    join()
    expect(parities.length).toBe(1)
  })

  it.each([
    ['after maxWaitMs', 1000, 9.9, 10],
    ['after half of the time to the deadline', 10, 4.9, 5],
  ])('closes %s', async (_, dueAt, before, after) => {
    const { clock, join, parities } = grouping(3, 1)
    join()
    join('recover', { dueAt })
    await clock.run(before)
    expect(parities.length).toBe(0)
    await clock.run(after)
    expect([parities.length, clock.pending]).toEqual([1, 0])
  })

  it('closes at once where no worker is usable, also when that becomes so', () => {
    const { join, parities, pool } = grouping(3, 1)
    pool.usable = 0
    join()
    expect(parities.length).toBe(1)
    pool.usable = 1
    const { attempt } = join()
    expect(parities.length).toBe(1)
    pool.usable = 0
    attempt.fail('nobody')
    expect(parities.length).toBe(2)
  })

  it('closes at once for one whose time is up', () => {
    const { join, parities, clock } = grouping(3, 1)
    join('recover', { dueAt: -1 })
    expect([parities.length, clock.pending]).toEqual([1, 0])
  })

  it('that is closed while its query is asked sets no timer', () => {
    const { layer, clock } = grouping(3, 1)
    const service: Service = () => {
      layer.close()
      return { drop() {}, expire() {} }
    }
    layer(service)(queryOf({ payload: payload(1, 1) }), listener().caller)
    expect(clock.pending).toBe(0)
  })

  it('that is closed by hand is joined no more; queries go on', () => {
    const { join, layer, parities, clock } = grouping(3, 1)
    const { log, attempt } = join()
    layer.close()
    expect([parities.length, clock.pending]).toEqual([1, 0])
    join()
    expect(clock.pending).toBe(1) // another group fills
    answer(attempt.begin('a'))
    expect(log.at(-2)).toBe('exact 2,2')
  })

  it('is not joined by what is refused', () => {
    const { join, asked, clock } = grouping(3, 1)
    const { log, query } = join('auto', { refusal: new Error('late') as never })
    expect([asked[0].query, clock.pending]).toEqual([query, 0])
    asked[0].fail('load', { code: 'OVERLOADED' })
    expect(log).toEqual(['ended undefined', 'OVERLOADED', 'done'])
  })

  it('that is filled while its first query is asked is closed once', () => {
    const inner = fakeService()
    const callers = [listener(), listener(), listener()]
    let count = 0
    const service: Service = (query, caller) => {
      if (++count < 3) ask(queryOf({ payload: payload(count + 1, 1) }), callers[count].caller)
      return inner.service(query, caller)
    }
    const { layer, clock, parities } = grouping(3, 1)
    const ask = layer(service)
    ask(queryOf({ payload: payload(1, 1) }), callers[0].caller)
    expect([parities.length, clock.pending]).toEqual([1, 0])
  })
})

describe('parities are sent', () => {
  it.each<[string, Policy, object, number[] | undefined]>([
    ['of all that have no answer', 'auto', {}, [2, 1]],
    ['while machines are free', 'auto', { utilisation: 0.85 }, [2, 1]],
    ['not while they are not', 'auto', { utilisation: 0.86 }, undefined],
    ['not while the memory is warm', 'auto', { isWarm: true }, undefined],
    ['however busy machines are where that was promised', 'recover', { utilisation: 1 }, [2, 1]],
    ['and whatever is remembered', 'recover', { isWarm: true }, [2, 1]],
    ['not for those that want exact answers', 'retry', {}, undefined],
  ])('%s', (_, policy, { isWarm = false, utilisation = 0 }: { isWarm?: boolean; utilisation?: number }, row) => {
    const { join, parities, pool, memory } = grouping(4, 1)
    Object.assign(pool, { utilisation })
    Object.assign(memory, { isWarm })
    const all = [join(policy), join(policy), join(policy)]
    answer(join(policy).attempt) // the fourth closes it
    expect(parities.map(values)).toEqual(row ? [[2.5, 1]] : [])
    expect(all.length).toBe(3)
  })

  it('not where each would be a copy, nor where nothing is missing; a promise is kept', () => {
    expect([1, 2, 3].map((missing) => sendsParities(false, missing, 2, false))).toEqual([false, false, true])
    expect([0, 1].map((missing) => sendsParities(true, missing, 2, true))).toEqual([false, true])
    expect(sendsParities(true, 3, 0, false)).toBe(false)
  })

  it('mixed of those alone whose callers would take a recovery, and wait', () => {
    const { join, parities } = grouping(4, 1)
    join('retry')
    const { call } = join()
    call.drop('left')
    join()
    join()
    expect(parities.map(values)).toEqual([[3.5, 1]])
  })
})

describe('what is missing is decoded', () => {
  /** A group of three with two parities whose third query is lost. @param others, what  a: answers, f: fails, -: nothing yet */
  function lost(others: string, what: string) {
    const { join, asked, parities } = grouping(3, 2)
    const { log } = [join(), join(), join('recover', {}, true)][2]
    const rows = [...asked.slice(0, 2), ...parities]
    asked[2].begin('f').fail()
    for (const [i, does] of [...`${others}${what}`].entries()) {
      if (does === 'a') answer(rows[i].begin('abcd'[i]))
      if (does === 'f') rows[i].begin('abcd'[i]).fail()
    }
    return log.slice(2).filter((each) => each !== 'done')
  }

  const HELD = ['offered, lost']
  const RECOVERED = [...HELD, ...HELD, 'recovered 6']
  const FAILED = [...HELD, 'QUORUM']

  it.each([
    ['--', '--', HELD],
    ['aa', '--', HELD],
    ['aa', 'a-', RECOVERED],
    ['aa', '-a', RECOVERED],
    ['aa', 'f-', HELD],
    ['aa', 'ff', FAILED],
    ['aa', 'fa', RECOVERED],
    ['a-', 'a-', HELD],
    ['a-', 'af', HELD],
    ['af', 'a-', HELD],
    ['af', 'af', FAILED],
    ['ff', '--', FAILED],
    ['-f', 'ff', FAILED],
    ['-f', 'a-', HELD],
    ['--', 'ff', FAILED],
    ['--', 'aa', HELD],
  ])('others %s, parities %s: %j', (others, what, becomes) => expect(lost(others, what)).toEqual(becomes))

  it('when it is asked for, once, from the answers that had come: these are told', () => {
    const { join, asked, parities } = grouping(3, 2)
    const [one, two, three] = [join(), join(), join()]
    answer(asked[0].begin('a'))
    answer(parities[0].begin('b'))
    expect(one.offers.length + two.offers.length + three.offers.length).toBe(0)
    answer(parities[1].begin('c'))
    expect([one, two, three].map(({ offers }) => offers.length)).toEqual([0, 1, 1])
    const offer = two.offers[0].decode() as Offer
    expect(offer).toMatchObject({ isMixed: true, missing: 2, recoveries: [{ query: 1, source: 'code', missing: 2 }] })
    expect(offer.by).toEqual([asked[0], parities[0], parities[1]])
    answer(asked[2].begin('d'))
    expect(three.offers[0].decode()).toMatchObject({ missing: 2 }) // what was decoded may be graded
    expect(two.offers[0].decode()).toBe(offer)
  })

  it('not for one that has its own answer by then, nor for others since that is asked', () => {
    const { join, asked, parities } = grouping(3, 2)
    const [, two, three] = [join(), join(), join()]
    for (const [i, attempt] of [asked[0], ...parities].entries()) answer(attempt.begin('abc'[i]))
    answer(asked[2].begin('d'))
    expect(three.offers[0].decode()).toBe(undefined)
    expect(two.offers[0].decode()).toMatchObject({ missing: 1 })
  })

  it('also for one that is told in this moment that its own answer is lost', () => {
    const { join, ask, asked, parities } = grouping(2, 1)
    join()
    let decode: (() => Offer | undefined) | undefined
    const decoded: unknown[] = []
    const offer = (told: () => Offer | undefined) => {
      decode = told
    }
    const query = queryOf({ payload: payload(2, 1), choices: { policy: 'auto' } as never })
    ask(query, { offer, settled: () => decoded.push(decode?.()) })
    answer(asked[0].begin('a'))
    answer(parities[0].begin('b'))
    asked[1].begin('c').fail()
    expect(decoded).toMatchObject([{ recoveries: [{ query: 1 }] }])
  })

  it('a row that two workers answered counts once', () => {
    const { join, asked, parities } = grouping(3, 1)
    const [, , three] = [join(), join(), join()]
    const [first] = asked
    answer(first.begin('a'))
    first.caller.ended?.({ ...first.own, outcome: { kind: 'answered', answer: payload(2, 2) } } as Attempt)
    answer(parities[0].begin('b'))
    expect(three.offers.length).toBe(0)
    answer(asked[1].begin('c'))
    expect(three.offers.length).toBe(1)
  })

  it('from answers to those that take no recoveries, too; they are offered none', () => {
    const { join, asked, parities } = grouping(3, 1)
    const [exact, , three] = [join('retry'), join(), join()]
    answer(parities[0].begin('a'))
    answer(asked[1].begin('b'))
    expect([exact.offers.length, three.offers.length]).toEqual([0, 0])
    answer(asked[0].begin('c'))
    expect([exact.offers.length, three.offers.length]).toEqual([0, 1])
    const other = grouping(3, 1)
    const [lost] = [other.join('retry'), other.join(), other.join()]
    for (const attempt of [other.asked[1], other.asked[2], other.parities[0]])
      answer(attempt.begin('abc'[other.asked.indexOf(attempt)] ?? 'a'))
    expect(lost.offers.length).toBe(0)
  })

  it('a parity of a single query is its own answer, by a worker that had not been asked for it', () => {
    const { join, layer, asked, parities, pool } = grouping(3, 1)
    const { log, outcomes, attempt } = join()
    attempt.begin('a')
    layer.close()
    pool.free = ['a']
    expect([values(parities[0]), parities[0].query.apart.some((apart) => apart.blocks('a'))]).toEqual([[1, 1], true])
    answer(parities[0].begin('b'))
    expect([log, outcomes]).toMatchObject([['began a', 'exact 2,2'], [{ confidence: 1, by: [parities[0]] }]])
    expect(asked[0].dropped).toBe('teach')
  })
})

describe('a failure', () => {
  it('is given at once where others may be asked for it', () => {
    const { join } = grouping(3, 1)
    const { attempt, log } = join('auto')
    attempt.begin('a').fail()
    expect(log).toEqual(['began a', 'ended a', 'WORKER'])
  })

  it('is held while its group fills, and given where no parity can be made', () => {
    const { join, layer, parities } = grouping(3, 1)
    const { attempt, log, call } = join()
    attempt.begin('a').fail()
    expect(log).toEqual(['began a', 'ended a', 'offered, lost'])
    call.drop('left')
    const { log: others } = join('retry')
    layer.close()
    expect([parities.length, others]).toEqual([0, []])
  })

  it('names what other workers said of other queries by nothing but its code', () => {
    const { join, asked, parities } = grouping(2, 1)
    const [one] = [join(), join()]
    asked[0].begin('a').fail('worker')
    asked[1].begin('b').fail('worker')
    expect(one.outcomes).toMatchObject([
      { error: { message: 'results: expected >= 2 of 3, got 0, 1 outstanding; broke; b: WORKER' }, blame: 'worker' },
    ])
    expect(parities[0].dropped).toBe('over')
  })

  it('names three of them, and how many more', () => {
    const { layer, join, asked } = grouping(1000, 1)
    const one = join()
    for (let i = 0; i < 9; i++) join()
    layer.close()
    for (const [i, attempt] of asked.entries()) if (i) attempt.begin(`w${i}`).fail()
    asked[0].begin('a').fail()
    expect(one.outcomes).toMatchObject([{ error: { message: /^results: expected >= 10 of 11, got 0, 1 outstanding; broke; w1: WORKER; w2: WORKER; w3: WORKER; and 6 others$/ } }] as never) // biome-ignore format: one line
  })

  it('is its own where no answer would be in time, or no worker is left', () => {
    const { join, asked, parities, pool, promoted } = grouping(3, 2)
    const [one, two, three] = [join(), join(), join()]
    asked[0].fail('load', { code: 'OVERLOADED' })
    expect([promoted.length, one.log.at(-1)]).toEqual([0, 'offered, lost'])
    asked[1].begin('b').fail('nobody')
    parities[0].fail('nobody')
    expect([codeOf(one), codeOf(two)]).toEqual(['OVERLOADED', 'QUORUM'])
    pool.usable = 0
    asked[2].begin('c').fail('nobody')
    expect(codeOf(three)).toBe('WORKER')
  })

  it('has parities that wait go first, where nothing else will do', () => {
    const { join, asked, parities, promoted } = grouping(3, 2)
    join()
    join()
    join()
    parities[1].begin('d')
    asked[0].begin('a').fail()
    expect(promoted).toEqual([parities[0]])
  })

  it('of the code itself costs no query its own answer', () => {
    const codec = codecs.get('2,1') as Codec
    const open = () => {
      const group = codec.open()
      group.close = () => {
        throw new Error('no memory')
      }
      return group
    }
    const broken = { scheme: codec.scheme, core: codec.core, schemeFor: (k: number) => codec.schemeFor(k), open }
    const { join, asked } = grouping(2, 1, { codec: broken as never })
    const [one, two] = [join(), join()]
    answer(asked[0].begin('a'))
    asked[1].begin('b').fail()
    expect([one.log.at(1), one.log.at(2), two.outcomes]).toMatchObject(['ended a', 'exact 2,2', [{ error: { message: 'no memory' } }]]) // biome-ignore format: one line
  })
})

describe('when time is up', () => {
  it('there is no recovery for who takes nothing else; its row goes on', () => {
    const { join, asked } = grouping(2, 1)
    const [one] = [join(), join()]
    asked[0].begin('a')
    one.call.expire()
    expect([codeOf(one), asked[0].dropped]).toEqual(['QUORUM', 'teach'])
  })

  it.each([
    ['others', 'auto', true],
    ['one that no worker has begun with', 'recover', false],
  ] as const)('%s are told by the layer beneath', (_, policy, isBegun) => {
    const { join, asked } = grouping(2, 1)
    const one = join(policy)
    if (isBegun) asked[0].begin('a')
    one.call.expire()
    expect([codeOf(one), asked[0].dropped]).toEqual(['DEADLINE', 'over'])
  })

  it('a failure is given that was held of a query which no worker was asked for', () => {
    const { join, asked } = grouping(2, 1)
    const one = join()
    asked[0].fail('load', { code: 'OVERLOADED' })
    one.call.expire()
    expect(codeOf(one)).toBe('OVERLOADED')
  })

  it('a held failure is given', () => {
    const { join, asked } = grouping(2, 1)
    const one = join()
    asked[0].begin('a').fail()
    one.call.expire()
    expect(codeOf(one)).toBe('QUORUM')
  })
})

describe('a worker gets no second row', () => {
  it('where it failed on one, while others are free', () => {
    const { join, asked, pool } = grouping(3, 1)
    join('auto')
    const { attempt } = join('auto')
    const blocks = (identity: string) => attempt.query.apart.some((apart) => apart.blocks(identity))
    asked[0].begin('a').fail()
    expect([blocks('a'), blocks('b')]).toEqual([true, false])
    pool.free = ['a']
    expect(blocks('a')).toBe(false)
  })

  it('unless that was nobody’s fault', () => {
    const { join, asked } = grouping(3, 1)
    join('auto')
    const { attempt } = join('auto')
    asked[0].begin('a').fail('nobody')
    expect(attempt.query.apart.some((apart) => apart.blocks('a'))).toBe(false)
  })

  it('where it is at work on one and a caller was promised an answer, while others are free', () => {
    const { join, asked, pool } = grouping(4, 1)
    join('auto')
    const { attempt } = join('auto')
    const blocks = (identity: string) => attempt.query.apart.some((apart) => apart.blocks(identity))
    asked[0].begin('a')
    expect(blocks('a')).toBe(false)
    const { call } = join('recover')
    expect([blocks('a'), blocks('b')]).toEqual([true, false])
    pool.free = ['a']
    expect(blocks('a')).toBe(false)
    pool.free = ['a', 'b']
    call.drop('left')
    expect(blocks('a')).toBe(false)
  })

  it('nor a query’s own where it has a parity', () => {
    const { join, asked, parities } = grouping(2, 1)
    join()
    join()
    parities[0].begin('c')
    expect(asked[0].query.apart.some((apart) => apart.blocks('c'))).toBe(true)
  })
})

describe('a caller that leaves', () => {
  it('while its group fills has its attempt taken back', () => {
    const { join, asked } = grouping(3, 1)
    const [{ call }] = [join('auto'), join('auto')]
    asked[0].begin('a')
    call.drop('left')
    expect(asked[0].dropped).toBe('left')
  })

  it('while its group fills with those that are promised a recovery leaves them its row; the last keeps others from a group that is short of rows', () => {
    const { join, asked } = grouping(3, 1)
    const [one, two] = [join('recover'), join('recover')]
    const drops: string[] = []
    for (const [i, attempt] of asked.entries()) attempt.begin('ab'[i]).drop = (why) => drops.push(`${i} ${why}`)
    one.call.drop('left')
    expect(drops).toEqual(['0 teach'])
    two.call.drop('left')
    expect(drops).toEqual(['0 teach', '0 left', '1 left'])
    const next = join('recover')
    expect(next.attempt.query.apart).not.toEqual(two.attempt.query.apart)
  })

  it('while its row is queued leaves it to those that are promised a recovery, who lose another', () => {
    const { join, asked, parities } = grouping(3, 1)
    const [one, two] = [join('recover'), join('recover', {}, true), join('recover')]
    one.call.drop('left')
    asked[1].begin('b').fail()
    expect([asked[0].dropped, two.outcomes]).toEqual([undefined, []])
    for (const [i, row] of [asked[0], asked[2], parities[0]].entries()) answer(row.begin('acd'[i]))
    expect(two.log).toContain('recovered 4')
  })

  it('and was queued has its row taken back where the last one leaves', () => {
    const { join, asked } = grouping(3, 1)
    for (const { call } of [join('recover'), join('recover')]) call.drop('left')
    expect(asked.map(({ dropped }) => dropped)).toEqual(['left', 'left'])
  })

  it('leaves its row running while others wait; the last takes all back', () => {
    const { join, asked, parities } = grouping(3, 1)
    const [one, two, three] = [join(), join(), join()]
    for (const [i, attempt] of asked.entries()) attempt.begin('abc'[i])
    const drops: string[] = []
    const { drop } = asked[0]
    asked[0].drop = (why) => {
      drops.push(why)
      drop.call(asked[0], why)
    }
    one.call.drop('left')
    expect(drops).toEqual(['teach'])
    answer(asked[1])
    expect([two.log.at(-1), drops]).toEqual(['exact 4,2', ['teach']])
    three.call.drop('left')
    expect([drops, asked[2].dropped, parities[0].dropped]).toEqual([['teach', 'left'], 'left', 'left'])
  })

  it('or was answered, and is dropped again, leaves the others what they have', () => {
    const { join, asked, parities } = grouping(3, 1)
    const [one, two, three] = [join(), join(), join()]
    answer(asked[0].begin('a'))
    one.call.drop('over')
    one.call.drop('over')
    const drops: string[] = []
    asked[2].begin('c').drop = (why) => drops.push(why)
    three.call.drop('teach') // it was given a recovery: what comes grades that
    expect(parities[0].dropped).toBe(undefined)
    answer(asked[1].begin('b'))
    expect([drops, parities[0].dropped, two.log.at(-1)]).toEqual([['teach'], 'over', 'exact 4,2'])
  })

  it('still has its answer tell of the others', () => {
    const { join, asked, parities } = grouping(2, 1)
    const [one, two] = [join(), join()]
    asked[0].begin('a')
    one.call.drop('left')
    answer(parities[0].begin('b'))
    answer(asked[0])
    expect([two.offers.length, one.log]).toEqual([1, ['began a', 'ended a']])
  })
})

it('parities are released once nobody waits', () => {
  const { join, asked, parities } = grouping(2, 1)
  join()
  join()
  answer(asked[0].begin('a'))
  expect(parities[0].dropped).toBe(undefined)
  answer(asked[1].begin('b'))
  expect(parities[0].dropped).toBe('over')
})

it('a query whose model was replaced closes its group, is mixed with none, and tells nothing', async () => {
  const { clock, join, asked, parities } = grouping(3, 1)
  const [one, two] = [join(), join()]
  asked[0].begin('a')
  one.call.drop('void')
  expect([clock.pending, parities.length, asked[0].dropped]).toEqual([0, 0, 'void'])
  join()
  expect(clock.pending).toBe(1) // another group fills
  two.call.drop('void')
  answer(asked[0])
  expect(one.log).toEqual(['began a', 'ended a', 'done'])
})

it('what follows from the answers of an identity that is believed no more is not given', () => {
  const { join, layer, asked, parities } = grouping(3, 2)
  const [one, two, three] = [join(), join(), join()]
  answer(asked[0].begin('a'))
  for (const [i, attempt] of parities.entries()) answer(attempt.begin('bc'[i]))
  expect(two.offers[0].decode()).toBeDefined()
  layer.forget('d')
  expect(two.offers[0].decode()).toBeDefined()
  layer.forget('b')
  expect([two.offers[0].decode(), three.offers[0].decode(), one.log.at(-1)]).toEqual([
    undefined,
    undefined,
    'exact 2,2',
  ])
})

it('nor what an identity answers after it was forgotten; failures are held for it no longer', () => {
  const { join, layer, asked, parities } = grouping(2, 1)
  const [one] = [join(), join()]
  asked[0].begin('a').fail()
  layer.forget('b')
  answer(parities[0].begin('b'))
  expect(codeOf(one)).toBe('QUORUM')
  const other = grouping(3, 1)
  const [lost] = [other.join(), other.join(), other.join()]
  other.asked[0].begin('a').fail()
  answer(other.asked[1].begin('b'))
  expect(codeOf(lost)).toBe(undefined)
  other.layer.forget('b')
  expect(codeOf(lost)).toBe('QUORUM')
})

it('a group that is forgotten while it fills closes: no later query is held for it', () => {
  const { join, layer, asked } = grouping(3, 1)
  join()
  answer(asked[0].begin('a'))
  layer.forget('a')
  const later = join()
  asked[1].begin('b').fail()
  join()
  join()
  expect(codeOf(later)).toBe(undefined) // of another group, that may yet be decoded
  asked[2].begin('c').fail()
  expect(codeOf(later)).toBe('QUORUM')
})

it('a copy of a query that is given is where the query’s answer is kept', () => {
  const { join, asked, parities } = grouping(1, 1)
  const one = join()
  asked[0].begin('a')
  one.query.tried.place = 5
  answer(parities[0].begin('b'))
  expect(parities[0].query.tried.place).toBe(5)
})

it('answers of a model that was replaced teach nothing of the group', () => {
  const { join, asked, parities, studied } = grouping(3, 1)
  const all = [join(), join(), join()]
  for (const [i, attempt] of [asked[0], asked[1], parities[0]].entries()) answer(attempt.begin('abc'[i]))
  all[2].offers[0].decode()
  asked[2].begin('d')
  for (const { call } of all) call.drop('void')
  answer(asked[2])
  expect(studied).toEqual([])
})

describe('the lesson of a group', () => {
  function taught(end: (all: ReturnType<typeof grouping>) => void) {
    const all = grouping(3, 1)
    const [, , three] = [all.join(), all.join(), all.join()]
    for (const [i, attempt] of [all.asked[0], all.asked[1], all.parities[0]].entries()) answer(attempt.begin('abc'[i]))
    three.offers[0].decode()
    end(all)
    return all.studied
  }

  it('once all has come: what recoveries of the others would have been worth', () => {
    const studied = taught(({ asked }) => answer(asked[2].begin('d')))
    expect(studied.length).toBe(1)
    expect(
      studied[0].map(({ recovered, own, from }) => [(recovered as { query?: number }).query, ...own, from]),
    ).toEqual([
      [0, 2, 2, 'a'],
      [1, 4, 2, 'b'],
    ])
  })

  it('is none where something is lost, or nothing was decoded, or it follows from what was forgotten', () => {
    expect(taught(({ asked }) => asked[2].begin('d').fail())).toEqual([])
    const forgotten = taught(({ asked, layer }) => {
      layer.forget('a')
      answer(asked[2].begin('d'))
    })
    expect(forgotten).toEqual([])
    const { join, asked, studied } = grouping(2, 1)
    join()
    join()
    for (const [i, attempt] of asked.entries()) answer(attempt.begin('ab'[i]))
    expect(studied).toEqual([])
  })
})

it('payloads are the group’s until its last attempt has ended', async () => {
  const { clock, join, asked, parities } = grouping(3, 1)
  const all = [join(), join(), join()]
  const [one, two, three] = all
  answer(asked[0].begin('a'))
  answer(asked[1].begin('b'))
  await clock.run(3)
  answer(parities[0].begin('c'))
  three.offers[0].decode()
  asked[2].begin('d')
  three.call.drop('teach')
  expect([one.log.at(-1), two.log.at(-1)]).toEqual(['exact 2,2', 'exact 4,2'])
  answer(asked[2])
  expect(all.map(({ log }) => log.at(-1))).toEqual(['done', 'done', 'done'])
})

it('a thousand queries take a few looks at each', () => {
  const { join, asked, parities } = grouping(1000, 1)
  const start = performance.now()
  const all = Array.from({ length: 1000 }, () => join('auto'))
  expect(parities.length).toBe(1)
  for (const [i, attempt] of asked.entries()) if (i) answer(attempt.begin(`w${i}`))
  answer(parities[0].begin('p'))
  expect(all.filter(({ offers }) => offers.length).length).toBe(1)
  answer(asked[0].begin('w0'))
  expect(all.every(({ log }) => log.at(-1) === 'done')).toBe(true)
  expect(performance.now() - start).toBeLessThan(5000)
})
