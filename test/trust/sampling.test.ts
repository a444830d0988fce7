/** Answers that are given as they come, of which an anchor is asked for some: who lies, what is recalled, and what an anchor must not be kept from. */

import { ApproxiferError, createPredictor, type Prediction, type PredictorOptions } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { recalls, together, verdicts } from '../shared/heard-events'

const [lie, none] = [Float32Array.of(-9, 9), () => {}]

/** Workers of which the first is the user's own, and what was told. A coin of 0 audits the last of each block of 1 / rate answers. */
async function fleet(verify: PredictorOptions['verify'] = {}, options: PredictorOptions = {}, count = 3) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  Object.assign(workers[0], { trusted: true })
  const [onVerdict, onRecall, onWarning] = [vi.fn(), vi.fn(), vi.fn()]
  const predictor = await createPredictor({
    ...{
      workers,
      onEvent: together(verdicts(onVerdict), recalls(onRecall)),
      onWarning,
      hedge: { budget: 0 },
      testing: { clock, coin: () => 0 },
    },
    verify: { mode: 'sampled', rate: 1, ...verify },
    ...options,
  })
  const at = (name: string) => workers.find((each) => each.name === name) as HandWorker
  /** What a worker has been asked. */
  const asked = (name: string) => at(name).calls.map(({ row }) => row[0])
  const reply = async (name: string, answer?: Float32Array, of?: number) => {
    const call = at(name).calls.find(({ row }) => of === undefined || row[0] === of)
    if (!call) throw new Error(`${name} has no such call`)
    call.answer(answer)
    await turn()
  }
  const judged = () => onVerdict.mock.calls.map(([{ worker, kind }]) => `${worker} ${kind}`)
  const recalled = () => onRecall.mock.calls.map(([{ worker, identity, ids }]) => ({ worker, identity, ids }))
  /** All answer what they have, and what they get for that, of whom one may lie. */
  const serve = async (liar?: string) => {
    for (let open = true; open; await turn()) {
      open = workers.some(({ calls }) => calls.length)
      for (const { name, calls } of workers) calls[0]?.answer(name === liar && calls[0].row[0] > 0 ? lie : undefined)
    }
  }
  /** One query at each worker, by the number of the worker. */
  const all = () =>
    workers.map((_, i) => {
      const given = predictor.predict(query(i + 1))
      given.catch(none)
      return given
    })
  return { predictor, workers, clock, at, asked, reply, verdicts: judged, recalled, serve, all, onWarning }
}

describe('an answer', () => {
  it('is given as it comes, as audited; an anchor’s as exact, without an id', async () => {
    const { all, reply, predictor, asked } = await fleet()
    const [first, second] = all()
    await reply('w1')
    const given = await second
    expect(given).toMatchObject({ status: 'audited', confidence: undefined, workers: ['w1'] })
    expect(Number.isSafeInteger(given.id)).toBe(true)
    await reply('w0')
    expect(await first).toMatchObject({ status: 'exact', confidence: 1, id: undefined })
    expect(asked('w0')).toEqual([2]) // the audit
    expect(predictor.stats()).toMatchObject({ audited: 1, exact: 1 })
    await predictor.close()
  })

  it('has an id of its own, that tells nobody how many others there were', async () => {
    let seed = 1
    const coin = () => (seed = (seed * 48271) % 2147483647) / 2147483647
    const { all, serve, predictor } = await fleet({ rate: 0.01 }, { testing: { clock: new VirtualClock(), coin } })
    const ids: number[] = []
    while (ids.length < 20) {
      const given = all()
      await serve()
      for (const { id, workers } of await Promise.all(given)) if (workers[0] === 'w1') ids.push(id as number)
    }
    const steps = new Set(ids.map((id, i) => id - (ids[i - 1] ?? 0)))
    expect([ids.length, new Set(ids).size, steps.size]).toEqual([20, 20, 20])
    await predictor.close()
  })
})

describe('an answer that differs beyond rounding, and is no lie', () => {
  /** Off by a thousandth: ten times what is rounding, a third of what is a lie. */
  const off = (n: number) => Float32Array.of(2.002 * n, 2.002)

  it('is counted and recalled by itself, and convicts nobody', async () => {
    const { predictor, all, reply, recalled, verdicts } = await fleet()
    const [first, second, third] = all()
    await reply('w1', off(2))
    await reply('w2')
    await reply('w0')
    const { id } = await second
    await Promise.all([first, third])
    await reply('w0', undefined, 2)
    await reply('w0', undefined, 3)
    expect(recalled()).toEqual([{ worker: 'w1', identity: 'w1', ids: [id] }])
    expect(verdicts()).toEqual([])
    expect(predictor.stats()).toMatchObject({ audited: 2, recalled: 1 })
    expect(predictor.stats().workers.map(({ deviating, lies }) => [deviating, lies])).toEqual([[0, 0], [1, 0], [0, 0]]) // biome-ignore format: one line
    await predictor.close()
  })

  it('adds up: nine in a row that were audited, and its worker is passed over, and all of its answers recalled', async () => {
    const { predictor, all, serve, reply, recalled, verdicts, asked } = await fleet({ rate: 0.5 }) // every second answer is audited
    const ids: (number | undefined)[] = []
    for (let i = 0; i < 18; i++) {
      const given = all()
      await turn()
      const [own] = asked('w1')
      await reply('w1', off(own))
      await reply('w2')
      while (asked('w0').length) await reply('w0')
      const theirs = (await Promise.all(given)).find(({ workers: [by] }) => by === 'w1')
      ids.push(theirs?.id)
    }
    expect(verdicts()).toEqual(['w1 deviant'])
    const told = recalled().flatMap((each) => each.ids)
    expect([told.length, new Set(told)]).toEqual([18, new Set(ids)])
    // It has no queries; to some that an anchor has answered it is asked for an answer that nobody gets.
    for (let i = 0; i < 2000 && verdicts().length < 2; i++) {
      const given = all()
      await serve()
      const by = (await Promise.all(given)).flatMap(({ workers }) => workers)
      if (verdicts().length < 2) expect(by).not.toContain('w1')
    }
    expect(verdicts()).toEqual(['w1 deviant', 'w1 readmitted'])
    await predictor.close()
  })
})

describe('a lie', () => {
  it('convicts by the word of an anchor alone, whoever else lies', async () => {
    const { all, reply, verdicts, predictor } = await fleet()
    const [, second, third] = all()
    await reply('w1', lie)
    await reply('w2', lie)
    expect((await second).status).toBe((await third).status)
    await reply('w0')
    await reply('w0', undefined, 2)
    await reply('w0', undefined, 3)
    expect(verdicts()).toEqual(['w1 ejected', 'w2 ejected']) // two of three: others that agree would prove them right
    await predictor.close()
  })

  it('that was never audited is recalled; what an anchor proved right is not, nor others’', async () => {
    const { predictor, reply, recalled, asked } = await fleet({ rate: 0.5 })
    const given: Prediction[] = []
    const ask = async (answer?: Float32Array) => {
      const both = [predictor.predict(query(1)), predictor.predict(query(2)), predictor.predict(query(3))]
      await turn()
      await reply('w1', answer)
      await reply('w2')
      given.push(await both[1])
      while (asked('w0').length) await reply('w0')
      await Promise.all(both)
    }
    for (const answer of [undefined, undefined, lie, lie]) await ask(answer) // the second and the fourth are audited
    const [first, , third, fourth] = given.map(({ id }) => id)
    expect(recalled()).toEqual([{ worker: 'w1', identity: 'w1', ids: [first, third, fourth] }])
    await predictor.close()
  })

  it('whose caller has left, and whose deadline has passed, convicts all the same', async () => {
    const { predictor, reply, verdicts, clock } = await fleet()
    const leaving = new AbortController()
    const first = predictor.predict(query(1), { deadlineMs: 1e6 })
    const second = predictor.predict(query(2), { signal: leaving.signal, deadlineMs: 100 })
    await turn()
    await reply('w1', lie)
    await second
    leaving.abort()
    await clock.run(1000)
    await reply('w0')
    await first
    await reply('w0')
    expect(verdicts()).toEqual(['w1 ejected'])
    await predictor.close()
  })

  it('that its caller writes over convicts; an honest answer that he writes over convicts nobody', async () => {
    const { all, reply, verdicts, predictor } = await fleet()
    const [, second, third] = all()
    await reply('w1')
    await reply('w2', lie)
    ;(await second).output.y.data.fill(99)
    ;(await third).output.y.data.set([6, 2])
    await reply('w0')
    await reply('w0', undefined, 2)
    await reply('w0', undefined, 3)
    expect(verdicts()).toEqual(['w2 ejected'])
    await predictor.close()
  })

  it('of one tenant’s is recalled with those of another, each told by themselves', async () => {
    const onRecall = vi.fn()
    const { predictor, serve } = await fleet({ rate: 0.5 }, { limits: { tenants: 2 }, onEvent: recalls(onRecall) })
    const ids: (number | undefined)[] = []
    for (const tenant of ['a', 'b']) {
      const given = [1, 2, 3].map((x) => predictor.predict(query(x), { tenant }))
      await serve('w1')
      for (const { id, workers } of await Promise.all(given)) if (workers[0] === 'w1') ids.push(id)
    }
    expect(ids.length).toBe(2)
    const told = ['a', 'b'].map((tenant, i) => [
      { worker: 'w1', identity: 'w1', tenant, ids: [ids[i]], times: [expect.any(Number)] },
    ])
    expect(onRecall.mock.calls).toEqual(told)
    await predictor.close()
  })

  it('that was given to all who asked the same at once is recalled from all', async () => {
    const { predictor, reply, recalled, asked } = await fleet({}, { reuse: { exact: true } })
    const other = predictor.predict(query(1))
    const same = [predictor.predict(query(2)), predictor.predict(query(2))]
    await turn()
    await reply('w1', lie)
    const [{ id }, { id: shared }] = await Promise.all(same)
    await reply('w0')
    await reply('w0')
    await other
    expect([recalled(), shared]).toEqual([[{ worker: 'w1', identity: 'w1', ids: [id] }], id])
    void predictor.predict(query(2)).catch(none)
    await turn()
    expect([...asked('w0'), ...asked('w2')]).toEqual([2]) // a lie is not kept for others
    await predictor.close()
  })
})

describe('a convict', () => {
  it('gives no answer after its conviction: what it has is asked of others at once', async () => {
    const { predictor, reply, at, verdicts, workers } = await fleet({}, {}, 4)
    const [first, second] = [predictor.predict(query(1)), predictor.predict(query(2))]
    await turn()
    await reply('w1', lie)
    await second
    const third = predictor.predict(query(3)) // its audit is queued behind the first
    await turn()
    const holder = workers.find(({ calls }) => calls.some(({ row }) => row[0] === 3)) as HandWorker
    await reply('w0', undefined, 1)
    await first
    const fourth = [4, 5, 6].map((x) => predictor.predict(query(x)))
    await turn()
    expect(at('w1').calls.length).toBe(1)
    const [{ row }] = at('w1').calls
    await reply('w0', undefined, 2)
    expect(verdicts()).toEqual(['w1 ejected'])
    await reply('w1', lie)
    const late = [third, ...fourth][row[0] - 3]
    expect(await settled(late)).toBe('open')
    while (workers.some(({ calls }) => calls.length))
      for (const { calls } of workers) {
        calls[0]?.answer()
        await turn()
      }
    for (const { workers: by } of await Promise.all([third, ...fourth])) expect(by).not.toEqual(['w1'])
    expect(holder.name).not.toBe('')
    await predictor.close()
  })

  it('that has answered well before, as later audits show, is not let in again for that', async () => {
    const { predictor, reply, verdicts, at } = await fleet()
    at('w0').capacity = 30
    at('w1').capacity = 30
    Object.assign(at('w0'), { slots: 30 })
    Object.assign(at('w1'), { slots: 30 })
    const given = Array.from({ length: 40 }, (_, i) => predictor.predict(query(i + 1)))
    await turn()
    while (at('w1').calls.length) await reply('w1', at('w1').calls.length === 1 ? lie : undefined)
    const audits = () => at('w0').calls.slice()
    await reply('w0', undefined, audits().at(-1)?.row[0])
    for (let i = 0; i < 100 && at('w0').calls.length; i++) await reply('w0')
    for (const each of at('w2').calls.slice()) each.answer()
    await turn()
    for (let i = 0; i < 100 && at('w0').calls.length; i++) await reply('w0')
    await Promise.all(given)
    expect(verdicts()).toEqual(['w1 ejected'])
    expect(predictor.stats().workers[1].rightAnswersLeft).toBe(20)
    await predictor.close()
  })
})

describe('an anchor', () => {
  it('that fails on an audit, and dies, is asked again when it is back', async () => {
    const { predictor, reply, at, asked, verdicts } = await fleet()
    const [first, second] = [predictor.predict(query(1)), predictor.predict(query(2))]
    await turn()
    await reply('w1', lie)
    await reply('w0')
    await Promise.all([first, second])
    at('w0').capacity = 0
    at('w0').gone = true
    await at('w0').close() // its call fails
    await turn()
    expect([asked('w0'), verdicts()]).toEqual([[], []])
    at('w0').capacity = 1
    at('w0').gone = false
    at('w0').onFree?.()
    void predictor.predict(query(3)).catch(none)
    void predictor.predict(query(4)).catch(none)
    await turn()
    for (let i = 0; i < 5 && !verdicts().length; i++) for (const name of ['w0', 'w1']) if (at(name).calls.length) await reply(name) // biome-ignore format: one line
    expect(verdicts()).toEqual(['w1 ejected'])
    await predictor.close()
  })

  it('that fails three times on an audit is not asked it again; that it was gone before it was asked is none of these', async () => {
    const { predictor, reply, at, verdicts, clock } = await fleet({}, {}, 2)
    const given = predictor.predict(query(1))
    const other = predictor.predict(query(2))
    await turn()
    await reply('w1', lie)
    await reply('w0')
    await Promise.all([given, other])
    let times = 0
    /** The anchor fails on the audit of the lie, and answers all else until it is asked that again. */
    const fail = async (code: 'WORKER' | 'OVERLOADED') => {
      const isLie = ({ row }: { row: Float32Array }) => row[0] === 2
      const call = at('w0').calls.find(isLie)
      if (!call) return
      times++
      const isGone = code === 'OVERLOADED'
      if (isGone) Object.assign(at('w0'), { gone: true, capacity: 0 })
      call.fail(new ApproxiferError(code, 'not now'))
      await turn()
      Object.assign(at('w0'), { gone: false, capacity: 1 })
      at('w0').onFree?.()
      const next = [predictor.predict(query(3)), predictor.predict(query(4))]
      for (let i = 0; i < 8; i++) {
        await clock.run(clock.now() + 1)
        for (const each of [...at('w0').calls, ...at('w1').calls]) if (!isLie(each)) each.answer()
      }
      await Promise.all(next)
    }
    for (let i = 0; i < 5; i++) await fail('OVERLOADED')
    expect(times).toBe(5)
    for (let i = 0; i < 5; i++) await fail('WORKER')
    expect([times, verdicts()]).toEqual([8, []])
    await predictor.close()
  })

  it('that cannot be reached: nothing is said to be audited that will not be', async () => {
    const { predictor, reply, at } = await fleet()
    const first = predictor.predict(query(1))
    await reply('w0')
    await first
    Object.assign(at('w0'), { capacity: 0, gone: true })
    at('w0').onFree?.()
    const [second] = [predictor.predict(query(2))]
    await turn()
    await reply('w1')
    expect(await second).toMatchObject({ status: 'unverified', confidence: undefined })
    await predictor.close()
  })

  it('is gone while audits wait for it: queries, which others can answer at once, are not refused behind those', async () => {
    const { predictor, at, clock, workers } = await fleet({}, { deadlineMs: 60 })
    Object.assign(at('w0'), { slots: 16, capacity: 16 })
    at('w0').onFree?.()
    for (let i = 0; i < 80; i++) {
      predictor.predict(query(i)).catch(none)
      await clock.run(clock.now() + 10)
      for (const { name, calls } of workers) if (name !== 'w0' || i < 10) for (const call of [...calls]) call.answer()
      await turn()
    }
    await clock.run(clock.now() + 100)
    Object.assign(at('w0'), { capacity: 0, gone: true })
    for (const call of [...at('w0').calls]) call.fail(new ApproxiferError('WORKER', 'the connection broke'))
    await turn()
    const given = predictor.predict(query(50))
    given.catch(none)
    await turn()
    for (const { name, calls } of workers) if (name !== 'w0') calls[0]?.answer()
    expect(await settled(given)).toBe('answered')
    await predictor.close()
  })

  it('too slow for all: audits that wait are bounded, and the rest is not said to be audited', async () => {
    const { predictor, reply, at } = await fleet()
    const held = predictor.predict(query(0)).catch(none)
    await turn()
    const statuses: string[] = []
    for (let i = 1; i <= 300; i++) {
      const given = predictor.predict(query(i))
      await turn()
      await reply(at('w1').calls.length ? 'w1' : 'w2')
      statuses.push((await given).status)
    }
    const audited = statuses.filter((status) => status === 'audited').length
    expect(audited).toBeGreaterThan(255)
    expect(statuses.slice(-30)).toEqual(Array(30).fill('unverified'))
    await predictor.close()
    await held
  })

  it('is none whose name a stranger’s identity is', async () => {
    const { workers } = await fleet()
    const own = Object.assign(new HandWorker('own'), { trusted: true })
    const fake = Object.assign(new HandWorker('fake'), { identity: 'own' })
    const predictor = await createPredictor({ workers: [own, fake], verify: { mode: 'sampled', rate: 1 } })
    const both = [predictor.predict(query(1)), predictor.predict(query(2))]
    await turn()
    own.calls[0].answer()
    fake.calls[0].answer(lie)
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual(['unverified', 'unverified'])
    await predictor.close()
    expect(workers.length).toBe(3)
  })
})

describe('the memory', () => {
  /** Of a worker that lies of so many queries, of which an anchor is asked for some. */
  async function taught(rate: number) {
    const own = await fleet(
      { rate },
      { policy: 'auto', right: 'label', atDeadline: 'give', memory: { features: 'raw' } },
    )
    const { predictor, at, clock } = own
    const held = predictor.predict(query(1000)).catch(none)
    await turn()
    for (let i = 0; i < 300; i++) {
      const given = predictor.predict(Float32Array.of(Math.sin(i), Math.cos(i)), { deadlineMs: 1e6 })
      await turn()
      const [call] = [...at('w1').calls, ...at('w2').calls]
      call.answer(call.row.map((value) => -2 * value))
      await given
      await clock.run(clock.now() + 10)
    }
    return { ...own, held }
  }

  it('gives no recovery that a liar’s answers taught, which nobody could recall', async () => {
    const { predictor, clock } = await taught(0.001)
    const late = predictor.predict(Float32Array.of(Math.sin(0.5), Math.cos(0.5)), { deadlineMs: 100 })
    const told = late.then(({ status, output }) => [status, ...output.y.data], ({ code }) => code) // biome-ignore format: one line
    await clock.run(clock.now() + 1000)
    expect([predictor.stats().memoryPairs, await told]).toEqual([0, 'DEADLINE'])
    await predictor.close()
  })

  it('learns of audits what the anchor says', async () => {
    const { predictor, at, clock } = await taught(0.1)
    while (at('w0').calls.length) {
      at('w0').calls[0].answer()
      await turn()
      await clock.run(clock.now() + 10)
    }
    expect(predictor.stats().memoryPairs).toBeGreaterThan(5)
    await predictor.close()
  })
})
