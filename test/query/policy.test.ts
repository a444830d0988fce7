import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isConfident } from '../../src/choices'
import { type Facts, next } from '../../src/query/policy'

const NEVER = Number.POSITIVE_INFINITY

/** Due at 1000; one worker has it: from 100 on a recovery may be given, from 110 on another worker be asked. */
const usual: Facts = {
  policy: 'auto',
  minConfidence: 0.9,
  atDeadline: 'fail',
  dueAt: 1000,
  isPaced: true,
  giveAt: 100,
  hedgeAt: 110,
  slowAt: 110,
  live: 1,
  lacking: 0,
  isDisputed: false,
  recovery: undefined,
  lookup: 'done',
  looksFirst: false,
  mayHedge: true,
  mayRetry: true,
  mayRecover: true,
  decodable: false,
}

/** What a query does with these facts at this time, as a sentence. */
function told(facts: Partial<Facts>, now: number): string {
  const { action, again = NEVER } = next({ ...usual, ...facts }, now)
  return again < NEVER ? `${action} until ${again}` : action
}

const sure = { recovery: { confidence: 0.95 } }
const unsure = { recovery: { confidence: 0.5 } }
const unknown = { recovery: { confidence: undefined } }
const retry = { policy: 'retry' } as const
const recover = { policy: 'recover' } as const
const notAsked = { lookup: 'none' } as const
const asking = { lookup: 'pending' } as const

type Row = [facts: Partial<Facts>, does: string]

/** Tells what each does at a time. */
const rows = (now: number, also: Partial<Facts>, table: Row[]) =>
  it.each(table)('%o: %s', (facts, does) => expect(told({ ...also, ...facts }, now)).toBe(does))

describe('before it is late', () => {
  rows(50, {}, [
    [{}, 'wait until 100'],
    [sure, 'wait until 100'],
    [{ ...recover, ...sure }, 'wait until 100'],
    [notAsked, 'wait until 100'],
    [retry, 'wait until 110'],
    [{ decodable: true }, 'wait until 100'],
    [{ giveAt: NEVER, hedgeAt: NEVER }, 'wait'], // it is queued, or behind another one
    [{ giveAt: NEVER, hedgeAt: NEVER, ...sure }, 'wait'],
  ])
})

describe('while nobody can say what is late, a recovery is given as soon as there is one', () => {
  rows(500, { isPaced: false, giveAt: NEVER, hedgeAt: NEVER, slowAt: NEVER }, [
    [{}, 'wait'],
    [{ hedgeAt: 501 }, 'wait until 501'],
    [{ hedgeAt: 500 }, 'hedge'],
    [{ hedgeAt: 500, mayHedge: false }, 'wait'],
    [{ hedgeAt: 500, ...sure }, 'recover'],
    [sure, 'recover'],
    [unsure, 'wait'],
    [unknown, 'wait'],
    [{ ...unsure, ...recover }, 'recover'],
    [{ ...sure, ...retry }, 'wait'],
    [{ ...unsure, ...notAsked }, 'look up'], // the memory may know better
    [{ ...sure, ...notAsked }, 'look up'],
    [{ ...sure, ...asking }, 'wait'],
    [{ ...sure, ...notAsked, ...retry }, 'wait'],
    [notAsked, 'wait'], // there is nothing that it could be better than
    [{ ...sure, mayRecover: false }, 'recover'], // that is for late ones
    [{ live: 0 }, 'retry'],
    [{ lacking: 1 }, 'retry'],
  ])
})

describe('when a recovery may be given', () => {
  rows(100, {}, [
    [{}, 'wait until 110'],
    [sure, 'recover'],
    [{ ...recover, ...unsure }, 'recover'],
    [unsure, 'wait until 110'],
    [unknown, 'wait until 110'],
    [{ ...sure, mayRecover: false }, 'wait until 110'],
    [{ ...retry, ...sure }, 'wait until 110'],
    [notAsked, 'look up'],
    [{ ...sure, ...notAsked }, 'look up'],
    [{ ...sure, ...asking }, 'wait'],
    [{ ...notAsked, ...retry }, 'wait until 110'],
    [{ ...notAsked, mayRecover: false }, 'wait until 110'],
  ])
})

describe('when another worker may be asked', () => {
  rows(110, { slowAt: NEVER }, [
    [{}, 'hedge'],
    [unsure, 'hedge'],
    [{ mayHedge: false }, 'wait'],
    [sure, 'recover'],
    [{ ...sure, ...retry }, 'hedge'],
    [{ ...retry, mayHedge: false }, 'wait'],
    [{ ...sure, mayRecover: false }, 'hedge'],
    [{ ...sure, mayRecover: false, mayHedge: false }, 'wait'],
    [notAsked, 'look up'],
    [{ ...notAsked, ...retry }, 'hedge'],
    [{ ...notAsked, mayRecover: false }, 'hedge'],
    [{ hedgeAt: 300 }, 'wait until 300'], // another worker has just begun with it
    [{ hedgeAt: NEVER }, 'wait'], // or will
    [{ giveAt: 130, ...notAsked }, 'hedge'],
    [{ giveAt: 130, ...notAsked, looksFirst: true }, 'look up'],
    [{ giveAt: 130, ...notAsked, looksFirst: true, ...retry }, 'hedge'],
    [{ giveAt: 130, ...notAsked, looksFirst: true, mayRecover: false }, 'hedge'],
    [{ giveAt: 130, ...sure }, 'wait until 130'],
  ])
})

describe('where no worker has it any more', () => {
  rows(50, { live: 0, lacking: 1, slowAt: NEVER }, [
    [{}, 'retry'],
    [unsure, 'retry'],
    [sure, 'recover'],
    [{ ...sure, mayRecover: false }, 'recover'], // that is for late ones
    [{ ...sure, ...retry }, 'retry'],
    [recover, 'retry'],
    [{ ...recover, mayRetry: false }, 'fail'],
    [{ ...recover, mayRetry: false, decodable: true }, 'wait'],
    [{ ...recover, ...unsure, mayRetry: false }, 'recover'],
    [{ decodable: true }, 'retry'],
    [{ decodable: true, mayRetry: false }, 'fail'],
    [{ mayRetry: false }, 'fail'],
    [{ mayRetry: false, ...sure }, 'recover'],
    [{ mayRetry: false, ...unsure }, 'fail'],
    [notAsked, 'look up'],
    [asking, 'wait'],
    [{ ...notAsked, ...retry }, 'retry'],
    [{ ...asking, ...retry, mayRetry: false }, 'fail'],
  ])
})

describe('where more answers have to agree than can come', () => {
  rows(50, { lacking: 1 }, [
    [{}, 'retry'],
    [{ ...sure, ...recover }, 'retry'],
    [{ mayRetry: false }, 'wait until 100'],
    [{ lacking: -1 }, 'wait until 100'],
  ])

  it('a dispute is looked at again when the next of its workers should have answered', () => {
    const dispute = { isDisputed: true }
    const late = { mayHedge: false, slowAt: 200 }
    expect(told({ ...dispute, ...late }, 150)).toBe('wait until 200')
    expect(told({ ...dispute, ...late, lacking: 1 }, 150)).toBe('retry')
    expect(told(late, 150)).toBe('wait')
  })
})

describe('at the deadline', () => {
  const give = { atDeadline: 'give' } as const
  rows(1000, {}, [
    [{}, 'fail'],
    [sure, 'recover'],
    [unsure, 'fail'],
    [unknown, 'fail'],
    [{ ...unknown, ...give }, 'recover'],
    [{ ...unknown, ...recover }, 'recover'],
    [{ ...sure, ...retry }, 'fail'],
    [{ ...sure, ...retry, ...give }, 'fail'],
    [give, 'fail'],
    [{ ...sure, mayRecover: false }, 'recover'],
    [notAsked, 'look up'],
    [asking, 'wait'],
    [{ ...notAsked, ...retry }, 'fail'],
    [{ live: 0, lacking: 1 }, 'fail'],
    [{ live: 0, lacking: 1, ...sure }, 'recover'],
    [{ isPaced: false, ...sure }, 'recover'],
  ])
})

it.each([
  ['auto', 0.9, 0.9, true],
  ['auto', 0.9, 0.89, false],
  ['auto', 0.9, undefined, false],
  ['auto', 0, undefined, true],
  ['recover', 1, undefined, true],
  ['retry', 0, 1, false],
] as const)('%s, at least %d: confidence %d is %s', (policy, least, confidence, is) =>
  expect(isConfident(policy, least, confidence)).toBe(is),
)

describe('whatever the facts', () => {
  const now = 200
  const maybe = fc.boolean()
  const some = fc.record<Facts>({
    policy: fc.constantFrom('auto', 'recover', 'retry'),
    minConfidence: fc.constantFrom(0, 0.9, 1),
    atDeadline: fc.constantFrom('fail', 'give'),
    dueAt: fc.constantFrom(199, 200, 1000),
    isPaced: maybe,
    ...{ giveAt: fc.constantFrom(100, 200, 250, NEVER), hedgeAt: fc.constantFrom(150, 200, 300, NEVER) },
    slowAt: fc.constantFrom(201, 400, NEVER),
    ...{ live: fc.nat(2), lacking: fc.integer({ min: -1, max: 2 }), isDisputed: maybe },
    recovery: fc.constantFrom(undefined, ...[undefined, 0.5, 0.95].map((confidence) => ({ confidence }))),
    lookup: fc.constantFrom('none', 'pending', 'done'),
    ...{ looksFirst: maybe, mayHedge: maybe, mayRetry: maybe, mayRecover: maybe, decodable: maybe },
  })
  const always = (holds: (facts: Facts, action: string, again: number) => boolean) =>
    fc.assert(
      fc.property(some, (facts) => {
        const { action, again = NEVER } = next(facts, now)
        return holds(facts, action, again)
      }),
      { numRuns: 5000, seed: 1 },
    )

  it('it is asked again later, never now, and not where it does something', () =>
    always((_, action, again) => again > now && (action === 'wait' || again === NEVER)))

  it('at its deadline it ends, unless the memory is being asked', () =>
    always(({ dueAt, lookup, policy }, action) => {
      if (dueAt > now || (lookup !== 'done' && policy !== 'retry')) return true
      return action === 'recover' || action === 'fail'
    }))

  it('it does not wait where nothing can come: no attempt, no lookup, no group to be decoded', () =>
    always(({ live, lookup, decodable }, action) => live > 0 || lookup !== 'done' || decodable || action !== 'wait'))

  it('it recovers only what there is, and never for a caller that retries', () =>
    always(({ recovery, policy }, action) => {
      if (policy === 'retry') return action !== 'recover' && action !== 'look up'
      return action !== 'recover' || recovery !== undefined
    }))

  it('it fails only at its deadline, or where nobody is asked any more', () =>
    always(({ dueAt, live }, action) => action !== 'fail' || now >= dueAt || live === 0))

  it('it does nothing that it may not, and asks the memory once', () =>
    always(({ mayHedge, mayRetry, lookup, hedgeAt }, action) => {
      if (action === 'hedge') return mayHedge && now >= hedgeAt
      if (action === 'retry') return mayRetry
      return action !== 'look up' || lookup === 'none'
    }))
})
