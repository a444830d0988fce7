/** Where E workers may lie: answers that agree, and one that a sure memory shares, over a fake service. */

import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import type { Payload } from '../../src/base/payload'
import type { TensorSpec } from '../../src/base/tensor'
import { type AgreeOptions, agree, type Witnesses } from '../../src/layers/agree'
import type { MemoryService, RecalledAnswer } from '../../src/memory/service'
import type { Attempt, Submission } from '../../src/pool/attempt'
import type { Call, Drop, Query } from '../../src/service'
import { FakeAttempt, failure, fakeService, listener, queryOf } from '../shared/fake-service'

const [ages, outputs] = [{ giveMs: 15, hedgeMs: 20, worth: 1 }, [{ name: 'y', shape: [2] }] as TensorSpec[]]
const equality = { criterion: criterionOf(outputs), outputs, rounding: 1e-3, scales: [1] }
const [right, lie] = [[2, 1] as const, [-9, 9] as const]
const remembered = (confidence: number, ...values: number[]): RecalledAnswer => ({
  ...{
    answer: Float32Array.from(values),
    source: 'memory',
    missing: 1,
    error: 0.5,
    confidence,
    signals: undefined,
    epoch: 0,
  },
})

/** Says one thing of every query, when `tell` is called. */
function memoryOf(said: RecalledAnswer | undefined) {
  const waiting: (() => void)[] = []
  const log: string[] = []
  const memory = {
    isWarm: true,
    isCurrent: () => true,
    recall: (_: unknown, __: unknown, told: (said: RecalledAnswer | undefined) => void) =>
      waiting.push(() => told(said)),
    agrees: (answer: Float32Array, own: Float32Array) => answer[0] > answer[1] === own[0] > own[1],
    rehearse: (_: unknown, own: Float32Array, from: string) => log.push(`rehearsed ${own.join()} of ${from}`),
  }
  const tell = () => waiting.shift()?.()
  return { memory: memory as unknown as MemoryService, log, tell }
}

/** Workers a, b, ... */
function agreeing(options: Partial<AgreeOptions & Witnesses> & { names?: string; memory?: MemoryService } = {}) {
  const { names = 'abcdef', memory, liars = 1, ...rest } = options
  const { clock, asked, service } = fakeService()
  const told: string[] = []
  const ejected = new Set<string>()
  const tell = (what: string) => (worker: { name: string }) => void told.push(`${worker.name} ${what}`)
  const trust: Witnesses = {
    ...{ equality, integrity: 0.95, trials: { blocks: () => false } },
    isTrusted: ({ name }) => !ejected.has(name),
    isSuspected: () => false,
    audits: () => false,
    proven: tell('is right'),
    deviated: tell('deviates'),
    silent: tell('is silent'),
    checked: ({ name }, passed, distance) =>
      told.push(`${name} ${passed ? 'passed' : 'failed'} ${distance.toFixed(1)}`),
    lied(worker) {
      tell('lied')(worker)
      ejected.add(worker.name)
    },
    ...rest,
  }
  const trials: FakeAttempt[] = []
  const pool = {
    isOverloaded: false,
    nobody: 'nobody is left',
    usable: names.length,
    available: (blocked: Iterable<string>) => names.length - new Set(blocked).size,
    cancel: (attempt: Attempt) => (attempt as unknown as FakeAttempt).drop('void'),
    record() {},
    trial({ owner, payload }: Submission<Payload>) {
      const caller = { ended: (attempt: Attempt) => owner.settled(attempt), settled() {} }
      if (ejected.has('z')) trials.push(Object.assign(new FakeAttempt(queryOf({ payload }), caller, clock), { identity: 'z', worker: { name: 'z' } })) // biome-ignore format: one line
      return trials.at(-1)?.own as Attempt<Payload, Payload> | undefined
    },
  }
  const layer = agree({
    ...{ clock, liars, mostDowns: liars + 1, pool, lateness: { ages }, trust, ...rest },
    memoryOf: () => memory,
    isDoubted: () => rest.isDoubted?.() ?? false,
  })
  const { log, outcomes, caller } = listener()
  const ask = (over: Parameters<typeof queryOf>[0] = {}): { call: Call; query: Query } => {
    const query = queryOf(over)
    return { call: layer(service)(query, caller), query }
  }
  const pass = (ms: number) => clock.run(clock.now() + ms)
  return { asked, ask, told, log, outcomes, ejected, trials, pool, pass, clock }
}
const drops = (asked: FakeAttempt[]) => asked.map(({ dropped }) => dropped)

describe('workers that agree', () => {
  it('prove an answer, E + 1 of them; layers around hear of it then, and late votes count', () => {
    const { asked, ask, told, log, outcomes } = agreeing()
    const { query } = ask()
    asked[0].begin('a').answer(...right)
    expect([log, told]).toEqual([['began a'], []])
    asked[1].begin('b').answer(...right)
    expect(log).toEqual(['began a', 'began b', 'exact 2,1', 'ended a', 'ended b', 'done'])
    expect(outcomes).toMatchObject([{ confidence: 1, by: [query.tried.attempts[0]] }])
    expect(told).toEqual(['a is right', 'b is right'])
  })

  it('show who lies: a third is asked where two disagree, before those that wait', () => {
    const { asked, ask, told, log } = agreeing()
    ask()
    asked[0].begin('a').answer(...lie)
    expect(asked.length).toBe(2)
    asked[1].begin('b').answer(...right)
    expect(asked.map((each) => each.query.priority)).toEqual(['normal', 'normal', 'high'])
    asked[2].begin('c').answer(...right)
    expect(log.slice(3)).toEqual(['exact 2,1', 'ended b', 'ended c', 'done'])
    expect(told).toEqual(['b is right', 'c is right', 'a lied'])
    expect(asked.map((each) => each.query.why)).toEqual(['first', 'vote', 'vote'])
  })

  it('are not those that were ejected: what these answer is compared all the same', () => {
    const { asked, ask, told, log, ejected } = agreeing()
    ejected.add('a').add('b')
    ask()
    asked[0].begin('a').answer(...lie)
    asked[1].begin('b').answer(...lie)
    expect(log).toEqual(['began a', 'began b'])
    asked[2].begin('c').answer(...right)
    asked[3].begin('d').answer(...right)
    expect(told).toEqual(['c is right', 'd is right', 'a lied', 'b lied'])
  })

  it.each([
    ['lie', lie, 'c lied'],
    ['answer that deviates', [2.01, 1] as const, 'c deviates'],
    ['answer that is right', right, 'c is right'],
  ] as const)('are compared with what comes late: a %s', async (_, values, what) => {
    const { asked, ask, told, log, pass } = agreeing()
    ask()
    asked[0].begin('a').answer(...lie)
    asked[1].begin('b').answer(...right)
    asked[2].begin('c')
    await pass(20) // it is not waited for
    asked[3].begin('d').answer(...right)
    expect([told, asked[2].dropped, log.includes('done')]).toEqual([
      ['b is right', 'd is right', 'a lied'],
      'teach',
      false,
    ])
    asked[2].answer(...values)
    expect([told.at(-1), log.includes('ended c'), log.at(-1)]).toEqual([what, what === 'c is right', 'done'])
  })
})

it('a voter’s hedge is a vote of its own, and the slower worker’s answer is one as well', () => {
  const { asked, ask, told, log, clock } = agreeing()
  const { query } = ask()
  asked[0].begin('a').answer(...right)
  asked[1].begin('b')
  const hedge = new FakeAttempt(query, { ...asked[1].caller, ended: (each) => asked[1].caller.ended?.(each), settled() {} }, clock) // biome-ignore format: one line
  asked[1].caller.began?.(Object.assign(hedge, { identity: 'c', worker: { name: 'c' } }).own)
  hedge.answer(...right)
  expect([told, asked[1].dropped]).toEqual([['a is right', 'c is right'], undefined]) // its voter ends the slower one
  asked[1].answer(...lie)
  expect([told.at(-1), log.includes('ended b'), log.at(-1)]).toEqual(['b lied', false, 'done']) // no lie teaches
})

describe('a dispute', () => {
  it('goes on with low priority after the caller has left, until it is known who lies', () => {
    const { asked, ask, told, log } = agreeing()
    const { call } = ask()
    asked[0].begin('a')
    asked[1].begin('b')
    call.drop('left')
    expect(drops(asked)).toEqual(['teach', 'teach'])
    asked[0].answer(...lie)
    asked[1].answer(...right)
    expect(asked[2].query).toMatchObject({ priority: 'low', dueAt: Number.POSITIVE_INFINITY })
    asked[2].begin('c').answer(...right)
    expect(told).toEqual(['b is right', 'c is right', 'a lied'])
    expect(log.slice(2)).toEqual(['began c', 'ended b', 'ended c', 'done'])
  })

  it('does not go on where the model was replaced: answers tell nothing', () => {
    const { asked, ask, told, log } = agreeing()
    const { call } = ask()
    asked[0].begin('a')
    asked[1].begin('b')
    call.drop('void')
    asked[0].answer(...lie)
    asked[1].answer(...right)
    expect([drops(asked), told, log]).toEqual([['void', 'void'], [], ['began a', 'began b', 'done']])
  })

  it('does not wait for a worker that hangs; where all are slow no more than E + 1 others are asked', async () => {
    const { asked, ask, pass } = agreeing({ names: 'abcdefghij' })
    ask({ dueAt: 10_000 })
    asked[0].begin('a').answer(...lie)
    asked[1].begin('b').answer(...right)
    asked[2].begin('c')
    await pass(19)
    expect(asked.length).toBe(3)
    await pass(1)
    expect(asked.length).toBe(4)
    asked[3].begin('d')
    await pass(20)
    expect(asked.length).toBe(5)
    asked[4].begin('e')
    await pass(500)
    expect(asked.length).toBe(5)
  })

  it('is none while answers agree: a worker that is slow is waited for', async () => {
    const { asked, ask, pass } = agreeing()
    ask({ dueAt: 10_000 })
    asked[0].begin('a').answer(...right)
    asked[1].begin('b')
    await pass(500)
    expect(asked.length).toBe(2)
  })
})

describe('workers that fail', () => {
  it('are told of, but for those that were taken away', () => {
    const { asked, ask, told } = agreeing()
    ask()
    asked[0].begin('a').fail('worker')
    asked[1].begin('b').fail('nobody')
    expect(told).toEqual(['a is silent'])
  })

  it('leave too few: an error with what was got, once nobody else may be asked, and those that failed were forgiven', () => {
    const { asked, ask, outcomes } = agreeing({ names: 'ab' })
    ask()
    asked[0].begin('a').fail()
    expect(asked.length).toBe(3) // it is forgiven, and asked again
    asked[1].begin('b').answer(...right)
    asked[2].begin('a').fail()
    expect(outcomes).toMatchObject([
      { blame: 'worker', error: { code: 'QUORUM', message: 'answers: expected 2 workers to agree, got 1 answers in 0 ms; broke; broke' } }, // biome-ignore format: one line
    ])
  })

  it('leave it open while an attempt waits in the queue that a worker had to give back', () => {
    const { asked, ask, outcomes, clock } = agreeing({ names: 'abc' })
    ask()
    const again = new FakeAttempt(asked[0].query, asked[0].caller, clock) // as a hedge of the first voter
    asked[0].query.tried.add(again.own)
    asked[0].begin('a').answer(5, 1)
    asked[1].begin('b').answer(...right)
    expect(outcomes).toEqual([])
    again.begin('c').answer(...right)
    expect(outcomes).toMatchObject([{ status: 'exact' }])
  })

  it('are as many as were there, and the error is the query’s own where all answered it with one', () => {
    const { asked, ask, outcomes } = agreeing({ names: 'ab' })
    ask()
    for (let i = 0; i < asked.length; i++) asked[i].begin('ab'[i % 2]).fail('worker', { code: 'PROTOCOL' as never })
    expect(outcomes).toMatchObject([{ error: { code: 'QUORUM', ofQuery: true } }])
  })

  it('and go down with it: after E + 1 no other is asked', () => {
    const { asked, ask, outcomes } = agreeing()
    ask()
    asked[0].begin('a').fail('worker', { lost: 'down' })
    expect(asked.length).toBe(3)
    asked[1].begin('b').fail('worker', { lost: 'down' })
    expect([asked.length, asked[2].dropped]).toEqual([3, 'over']) // nobody has it yet, and nobody is to
    expect(outcomes).toMatchObject([{ error: { code: 'QUORUM', ofQuery: true } }])
  })

  it('and go down with it: who has it already may answer', () => {
    const { asked, ask, outcomes } = agreeing()
    ask()
    asked[0].begin('a').fail('worker', { lost: 'down' })
    asked[2].begin('c')
    asked[1].begin('b').fail('worker', { lost: 'down' })
    expect([asked.length, asked[2].dropped, outcomes]).toEqual([3, undefined, []])
    asked[2].fail('worker', { lost: 'down' })
    expect(outcomes).toMatchObject([{ error: { code: 'QUORUM', ofQuery: true } }])
  })

  it('since it would be too late are not replaced', () => {
    const { asked, ask, outcomes } = agreeing()
    ask()
    asked[0].begin('a').answer(...right)
    const { caller } = asked[1]
    caller.settled(failure('OVERLOADED', 'load'))
    expect([asked.length, outcomes]).toMatchObject([2, [{ error: { code: 'OVERLOADED' } }]])
    caller.done?.()
  })

  it('are not there at all: the pool says why', () => {
    const { asked, ask, outcomes, pool } = agreeing({ names: '' })
    pool.usable = 0
    ask()
    expect(asked.length).toBe(1)
    asked[0].fail('nobody')
    expect(outcomes).toMatchObject([{ error: { code: 'WORKER', message: 'nobody is left' } }])
  })
})

describe('when time is up', () => {
  it.each([
    ['the first answer is given where that is wanted', 'give', undefined, 'unverified 2,1'],
    ['no answer is that nobody proves', 'fail', undefined, 'DEADLINE'],
    ['nor one that the memory contradicts', 'give', remembered(0.5, 1, 2), 'DEADLINE'],
  ] as const)('%s (%s)', (_, atDeadline, said, what) => {
    const { memory, tell } = memoryOf(said)
    const { asked, ask, log, told } = agreeing({ memory })
    const { call } = ask({ choices: { atDeadline } as never })
    tell()
    asked[0].begin('a').answer(...right)
    asked[1].begin('b')
    call.expire()
    expect(log.at(-1)).toBe(what)
    expect(asked[1].dropped).toBe('teach')
    asked[1].answer(...right) // it is compared all the same
    expect(told).toEqual(['a is right', 'b is right'])
  })
})

describe('a memory that is sure', () => {
  it('checks a single answer: no other worker is asked, and it learns nothing but that it was right', () => {
    const { memory, tell, log: learned } = memoryOf(remembered(0.97, 3, 1))
    const { asked, ask, log, told, outcomes } = agreeing({ memory })
    ask()
    expect(asked.length).toBe(1)
    asked[0].begin('a').answer(...right)
    expect(log).toEqual(['began a'])
    tell()
    expect(log).toEqual(['began a', 'checked 2,1', 'done'])
    expect([outcomes[0], told, learned]).toMatchObject([{ confidence: 0.97 }, ['a passed 1.4'], ['rehearsed 2,1 of a']])
  })

  it.each([
    [0.95, ['exact 2,1'], 2],
    [0.96, ['checked 2,1'], 1],
  ])('from the confidence `integrity` on, here .96: %f', (confidence, given, count) => {
    const { memory, tell } = memoryOf(remembered(confidence, 3, 1))
    const { asked, ask, log } = agreeing({ memory, integrity: 0.96 })
    ask()
    asked[0].begin('a').answer(...right)
    tell()
    asked[1]?.begin('b').answer(...right)
    expect(log).toEqual(expect.arrayContaining(given))
    expect(asked.length).toBe(count)
  })

  it('and says something else: workers have to agree; it proves no lie', () => {
    const { memory, tell } = memoryOf(remembered(0.97, 1, 3))
    const { asked, ask, told, log } = agreeing({ memory })
    ask()
    tell()
    expect(asked.length).toBe(1)
    asked[0].begin('a').answer(...right)
    expect([asked.length, told]).toEqual([2, ['a failed 3.2']])
    asked[1].begin('b').answer(...right)
    expect(log).toContain('exact 2,1')
  })

  it.each<[string, Partial<AgreeOptions & Witnesses>, number]>([
    ['may', {}, 1],
    ['is not believed where outputs are read wrongly', { isDoubted: () => true }, 2],
    ['is not where the query is audited', { audits: () => true }, 2],
    ['is not where only proof counts', { integrity: 1 }, 2],
  ])('%s', (_, options, count) => {
    const { asked, ask } = agreeing({ memory: memoryOf(remembered(0.99, 3, 1)).memory, ...options })
    ask()
    expect(asked.length).toBe(count)
  })

  it.each([
    ['not sure', remembered(0.9, 3, 1)],
    ['silent', undefined],
  ])('is %s: another worker is asked at once', (_, said) => {
    const { memory, tell } = memoryOf(said)
    const { asked, ask } = agreeing({ memory })
    ask()
    asked[0].begin('a')
    tell()
    expect(asked.length).toBe(2)
  })

  it('is not enough for one that is suspected', () => {
    const { memory } = memoryOf(remembered(0.97, 3, 1))
    const audits = (worker?: unknown) => worker !== undefined
    const { asked, ask } = agreeing({ memory, audits, isSuspected: ({ name }) => name === 'b' })
    ask()
    asked[0].begin('a')
    expect(asked.length).toBe(1)
    asked[0].begin('b') // its first worker was too busy for it
    expect(asked.length).toBe(2)
  })

  it('tells layers around which answers speak against it', () => {
    const { asked, ask, ejected } = agreeing()
    const { query } = ask()
    asked[0].begin('a').answer(...right)
    const unproven = () => query.tried.unproven?.().map(({ vector }) => vector.join())
    expect(unproven()).toEqual(['2,1'])
    ejected.add('a')
    expect(unproven()).toEqual([])
  })
})

describe('an ejected worker', () => {
  it.each([
    ['that answers well is told of', right, 'z is right'],
    ['that lies is, too', lie, 'z lied'],
  ] as const)('%s, where the query is proven anyway; its answer is only compared', (_, values, what) => {
    const { asked, ask, told, ejected, trials, log } = agreeing()
    ejected.add('z')
    const { query } = ask()
    expect([trials.length, query.tried.blocks('z')]).toEqual([1, true])
    trials[0].answer(...values)
    asked[0].begin('a').answer(...right)
    expect(told).toEqual([])
    asked[1].begin('b').answer(...right)
    expect(told).toEqual(['a is right', 'b is right', what])
    expect(log).not.toContain('ended z')
  })

  it('is waited for with the report, and tried once a query', () => {
    const { asked, ask, told, ejected, trials, log } = agreeing()
    ejected.add('z')
    ask()
    asked[0].begin('a').answer(...lie)
    asked[1].begin('b').answer(...right)
    asked[2].begin('c').answer(...right)
    expect([trials.length, log.includes('done')]).toEqual([1, false])
    trials[0].fail()
    expect([told.at(-1), log.at(-1)]).toEqual(['z is silent', 'done'])
  })

  it('is not tried where one worker is enough', () => {
    const { ask, ejected, trials } = agreeing({ memory: memoryOf(remembered(0.97, 3, 1)).memory })
    ejected.add('z')
    ask()
    expect(trials.length).toBe(0)
  })
})

it('a recovery may make another vote needless: whoever has one is told before it is asked for', () => {
  const { asked, ask, log } = agreeing()
  const { query, call } = ask()
  let needs = 0
  query.tried.onNeed = () => {
    needs++
    call.drop('teach')
  }
  asked[0].begin('a').answer(...lie)
  expect(needs).toBe(0) // another answer may come yet
  asked[1].begin('b').answer(...right)
  expect([needs, log]).toEqual([1, ['began a', 'began b']])
  expect(asked[2].query.priority).toBe('low') // the dispute goes on
})

it.each<Drop>(['left', 'teach', 'over'])(
  'a call that is dropped (%s) settles no more, and takes nothing from workers',
  (why) => {
    const { asked, ask, log } = agreeing()
    const { call } = ask()
    asked[0].begin('a')
    call.drop(why)
    expect(drops(asked)).toEqual(['teach', 'teach'])
    asked[0].answer(...right)
    expect(log).toEqual(['began a', 'ended undefined', 'done']) // no worker had it
  },
)

it('a thousand workers, of which E may lie: no more are asked than it takes', () => {
  const { asked, ask, log } = agreeing({ names: 'x'.repeat(1000), liars: 100 })
  ask()
  expect(asked.length).toBe(101)
  for (const [i, each] of asked.entries()) each.begin(`w${i}`).answer(...right)
  expect(log.at(-1)).toBe('done')
})
