/** The memory answers first: which queries are looked up, what their caller gets, and what the error budget learns. */

import { describe, expect, it } from 'vitest'
import type { Draw } from '../../src/layers/error-budget'
import { type Account, type RememberOptions, remember } from '../../src/layers/remember'
import type { RecalledAnswer } from '../../src/memory/service'
import type { Query } from '../../src/service'
import { failure, fakeService, listener, payload, queryOf } from '../shared/fake-service'

function remembering(draws: Draw['is'][] = [], confidence: number | undefined = 0.99) {
  const { clock, asked, service } = fakeService()
  const told: [Draw['is'], boolean][] = []
  const drawn: [number, boolean | undefined][] = []
  const opinions: ((of: 'refuted' | 'confirmed' | 'open') => void)[] = []
  const state = {
    isWarm: true,
    isHeld: false,
    isOff: false,
    isSlow: false,
    isBroken: false,
    wrong: 0,
    looks: 0,
    withinMs: 0,
  }
  const lookups: (() => void)[] = []
  const said = {
    answer: Float32Array.of(3),
    source: 'memory',
    missing: 1,
    confidence,
    signals: undefined,
    epoch: 0,
  } as const
  const memory: NonNullable<NonNullable<ReturnType<RememberOptions['tenantOf']>>['memory']> = {
    get isWarm() {
      return state.isWarm
    },
    agrees: ([recalled], [own]) => recalled === own,
    lookupMs: 1,
    recall(_, withinMs, tell) {
      state.looks++
      state.withinMs = withinMs
      const look = () => tell(confidence === undefined ? undefined : (said as RecalledAnswer), 1)
      if (state.isSlow) lookups.push(look)
      else look()
    },
  }
  const draw = (known: number, mayGive?: boolean): Draw => {
    drawn.push([known, mayGive])
    const is = draws.shift() ?? 'remember'
    return { is, grade: (isRight) => told.push([is, isRight]) }
  }
  const errors = {
    draw,
    expectedShare: () => 1,
    get isHeld() {
      return state.isHeld
    },
  }
  const accounts = new WeakMap<object, Account>()
  const layer = remember({
    ...{ clock, outputs: [{ name: 'y', shape: [1] }], accounts, inferenceMs: () => 5 },
    opinion: { judge: (_, tell) => void opinions.push(tell) },
    tenantOf: () => ({ memory, errors }),
    isOff: () => state.isOff,
    wrong: () => void state.wrong++,
  })((query, caller) => {
    if (state.isBroken) throw new Error('no room for its tenant')
    return service(query, caller)
  })
  const ask = (over: Parameters<typeof queryOf>[0] = {}) => {
    const one = listener()
    return { ...one, call: layer(queryOf(over), one.caller) }
  }
  const savings = () => accounts.get(errors)?.savings
  return { clock, asked, told, drawn, opinions, state, lookups, ask, savings }
}

const soon = () => Promise.resolve()

describe('a query that the memory is confident of', () => {
  it('is answered in a moment, and no worker is asked', async () => {
    const { asked, ask, savings, state } = remembering()
    const { log, outcomes } = ask()
    expect(log).toEqual([])
    await soon()
    expect(log).toEqual(['remembered 3', 'done'])
    expect(outcomes[0]).toMatchObject({ confidence: 0.99, by: [] })
    expect([asked.length, savings()?.lookups, savings()?.saved, savings()?.savedMs]).toEqual([0, 1, 1, 5])
    expect(state.withinMs).toBe(5) // an inference takes as long
  })

  it('is asked where the coin or the threshold has it; an exact answer tells whether the memory was right', () => {
    const { asked, ask, told } = remembering(['ask', 'ask', 'ask'])
    for (const value of [3, 4]) {
      ask()
      asked.at(-1)?.begin('a').answer(value)
    }
    ask()
    asked.at(-1)?.begin('a').fail()
    expect(told).toEqual([
      ['ask', true],
      ['ask', false],
    ])
  })

  it('another answer than the model’s own tells nothing', () => {
    const { asked, ask, told } = remembering(['ask'])
    ask()
    asked[0].caller.settled({ kind: 'answer', answer: payload(3), status: 'recovered', confidence: 1, by: [] })
    expect(told).toEqual([])
  })

  it('is not given with less confidence than its caller wants', () => {
    const { ask, drawn } = remembering()
    ask({ said: { minConfidence: 0.995 } })
    ask({ said: { minConfidence: 0.9 } })
    expect(drawn).toEqual([
      [0.99, false],
      [0.99, true],
    ])
  })
})

it.each<[string, object, Parameters<typeof queryOf>[0]]>([
  ['the caller wants a worker’s answer', {}, { said: { ask: true } }],
  ['it wants nothing but the model’s', {}, { said: { policy: 'retry' } }],
  ['the memory is cold', { isWarm: false }, {}],
  ['an audit has to have its outcome first', { isHeld: true }, {}],
  ['the model does not answer the same twice', { isOff: true }, {}],
])('is not asked where %s', (_, over, query) => {
  const { asked, ask, state } = remembering()
  Object.assign(state, over)
  ask(query)
  expect([asked.length, state.looks]).toEqual([1, 0])
})

describe('a query that the pool refused', () => {
  const refusal = failure('OVERLOADED', 'load').error

  it.each<[string, number, Parameters<typeof queryOf>[0]]>([
    ['is looked up though it says ask, where it says so', 1, { refusal, said: { ask: true, onOverload: 'remember' } }],
    ['not where nobody says so', 0, { refusal, said: { ask: true } }],
    ['nor since others are', 0, { refusal, said: { ask: true }, choices: { onOverload: 'remember' } } as never],
    ['nor one that was let in', 0, { refusal: false, said: { ask: true, onOverload: 'remember' } }],
  ])('%s', (_, looks, query) => {
    const { ask, state } = remembering()
    ask(query)
    expect(state.looks).toBe(looks)
  })

  it('spares no inference', async () => {
    const { ask, savings } = remembering()
    const { log } = ask({ refusal, said: { ask: true, onOverload: 'remember' } })
    await soon()
    expect([log[0], savings()?.saved]).toEqual(['remembered 3', 0])
  })
})

describe('while it is looked up', () => {
  const slow = (draws?: Draw['is'][], confidence?: number) => {
    const at = remembering(draws, confidence)
    at.state.isSlow = true
    return { ...at, one: at.ask() }
  }

  it('nobody is asked; then it is answered or asked', async () => {
    const { asked, one, lookups } = slow()
    expect([asked.length, one.log]).toEqual([0, []])
    lookups[0]()
    await soon()
    expect(one.log).toEqual(['remembered 3', 'done'])
    const other = slow(['ask'])
    other.lookups[0]()
    other.asked[0].begin('a').answer(3)
    expect(other.one.log.at(-2)).toBe('exact 3')
  })

  it('its caller may leave: nothing is drawn for it', () => {
    const { asked, one, lookups, drawn } = slow()
    one.call.drop('left')
    expect(one.log).toEqual([])
    lookups[0]()
    expect([one.log, asked.length, drawn]).toEqual([['done'], 0, []])
  })

  it('its time may be up', () => {
    const { asked, one, lookups, drawn } = slow()
    one.call.expire()
    expect(one.log).toEqual(['DEADLINE'])
    lookups[0]()
    expect([one.log, asked.length, drawn]).toEqual([['DEADLINE', 'done'], 0, []])
  })

  it('its tenant may go: it fails, and no other does', () => {
    const { one, lookups, state } = slow(['ask'])
    state.isBroken = true
    lookups[0]()
    expect(one.log).toEqual(['WORKER', 'done'])
  })
})

describe('an audit', () => {
  const audited = () => {
    const at = remembering(['audit'])
    return { ...at, audit: at.ask() }
  }

  it('is let in, before all others, and asks for nothing but the model’s answer', () => {
    const [{ query }] = audited().asked
    const { refusal, turn, choices, dueAt, said } = query as Query
    expect([refusal, turn.rank, choices.policy, dueAt, said.ask]).toEqual([false, 0, 'retry', 60_000, true])
  })

  it('that shows the memory right is told at once', () => {
    const { asked, audit, told } = audited()
    asked[0].begin('a').answer(3)
    expect([audit.log.at(-2), told]).toEqual(['exact 3', [['audit', true]]])
  })

  it.each(['refuted', 'confirmed', 'open'] as const)('that shows it wrong waits for a second opinion: %s', (of) => {
    const { asked, audit, told, opinions, state } = audited()
    asked[0].begin('a').answer(4)
    expect([audit.log.at(-2), told, opinions.length]).toEqual(['exact 4', [], 1])
    opinions[0](of)
    expect([told, state.wrong]).toEqual([[['audit', of === 'refuted']], of === 'refuted' ? 0 : 1])
  })

  it('goes on without its caller, and counts as an error where the model is replaced', () => {
    const { asked, audit, told } = audited()
    asked[0].begin('a')
    audit.call.drop('left')
    expect([asked[0].dropped, told]).toEqual([undefined, []])
    audit.call.drop('void')
    expect([asked[0].dropped, told]).toEqual(['void', [['audit', false]]])
  })
})
