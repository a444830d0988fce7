/** The paper's scheme over a fake service: K = 2, S = 1, so that three coded queries go out and two answers decode. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { Codec } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { paper } from '../../src/layers/paper'
import { fakeService, listener, payload, queryOf } from '../shared/fake-service'

const core = await loadCore({ prefer: 'js' })
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const pool = { available: () => 9, free: 9, nobody: 'nobody is left', size: 9, suspect() {}, usable: 9 }

function coded(over: { usable?: number; available?: () => number } = {}, scheme = { queries: 2, stragglers: 1 }) {
  const { clock, asked, service } = fakeService()
  const codec = new Codec(core, { ...scheme, preset: 'aaai22' })
  const random = seeded(1)
  const own = { clock, codec, signature, random, maxWaitMs: 10 }
  const ask = paper({ ...own, pool: { ...pool, ...over } })(service)
  const join = (value: number, more = {}) => {
    const told = listener()
    const query = queryOf({ payload: payload(value, 1), ...more })
    return { ...told, query, call: ask(query, told.caller) }
  }
  return { clock, asked, join }
}
const microtasks = () => new Promise<void>((resolve) => setImmediate(resolve))

it('waits for a full group, decodes at the quorum, and is done with the last answer', async () => {
  const { asked, join } = coded()
  const one = join(3)
  expect(asked.length).toBe(0)
  const two = join(5)
  expect(asked.map(({ query }) => query.priority)).toEqual(['normal', 'normal', 'normal'])
  for (const [at, row] of asked.entries()) row.begin(`w${at}`)
  for (const row of asked.slice(0, 2)) row.answer(...row.query.payload.vector)
  expect([one, two].map(({ outcomes: [outcome] }) => outcome)).toMatchObject([
    { status: 'recovered', by: [asked[0], asked[1]] },
    { status: 'recovered', by: [asked[0], asked[1]] },
  ])
  expect([asked[2].dropped, one.log.includes('done')]).toEqual(['teach', false])
  asked[2].answer(...asked[2].query.payload.vector)
  expect([one, two].map(({ log }) => log.at(-1))).toEqual(['done', 'done'])
})

it('closes after its time, or half of the shortest that a query has', async () => {
  const { clock, asked, join } = coded()
  join(1, { dueAt: 12 })
  await clock.run(5)
  expect(asked.length).toBe(0)
  await clock.run(6)
  expect(asked.length).toBe(2) // K is 1
})

it('a query that leaves an open group makes room, and is done; of a closed one its rows are wanted for the others', () => {
  const { asked, join } = coded()
  const gone = join(1)
  gone.call.drop('left')
  expect(gone.log).toEqual(['done'])
  const [one, two] = [join(3), join(5)]
  expect(asked.length).toBe(3)
  one.call.drop('left')
  expect(asked.map(({ dropped }) => dropped)).toEqual([undefined, undefined, undefined])
  two.call.drop('void')
  expect(asked.map(({ dropped }) => dropped)).toEqual(['void', 'void', 'void'])
  expect([one.log, two.log]).toEqual([['done'], ['done']])
})

it('fails with the names of workers and their codes where too few may answer yet', () => {
  const { asked, join } = coded()
  const [one, two] = [join(3), join(5)]
  asked[0].begin('a').fail()
  expect(one.outcomes).toEqual([])
  asked[1].begin('b').fail()
  for (const { outcomes } of [one, two])
    expect(outcomes).toMatchObject([
      { error: { code: 'QUORUM', message: 'results: expected >= 2 of 3, got 0, 1 outstanding; a: WORKER; b: WORKER' } },
    ])
})

it('fails at once, but not before its call is known, where nobody is left, or too few for the rows', async () => {
  const none = coded({ usable: 0, available: () => 0 }).join(1)
  expect(none.outcomes).toEqual([])
  await microtasks()
  expect(none.outcomes).toMatchObject([{ error: { code: 'WORKER', message: 'nobody is left' } }])
  const { join } = coded({ available: () => 1 })
  const few = [join(3), join(5)]
  await microtasks()
  for (const { outcomes } of few) expect(outcomes).toMatchObject([{ error: { code: 'QUORUM' } }])
})

it('a query whose time is up fails alone, and says whether a worker was asked', async () => {
  const { asked, join } = coded()
  const [one, two] = [join(3), join(5)]
  one.call.expire()
  expect(one.outcomes).toMatchObject([{ error: { code: 'DEADLINE', message: expect.stringContaining('waited') } }])
  for (const row of asked.slice(0, 2)) row.begin(`w${asked.indexOf(row)}`).answer(...row.query.payload.vector)
  expect(two.outcomes).toMatchObject([{ status: 'recovered' }])
  const late = coded()
  const [three] = [late.join(3), late.join(5)]
  late.asked[0].begin('a')
  three.call.expire()
  expect(three.outcomes).toMatchObject([{ error: { code: 'QUORUM' } }])
})

it('drops the answers that the locator suspects most, and each row has a worker of its own', () => {
  const { asked, join } = coded({}, { queries: 2, byzantine: 1, stragglers: 0 } as never)
  const [one, two] = [join(3), join(5)]
  for (const [at, row] of asked.entries()) row.begin(`w${at}`)
  expect(asked[0].query.apart[0].blocks('w3')).toBe(true)
  for (const [at, row] of asked.entries()) row.answer(...(at === 1 ? [900, -900] : row.query.payload.vector))
  const values = [one, two].map(({ outcomes: [outcome] }) => outcome?.kind === 'answer' && outcome.answer.vector[0])
  expect(values[0]).toBeCloseTo(3, 0)
  expect(values[1]).toBeCloseTo(5, 0)
})

it('gives a query that would be answered too late its refusal, and makes no group for it', async () => {
  const { asked, join } = coded()
  const refusal = Object.assign(new Error('too late'), { code: 'OVERLOADED' }) as never
  const one = join(1, { refusal })
  join(2)
  expect([one.outcomes, asked.length]).toEqual([[], 0])
  await microtasks()
  expect(one.log).toEqual(['OVERLOADED', 'done'])
})

it('holds its contract under random trouble: each query is settled once and done once', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed)
    const { clock, asked, join } = coded()
    const told: ReturnType<typeof join>[] = []
    for (let i = 0; i < 7; i++) clock.after(8 * random.next(), () => void told.push(join(random.next())))
    await clock.run(30)
    for (const one of told) if (random.next() < 0.3) clock.after(20 * random.next(), () => void (one.log.includes('done') || one.outcomes.length || one.call.drop('left'))) // biome-ignore format: one line
    for (const one of told) if (random.next() < 0.3) clock.after(20 * random.next(), () => one.call.expire())
    for (const [at, row] of asked.entries()) {
      clock.after(20 * random.next(), () => {
        if (row.outcome) return
        row.begin(`w${at}`)
        if (random.next() < 0.3) row.fail()
        else row.answer(...row.query.payload.vector)
      })
    }
    await clock.run()
    for (const [at, { log }] of told.entries()) expect([seed, at, log.at(-1)]).toEqual([seed, at, 'done'])
  }
})

it('a query whose time is up before its group is full leaves no dead group behind', () => {
  const { asked, join } = coded()
  const gone = join(1)
  gone.call.expire()
  expect(gone.log).toEqual(['DEADLINE', 'done'])
  const [one, two] = [join(3), join(5)]
  for (const [at, row] of asked.slice(0, 2).entries()) row.begin(`w${at}`).answer(...row.query.payload.vector)
  expect([one, two].map(({ outcomes: [outcome] }) => outcome?.kind)).toEqual(['answer', 'answer'])
})

it('makes the list of whom it was decoded from once, however large the group', () => {
  const { asked, join } = coded({}, { queries: 300, stragglers: 1 })
  const all = Array.from({ length: 300 }, (_, i) => join(i))
  for (const [at, row] of asked.slice(0, 300).entries()) row.begin(`w${at}`).answer(...row.query.payload.vector)
  const lists = all.map(({ outcomes: [outcome] }) => (outcome.kind === 'answer' && outcome.status === 'recovered' ? outcome.by : 0)) // biome-ignore format: one line
  expect(new Set(lists.filter((by) => by)).size).toBe(1)
})
