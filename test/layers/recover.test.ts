/** Late and lost answers predicted by a memory, over a fake service. */

import { describe, expect, it } from 'vitest'
import type { Policy } from '../../src/base/choices'
import type { Recovered } from '../../src/base/prediction'
import { type RecoverOptions, recover } from '../../src/layers/recover'
import type { RecalledAnswer } from '../../src/memory/service'
import { type failure, fakeService, listener, payload, queryOf } from '../shared/fake-service'

const ages = { giveMs: 20, hedgeMs: 30, worth: 1 }
const said = (confidence: number, ...values: number[]): RecalledAnswer => ({ answer: Float32Array.from(values), source: 'memory', missing: 1, confidence, signals: undefined, epoch: 0 }) // biome-ignore format: one line

/** A memory that says the same of every query, when it is told to; at once unless `isSlow`. */
type RecoverMemory = RecoverOptions['memory']

class FakeMemory implements RecoverMemory {
  isWarm = true
  isSlow = false
  epoch = 0
  readonly log: string[] = []
  readonly wants: number[] = []
  readonly waiting: (() => void)[] = []
  constructor(public says: RecalledAnswer | undefined) {}
  recall(_: Float32Array, withinMs: number, told: (said: RecalledAnswer | undefined, ms: number | undefined) => void) {
    this.wants.push(withinMs)
    const tell = () => told(this.says, 0.1)
    if (this.isSlow) this.waiting.push(tell)
    else tell()
  }
  isCurrent = ({ epoch }: RecalledAnswer) => epoch === this.epoch
  best<T extends Recovered>(all: readonly T[]) {
    const rated = all.map((recovery) => ({ recovery, confidence: recovery.odds }))
    return rated.reduce((best, each) => ((each.confidence ?? -1) > (best.confidence ?? -1) ? each : best))
  }
  study() {}
  grade(_: Recovered, own: Float32Array) {
    this.log.push(`graded by ${own.join()}`)
    return true
  }
  learn(_: Float32Array, own: Float32Array, from: string | undefined, rehearsed?: RecalledAnswer) {
    this.log.push(`learned ${own.join()}${rehearsed ? ' or rehearsed' : ''}${from === undefined ? ' of nobody' : ''}`)
  }
  agrees(answer: Float32Array, own: Float32Array) {
    return answer.join() === own.join()
  }
  rehearse() {}
}

function recovering(memory: FakeMemory, options: Partial<RecoverOptions> = {}) {
  const { clock, asked, service } = fakeService()
  const spent = { taken: 0 }
  const budget = { earn() {}, has: true, take: () => spent.taken++ }
  const outputs = [{ name: 'y', shape: [2] }]
  const layer = recover({ clock, lateness: { ages }, budget, memory, outputs, isDoubted: () => false, ...options })
  return { clock, asked, ask: layer(service), spent }
}
const choosing = (policy: Policy, over = {}) => queryOf({ choices: { policy, ...over } as never })

describe('a late answer', () => {
  it('is predicted where the memory is sure; the model’s own grades that, and teaches', async () => {
    const memory = new FakeMemory(said(0.95, 3, 4))
    const { clock, asked, ask, spent } = recovering(memory)
    const { log, outcomes, caller } = listener()
    const query = choosing('auto')
    ask(query, caller)
    asked[0].begin('a')
    await clock.run(19)
    expect([log, memory.wants.length]).toEqual([['began a'], 0])
    await clock.run(20)
    expect([log, asked[0].dropped, spent.taken]).toEqual([['began a', 'recovered 3,4'], 'teach', 1])
    expect(outcomes).toMatchObject([{ confidence: 0.95, by: [] }])
    asked[0].answer(5, 6)
    expect(memory.log).toEqual(['graded by 5,6', 'learned 5,6'])
    expect([log.slice(2), query.tried.isRecovered]).toEqual([['ended a', 'done'], true])
    expect(outcomes).toMatchObject([{ recovery: { source: 'memory', why: 'late' } }])
  })

  it.each<[string, Policy, number, Partial<RecoverOptions>, string]>([
    ['it is not sure', 'auto', 0.5, {}, 'exact 5,6'],
    ['only exact ones are wanted', 'retry', 0.95, {}, 'exact 5,6'],
    ['the budget is spent', 'auto', 0.95, { budget: { earn() {}, has: false, take() {} } }, 'exact 5,6'],
    ['as many may be wrong as may be', 'auto', 0.95, { errors: { mayRecover: false, recover: () => () => {} } }, 'exact 5,6'], // biome-ignore format: one line
    ['outputs are read wrongly', 'auto', 0.95, { isDoubted: () => true }, 'exact 5,6'],
    ['nobody knows what is late', 'auto', 0.95, { lateness: { ages: undefined } }, 'exact 5,6'],
    ['any recovery will do', 'recover', 0.1, {}, 'recovered 3,4'],
  ])('where %s (%s, %d): %s', async (_, policy, confidence, options, what) => {
    const memory = new FakeMemory(said(confidence, 3, 4))
    const { clock, asked, ask } = recovering(memory, options)
    const { log, caller } = listener()
    ask(choosing(policy), caller)
    asked[0].begin('a')
    await clock.run(500)
    asked[0].answer(5, 6)
    expect(log.filter((each) => /exact|recovered/.test(each))).toEqual([what])
    expect(memory.log.at(-1)).toBe('learned 5,6')
  })

  it('is predicted as soon as it is known what is late, though a layer beneath keeps back what ended', async () => {
    const memory = new FakeMemory(said(0.95, 3, 4))
    const lateness: { ages: typeof ages | undefined } = { ages: undefined }
    const { clock, asked, ask } = recovering(memory, { lateness })
    const [first, second] = [listener(), listener()]
    ask(choosing('auto'), first.caller)
    ask(choosing('auto'), second.caller)
    for (const attempt of asked) attempt.begin('a')
    lateness.ages = ages
    asked[0].caller.settled({ kind: 'answer', answer: payload(5, 6), status: 'audited', confidence: undefined, by: [] })
    await clock.run(20)
    expect([first.log, second.log]).toEqual([
      ['began a', 'audited 5,6'],
      ['began a', 'recovered 3,4'],
    ])
  })

  it('that comes while the memory is asked is given; what the memory says then is graded no more, and done is last', async () => {
    const memory = Object.assign(new FakeMemory(said(0.95, 3, 4)), { isSlow: true })
    const { clock, asked, ask } = recovering(memory)
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a')
    await clock.run(20)
    asked[0].answer(5, 6)
    expect(log).toEqual(['began a', 'ended a', 'exact 5,6'])
    memory.waiting[0]()
    expect([log.at(-1), memory.log]).toEqual(['done', ['learned 5,6']])
  })

  it('keeps everybody else from being asked while the memory is', async () => {
    const memory = Object.assign(new FakeMemory(said(0.5, 3, 4)), { isSlow: true })
    const { clock, asked, ask } = recovering(memory)
    const query = choosing('auto')
    ask(query, listener().caller)
    asked[0].begin('a')
    await clock.run(20)
    const went: string[] = []
    expect(query.tried.waits(() => went.push('on'))).toBe(true)
    memory.waiting[0]()
    expect([went, query.tried.waits(() => {})]).toEqual([['on'], false])
  })

  it('is not predicted by what was taken out of the memory meanwhile, nor graded', async () => {
    const memory = Object.assign(new FakeMemory(said(0.95, 3, 4)), { isSlow: true })
    const { clock, asked, ask } = recovering(memory)
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a')
    await clock.run(20)
    memory.epoch = 1
    memory.waiting[0]()
    asked[0].answer(5, 6)
    expect([log.slice(-2), memory.log]).toEqual([['exact 5,6', 'done'], ['learned 5,6']])
  })
})

it('what was given is graded and told though something was taken out of the memory since', async () => {
  const told: boolean[] = []
  const errors = { mayRecover: true, recover: () => (isRight: boolean) => told.push(isRight) }
  const memory = new FakeMemory(said(0.95, 3, 4))
  const { clock, asked, ask } = recovering(memory, { errors })
  const query = choosing('auto')
  ask(query, listener().caller)
  asked[0].begin('a')
  await clock.run(20)
  memory.epoch = 1
  asked[0].answer(3, 4)
  expect([told, query.tried.isRecovered]).toEqual([[true], true])
})

it('what was taken out before it was given is asked for again', async () => {
  const memory = new FakeMemory(said(0.5, 3, 4))
  const { clock, asked, ask } = recovering(memory)
  const { log, caller } = listener()
  const call = ask(choosing('auto'), caller)
  asked[0].begin('a')
  await clock.run(20)
  memory.epoch = 1
  memory.says = { ...said(0.95, 5, 6), epoch: 1 }
  call.expire()
  expect([memory.wants.length, log.at(-1)]).toEqual([2, 'recovered 5,6'])
})

it('an answer that began before anybody knew what is late is recovered when that is known', async () => {
  const lateness: { ages: typeof ages | undefined } = { ages: undefined }
  const { clock, asked, ask } = recovering(new FakeMemory(said(0.95, 3, 4)), { lateness })
  const { log, caller } = listener()
  ask(choosing('auto'), caller)
  ask(choosing('auto'), listener().caller)
  for (const [i, attempt] of asked.entries()) attempt.begin('ab'[i])
  await clock.run(10)
  lateness.ages = ages
  asked[1].answer(1, 1)
  await clock.run(20)
  expect(log).toEqual(['began a', 'recovered 3,4'])
})

it('a late answer is recovered once there is a budget for it', async () => {
  const budget = { earn() {}, has: false, take() {} }
  const { clock, asked, ask } = recovering(new FakeMemory(said(0.95, 3, 4)), { budget })
  const { log, caller } = listener()
  ask(choosing('auto'), caller)
  asked[0].begin('a')
  await clock.run(30)
  budget.has = true
  await clock.run(40)
  expect(log.at(-1)).toBe('recovered 3,4')
})

describe('a lost answer', () => {
  it('is predicted where the memory is sure, before another worker is asked', () => {
    const memory = new FakeMemory(said(0.95, 3, 4))
    const { asked, ask, spent } = recovering(memory, { lateness: { ages: undefined } })
    const { log, caller } = listener()
    const query = choosing('auto')
    ask(query, caller)
    asked[0].begin('a')
    asked[0].outcome = { kind: 'failed' }
    query.tried.onNeed?.() // another worker would be asked
    expect([log, spent.taken, asked[0].dropped]).toEqual([['began a', 'recovered 3,4'], 0, 'teach'])
  })

  it('is an error where the memory is not, once nobody else is asked', () => {
    const { asked, ask } = recovering(new FakeMemory(said(0.5, 3, 4)))
    const { log, outcomes, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a').fail()
    expect(log.slice(1)).toEqual(['ended a', 'WORKER', 'done'])
    expect(outcomes).toMatchObject([{ error: { message: 'broke' } }])
  })

  it('holds the failure while the memory is asked, and is done last', () => {
    const memory = Object.assign(new FakeMemory(said(0.95, 3, 4)), { isSlow: true })
    const { asked, ask } = recovering(memory)
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a').fail()
    expect(log).toEqual(['began a', 'ended a'])
    memory.waiting[0]()
    expect(log.slice(2)).toEqual(['recovered 3,4', 'done'])
  })

  it('that the load refused is predicted all the same', () => {
    const { asked, ask } = recovering(new FakeMemory(said(0.95, 3, 4)))
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].fail('load', { code: 'OVERLOADED' })
    expect(log).toEqual(['ended undefined', 'recovered 3,4', 'done'])
  })

  it('is no recovery where the memory knows too little', () => {
    const memory = Object.assign(new FakeMemory(said(0.95, 3, 4)), { isWarm: false })
    const { asked, ask } = recovering(memory)
    const { log, caller } = listener()
    ask(choosing('recover'), caller)
    asked[0].begin('a').fail()
    expect([log.slice(-2), memory.wants]).toEqual([['WORKER', 'done'], []])
  })
})

describe('at the deadline', () => {
  it.each(['give', 'fail'] as const)('what is not sure enough: %s', (atDeadline) => {
    const { asked, ask } = recovering(new FakeMemory(said(0.5, 3, 4)))
    const { log, outcomes, caller } = listener()
    const call = ask(choosing('auto', { atDeadline }), caller)
    asked[0].begin('a')
    call.expire()
    if (atDeadline === 'give') expect(log.at(-1)).toBe('recovered 3,4')
    else {
      expect(outcomes).toMatchObject([{ error: { code: 'DEADLINE', recovery: { confidence: 0.5 } } }])
      const [{ error }] = outcomes as ReturnType<typeof failure>[]
      expect([...((error.recovery?.output.y.data ?? []) as Float32Array)]).toEqual([3, 4])
    }
  })

  it('the memory is asked once more where it had no time before, with more time', async () => {
    const memory = new FakeMemory(undefined)
    const { clock, asked, ask } = recovering(memory)
    const { log, caller } = listener()
    const call = ask(choosing('auto'), caller)
    asked[0].begin('a')
    await clock.run(20)
    memory.says = said(0.95, 3, 4)
    call.expire()
    expect(memory.wants).toEqual([20, 20])
    expect(log.at(-1)).toBe('recovered 3,4')
  })
})

it('a query whose time is up stays so though it gets late while the memory is asked: it is told no later', async () => {
  const memory = Object.assign(new FakeMemory(undefined), { isSlow: true })
  const { clock, asked, ask } = recovering(memory)
  const { log, caller } = listener()
  const call = ask(choosing('auto'), caller)
  asked[0].begin('a')
  await clock.run(10)
  call.expire()
  await clock.run(25)
  memory.waiting[0]()
  expect(log).toEqual(['began a', 'DEADLINE'])
})

it('a late recovery counts in the error budget until the model’s answer has come', async () => {
  const told: boolean[] = []
  const errors = { mayRecover: true, recover: () => (isRight: boolean) => told.push(isRight) }
  const { clock, asked, ask } = recovering(new FakeMemory(said(0.95, 3, 4)), { errors })
  ask(choosing('auto'), listener().caller)
  asked[0].begin('a')
  await clock.run(20)
  expect(told).toEqual([])
  asked[0].answer(5, 6)
  expect(told).toEqual([true])
})

it('teaches nothing of a model that was replaced', () => {
  const memory = new FakeMemory(undefined)
  const { asked, ask } = recovering(memory)
  const call = ask(choosing('auto'), listener().caller)
  asked[0].begin('a')
  call.drop('void')
  asked[0].answer(5, 6)
  expect(memory.log).toEqual([])
})

describe('what a group decoded', () => {
  const by = [{}, {}] as never
  const decoded = (confidence: number | undefined, ...values: number[]): Recovered => ({ answer: Float32Array.from(values), source: 'code', missing: 2, odds: confidence }) // biome-ignore format: one line
  /** @returns what tells the query of its group, and counts how often that was decoded */
  function offering(memory: FakeMemory, options: Partial<RecoverOptions> = {}) {
    const own = recovering(memory, options)
    const calls = { decoded: 0 }
    const offer = (recovery: Recovered | undefined, isLost = false) =>
      own.asked[0].caller.offer?.(() => {
        calls.decoded++
        return recovery && { recoveries: [recovery], isMixed: true, missing: 2, by }
      }, isLost)
    return { ...own, offer, calls }
  }

  it('is given to a late query where it is surer than the memory; the model’s answer grades both', async () => {
    const memory = new FakeMemory({ ...said(0.5, 3, 4), odds: 0.5 })
    const { clock, asked, ask, offer, calls } = offering(memory)
    const { log, outcomes, caller } = listener()
    const query = choosing('auto')
    ask(query, caller)
    asked[0].begin('a')
    offer(decoded(0.95, 7, 8))
    expect([log, calls.decoded]).toEqual([['began a'], 0]) // it may come in time
    await clock.run(20)
    expect([log.at(-1), outcomes]).toMatchObject(['recovered 7,8', [{ confidence: 0.95, by }]])
    asked[0].answer(5, 6)
    expect(memory.log).toEqual(['graded by 5,6', 'graded by 5,6', 'learned 5,6'])
    expect(outcomes).toMatchObject([{ recovery: { source: 'code', why: 'late' } }])
  })

  it('is not given where the memory is surer: that is nobody’s', async () => {
    const { clock, asked, ask, offer } = offering(new FakeMemory({ ...said(0.97, 3, 4), odds: 0.97 }))
    const { log, outcomes, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a')
    offer(decoded(0.95, 7, 8))
    await clock.run(20)
    expect([log.at(-1), outcomes]).toMatchObject(['recovered 3,4', [{ by: [] }]])
  })

  it('is given when it comes, to a query that is late by then', async () => {
    const { clock, asked, ask, offer } = offering(Object.assign(new FakeMemory(undefined), { isWarm: false }))
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    asked[0].begin('a')
    await clock.run(25)
    expect(log).toEqual(['began a'])
    offer(decoded(0.95, 7, 8))
    expect(log.at(-1)).toBe('recovered 7,8')
  })

  it.each([
    ['auto', 0.95, 'recovered 7,8'],
    ['auto', 0.5, 'began a'],
    ['recover', 0.1, 'recovered 7,8'],
    ['retry', 0.95, 'began a'],
  ] as const)('%s, %d: at once while nobody knows what is late, whatever the budget: %s', (policy, sure, last) => {
    const budget = { earn() {}, has: false, take() {} }
    const { asked, ask, offer } = offering(new FakeMemory(undefined), { lateness: { ages: undefined }, budget })
    const { log, caller } = listener()
    ask(choosing(policy), caller)
    asked[0].begin('a')
    offer(decoded(sure, 7, 8))
    expect(log.at(-1)).toBe(last)
  })

  it('before anybody knew what is late, and that was not sure enough, keeps nothing from being recovered when it is late', async () => {
    const lateness: { ages: typeof ages | undefined } = { ages: undefined }
    const memory = new FakeMemory(undefined)
    const { clock, asked, ask, offer } = offering(memory, { lateness })
    const { log, caller } = listener()
    ask(choosing('auto'), caller)
    ask(choosing('retry'), listener().caller)
    for (const [i, attempt] of asked.entries()) attempt.begin('ab'[i])
    offer(decoded(0.5, 7, 8))
    memory.says = { ...said(0.95, 3, 4), odds: 0.95 }
    lateness.ages = ages
    await clock.run(10)
    asked[1].answer(1, 1)
    await clock.run(20)
    expect(log).toEqual(['began a', 'recovered 3,4'])
  })

  it('is waited for where its own answer is lost: the memory is asked at once, and for the last time', () => {
    const memory = new FakeMemory(undefined)
    const { asked, ask, offer } = offering(memory)
    const { log, caller } = listener()
    ask(choosing('recover'), caller)
    asked[0].begin('a')
    offer(undefined, true)
    expect([log, memory.wants]).toEqual([['began a'], [20]])
    offer(decoded(0.1, 7, 8), true)
    expect([log.at(-1), memory.wants.length]).toEqual(['recovered 7,8', 1])
  })

  it('is had before its group is over, while the memory is asked for a query that failed', () => {
    const memory = Object.assign(new FakeMemory(undefined), { isSlow: true })
    const { asked, ask } = recovering(memory)
    const { log, caller } = listener()
    ask(choosing('recover'), caller)
    let offer: { recoveries: Recovered[]; isMixed: boolean; missing: number; by: never } | undefined
    let isOver = false
    const decode = () => {
      if (!isOver) offer = { recoveries: [decoded(0.1, 7, 8)], isMixed: true, missing: 2, by }
      return offer
    }
    asked[0].begin('a')
    asked[0].caller.offer?.(decode, false)
    asked[0].fail()
    isOver = true
    memory.waiting[0]()
    expect(log.slice(-2)).toEqual(['recovered 7,8', 'done'])
  })

  it('is not given at the deadline where only exact ones are wanted', () => {
    const { asked, ask, offer } = offering(new FakeMemory(undefined))
    const { log, outcomes, caller } = listener()
    const call = ask(choosing('retry', { atDeadline: 'give' }), caller)
    asked[0].begin('a')
    offer(decoded(0.95, 7, 8))
    call.expire()
    expect(log.at(-1)).toBe('DEADLINE')
    expect((outcomes[0] as ReturnType<typeof failure>).error.recovery).toBeUndefined()
  })

  it('is not given once it is withdrawn', async () => {
    const { clock, asked, ask, offer } = offering(new FakeMemory(undefined))
    const { log, caller } = listener()
    const call = ask(choosing('auto', { atDeadline: 'give' }), caller)
    asked[0].begin('a')
    await clock.run(20)
    offer(decoded(0.5, 7, 8))
    offer(undefined)
    call.expire()
    expect(log.at(-1)).toBe('DEADLINE')
  })

  it('and is no number is told in the error', () => {
    const { asked, ask, offer } = offering(new FakeMemory(undefined))
    const { outcomes, caller } = listener()
    ask(choosing('recover'), caller)
    offer(decoded(undefined, Number.NaN, 1))
    asked[0].begin('a').fail()
    expect(outcomes).toMatchObject([{ error: { code: 'PROTOCOL', message: 'the recovered answer is not finite' } }])
  })

  it('and is not sure enough is in the error at the deadline', () => {
    const { asked, ask, offer } = offering(new FakeMemory(undefined))
    const { outcomes, caller } = listener()
    const call = ask(choosing('auto'), caller)
    asked[0].begin('a')
    offer(decoded(0.5, 7, 8))
    call.expire()
    expect(outcomes).toMatchObject([{ error: { code: 'DEADLINE', recovery: { confidence: 0.5 } } }])
  })
})

describe('where answers come proven', () => {
  it.each([
    ['was given', 0.95, ['graded by 5,6', 'learned 5,6 or rehearsed of nobody']],
    ['was not given', 0.5, ['learned 5,6 or rehearsed of nobody']],
  ] as const)(
    'what the memory said counts only where it %s, and what it learns is nobody’s',
    async (_, confidence, what) => {
      const memory = new FakeMemory(said(confidence, 3, 4))
      const { clock, asked, ask } = recovering(memory, { isProven: true })
      ask(choosing('auto'), listener().caller)
      asked[0].begin('a')
      await clock.run(20)
      asked[0].answer(5, 6)
      expect(memory.log).toEqual(what)
    },
  )

  it.each([
    ['late', 'auto', ['began a', 'DEADLINE']],
    ['due', 'recover', ['began a', 'DEADLINE']],
  ] as const)('a recovery that a worker’s answer contradicts is none, when it is %s (%s)', async (_, policy, told) => {
    const memory = new FakeMemory(said(0.99, 3, 4))
    const { clock, asked, ask } = recovering(memory, { isProven: true })
    const { log, caller, outcomes } = listener()
    const query = choosing(policy, { atDeadline: 'give' })
    query.tried.unproven = () => [payload(9, 9)]
    const call = ask(query, caller)
    asked[0].begin('a')
    await clock.run(500)
    call.expire()
    expect(log).toEqual(told)
    expect((outcomes[0] as ReturnType<typeof failure>).error.recovery).toBeUndefined()
  })

  it('what a layer beneath asked the memory is not asked again', async () => {
    const memory = new FakeMemory(said(0.99, 3, 4))
    const { clock, asked, ask } = recovering(memory, { isProven: true })
    const { log, caller } = listener()
    const query = choosing('auto')
    query.tried.recalled = said(0.99, 3, 4)
    ask(query, caller)
    asked[0].begin('a')
    await clock.run(20)
    expect([log, memory.wants.length, query.tried.isRecovered]).toEqual([['began a', 'recovered 3,4'], 0, true])
  })
})
