import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Facts, isConfident, next, RECOVER_AFTER } from '../../src/query/policy'

const NEVER = Number.POSITIVE_INFINITY

/** Asked at 0 and due at 1000; one worker has it, is not slow yet, and will be at 110. */
const usual: Facts = {
  policy: 'auto',
  minConfidence: 0.9,
  atDeadline: 'fail',
  since: 0,
  dueAt: 1000,
  lateMs: 100,
  medianMs: 90,
  factor: 1,
  isSlow: false,
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
    [{}, 'wait'],
    [sure, 'wait'],
    [{ ...recover, ...sure }, 'wait'],
    [notAsked, 'wait'],
    [{ isSlow: true, slowAt: NEVER }, 'wait'], // its attempt is one of a run that others began long ago
    [{ decodable: true }, 'wait'],
  ])
})

describe('while nobody can say what is late, a recovery is given as soon as there is one', () => {
  rows(500, { lateMs: undefined, medianMs: undefined, slowAt: NEVER }, [
    [{}, 'wait'],
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

describe('when it is late', () => {
  const overdue = RECOVER_AFTER * 90
  rows(100, { isSlow: true, slowAt: NEVER }, [
    [{}, 'hedge'],
    [{ mayHedge: false }, `wait until ${overdue}`],
    [sure, `wait until ${overdue}`],
    [unsure, 'hedge'],
    [unknown, 'hedge'],
    [{ ...recover, ...unsure }, `wait until ${overdue}`],
    [{ ...retry, ...sure }, 'hedge'],
    [{ ...retry, mayHedge: false }, 'wait'],
    [{ ...sure, mayRecover: false }, 'hedge'],
    [{ ...sure, mayRecover: false, mayHedge: false }, `wait until ${overdue}`],
  ])

  it('no hedge goes before its worker has been at it for long: it may have waited in a queue', () => {
    expect(told({}, 100)).toBe('wait until 110')
    expect(told({ slowAt: 300 }, 100)).toBe(`wait until ${overdue}`)
    expect(told({ slowAt: NEVER }, 150)).toBe('wait') // it is queued, or behind another one
    expect(told({ isSlow: true, slowAt: 300 }, 150)).toBe('hedge')
  })

  it('the memory is asked before a hedge only where it is quick and often confident', () => {
    const late = { isSlow: true, ...notAsked }
    expect(told({ ...late, looksFirst: true }, 100)).toBe('look up')
    expect(told(late, 100)).toBe('hedge')
    expect(told({ ...late, ...asking, looksFirst: true }, 100)).toBe('wait')
    expect(told({ ...late, ...asking }, 100)).toBe('hedge')
    expect(told({ ...late, looksFirst: true, mayHedge: false }, 100)).toBe(`wait until ${overdue}`)
    expect(told({ ...late, looksFirst: true, mayRecover: false }, 100)).toBe('hedge')
    expect(told({ ...late, looksFirst: true, ...retry }, 100)).toBe('hedge')
  })
})

describe('when it is so late that a recovery may be given', () => {
  rows(RECOVER_AFTER * 90, { isSlow: true, slowAt: NEVER }, [
    [sure, 'recover'],
    [{ ...recover, ...unsure }, 'recover'],
    [unsure, 'hedge'],
    [{ ...unsure, mayHedge: false }, 'wait'],
    [{ ...sure, mayRecover: false }, 'hedge'],
    [{ ...sure, mayRecover: false, mayHedge: false }, 'wait'],
    [{ ...sure, ...retry }, 'hedge'],
    [{ ...sure, ...retry, mayHedge: false }, 'wait'],
    [{ ...sure, ...notAsked }, 'look up'],
    [{ ...sure, ...asking }, 'wait'],
    [notAsked, 'look up'],
    [{ ...notAsked, ...retry }, 'hedge'],
    [{ ...notAsked, mayRecover: false }, 'hedge'],
    [{ isSlow: false, slowAt: 130, ...sure }, 'recover'],
    [{ isSlow: false, slowAt: 130, ...unsure }, 'wait until 130'],
  ])

  it('an attempt that shares its batch takes longer', () => {
    expect(told({ ...sure, factor: 3, isSlow: true }, 120)).toBe(`wait until ${RECOVER_AFTER * 3 * 90}`)
    expect(told({ ...sure, factor: 3, isSlow: true }, RECOVER_AFTER * 3 * 90)).toBe('recover')
  })
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
    [{ mayRetry: false }, 'wait'],
    [{ lacking: -1 }, 'wait'],
  ])

  it('a dispute is looked at again when the next of its workers should have answered', () => {
    const dispute = { isDisputed: true }
    expect(told(dispute, 50)).toBe('wait until 110')
    expect(told({ ...dispute, slowAt: NEVER }, 50)).toBe('wait')
    expect(told({ ...dispute, lacking: 1 }, 50)).toBe('retry')
    const late = { isSlow: true, mayHedge: false, slowAt: 200 }
    expect(told({ ...dispute, ...late }, 150)).toBe('wait until 200')
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
    [{ lateMs: undefined, medianMs: undefined, ...sure }, 'recover'],
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
    since: fc.constantFrom(0, 150),
    dueAt: fc.constantFrom(199, 200, 1000),
    ...{ lateMs: fc.constantFrom(50, 100, 300), medianMs: fc.constantFrom(10, 40, 250) },
    factor: fc.constantFrom(1, 3),
    ...{ isSlow: maybe, slowAt: fc.constantFrom(201, 400, NEVER) },
    ...{ live: fc.nat(2), lacking: fc.integer({ min: -1, max: 2 }), isDisputed: maybe },
    recovery: fc.constantFrom(undefined, ...[undefined, 0.5, 0.95].map((confidence) => ({ confidence }))),
    lookup: fc.constantFrom('none', 'pending', 'done'),
    ...{ looksFirst: maybe, mayHedge: maybe, mayRetry: maybe, mayRecover: maybe, decodable: maybe },
  })
  const always = (holds: (facts: Facts, action: string, again: number) => boolean) =>
    fc.assert(
      fc.property(some, maybe, (known, isPaced) => {
        const facts = isPaced ? known : { ...known, lateMs: undefined, medianMs: undefined }
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
    always(({ mayHedge, mayRetry, lookup, isSlow }, action) => {
      if (action === 'hedge') return mayHedge && isSlow
      if (action === 'retry') return mayRetry
      return action !== 'look up' || lookup === 'none'
    }))
})
