/** A fleet that anybody may join. */

import { ApproxiferError, createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { type Figures, type Job, simulate } from '../../bench/liars/sybils-run'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from '../shared/hand-predictor'
import { recalls, together, verdicts } from '../shared/heard-events'
import { add, code, message } from '../shared/joining-workers'
import { Feed } from '../shared/worker-changes'

const random = seeded(5)
const answers = Array.from({ length: 300 }, () => Float32Array.from({ length: 10 }, () => random.gauss()))
const usual = {
  ...{ answers, honest: 8, queries: 4000, seed: 1, sybils: 3, rejoin: false, honestFor: 0, lying: 1 },
  ...{ seen: 'lie', options: { verify: { trust: 'open' } } },
} satisfies Job
const run = (job: Partial<Job>): Promise<Figures> => simulate({ ...usual, ...job })
/** Few right answers make a worker believed. */
const soon: PredictorOptions = { verify: { trust: 'open', integrity: 0.98 } }

describe('three colluding tabs of twelve that rejoin each second under new names', () => {
  const tabs = { rejoin: true, sybils: 3 }

  it('have wrong answers proven where one may lie, since there are three', async () => {
    const options = { scheme: { queries: 1, byzantine: 1 }, verify: { integrity: 1 }, memory: false as const }
    const { wrong, statuses, honestConvicted } = await run({ ...tabs, options })
    expect(Object.keys(statuses)).toEqual(['exact'])
    expect(wrong).toBeGreaterThan(20)
    expect(honestConvicted).toBeGreaterThan(0)
  })

  it('have none given in an open fleet, and nobody honest convicted', async () => {
    expect(await run({ ...tabs, options: soon })).toMatchObject({
      ...{ given: 4000, wrong: 0, failed: 0, honestConvicted: 0 },
    })
  })
})

describe('colluding strangers', () => {
  it('that are honest until they are believed have no more wrong answers given than is said, whatever their number', async () => {
    for (const sybils of [1, 5, 20]) {
      const total = { given: 0, wrong: 0, caught: 0 }
      for (const seed of [1, 2, 3]) {
        const options = { ...soon, verify: { ...soon.verify, integrity: 0.95 } }
        const ended = await run({ sybils, seed, queries: 10_000, honestFor: 100, options, seen: 'honest' })
        expect([ended.honestConvicted, ended.failed]).toEqual([0, 0])
        total.given += ended.given
        total.wrong += ended.wrong
        total.caught += ended.convicted
      }
      expect(total.wrong).toBeLessThanOrEqual(0.05 * total.given)
      expect(total.caught).toBeGreaterThan(0)
    }
  })

  it('never have one query between two of them', async () => {
    expect(await run({ sybils: 9, options: soon, lying: 0 })).toMatchObject({ shared: 0, wrong: 0, failed: 0 })
  })

  it('that stay silent do not keep others from their quizzes', async () => {
    const [alone, beside] = [await run({ sybils: 0, options: soon }), await run({ sybils: 20, options: soon, honestFor: 20, seen: 'silent' })] // biome-ignore format: one line
    expect(beside.goodput).toBeGreaterThan(0.8 * alone.goodput)
  })
})

describe('strangers that lie where a query is new, as its content tells', () => {
  // A quiz is older than a query by an inference at least; from 5 callers no query waits.
  const dated = { sybils: 5, honestFor: 300, newerMs: 5, callers: 5, seen: 'honest' } as const

  it('have no more wrong answers given than is said', async () => {
    const total = { given: 0, wrong: 0, caught: 0 }
    for (const seed of [1, 2, 3]) {
      const options = { ...soon, verify: { ...soon.verify, integrity: 0.99 } }
      const { given, wrong, convicted, honestConvicted, failed } = await run({
        ...dated,
        seed,
        queries: 10_000,
        options,
      })
      expect([honestConvicted, failed]).toEqual([0, 0])
      for (const [key, count] of Object.entries({ given, wrong, caught: convicted })) total[key as 'given'] += count
    }
    expect(total.wrong).toBeLessThanOrEqual(0.01 * total.given) // 589 of 30,000 where they had quizzes, 40 where their queries are checked
    expect(total.caught).toBeGreaterThan(0)
  })
})

it('strangers have no more wrong answers given where the trusted worker fails on half of what it is asked', async () => {
  const total = { given: 0, wrong: 0, failed: 0 }
  for (const seed of [1, 2, 3]) {
    const options = { ...soon, verify: { ...soon.verify, integrity: 0.99 } }
    const job = { sybils: 5, honestFor: 300, seen: 'honest', failing: 0.5, seed, queries: 10_000, options } as const
    const { given, wrong, failed, honestConvicted } = await run(job)
    expect(honestConvicted).toBe(0)
    for (const [key, count] of Object.entries({ given, wrong, failed })) total[key as 'given'] += count
  }
  expect(total.wrong).toBeLessThanOrEqual(0.01 * total.given)
})

describe('a believed stranger’s answer that is checked', () => {
  /** Its worker is believed, and has a query. @param coin  0: that is checked; near 1: it is not */
  async function checked(coin = 0) {
    const coins = { value: 1 - 1e-9 }
    const own = Object.assign(new HandWorker('own'), { trusted: true })
    const stranger = new HandWorker('a')
    const judged: string[] = []
    const recalled: { worker: string; ids: readonly number[] }[] = []
    const predictor = await createPredictor({
      workers: [own, stranger],
      verify: { trust: 'open', integrity: 0.5 }, // two right answers are enough
      testing: { clock: new VirtualClock(), coin: () => coins.value },
      right: 'label',
      onEvent: together(
        verdicts(({ worker, kind }) => judged.push(`${worker} ${kind}`)),
        recalls(({ worker, ids }) => recalled.push({ worker, ids })),
      ),
      onWarning() {},
    })
    for (let i = 0; i < 3; i++) {
      const given = predictor.predict(Float32Array.of(i, 1))
      await turn()
      own.calls[0].answer()
      stranger.calls[0]?.answer()
      await given
    }
    await turn()
    coins.value = coin
    const other = predictor.predict(Float32Array.of(10, 1))
    await turn()
    const given = predictor.predict(Float32Array.of(20, 1))
    given.catch(() => {})
    await turn()
    expect([own, stranger].map(({ calls }) => calls.map(({ row }) => row[0]))).toEqual([[10], [20]])
    own.calls[0].answer()
    await other
    await turn()
    // Friends could tell from what they get that the trusted worker is busy.
    expect(own.calls).toEqual([])
    return {
      predictor,
      own,
      stranger,
      call: stranger.calls[0],
      given,
      other,
      verdicts: judged,
      recalls: recalled,
      coins,
    }
  }
  const state = async (given: Promise<unknown>) => Promise.race([given.then(() => 'given'), turn().then(() => 'waits')])

  it('is not given, and convicts it where it is a lie', async () => {
    const { predictor, own, call, given, verdicts } = await checked()
    call.answer(Float32Array.of(2, 40))
    expect(await state(given)).toBe('waits')
    expect(own.calls[0].row[0]).toBe(20)
    own.calls[0].answer()
    expect(await given).toMatchObject({ workers: ['own'], status: 'exact', output: { y: { data: Float32Array.of(40, 2) } } }) // biome-ignore format: one line
    expect(verdicts).toEqual(['a ejected'])
    await predictor.close()
  })

  it('counts for it where it is right', async () => {
    const { predictor, own, call, given } = await checked()
    call.answer()
    await turn()
    own.calls[0].answer()
    expect(await given).toMatchObject({ workers: ['own'] })
    expect(predictor.stats().workers[1]).toMatchObject({ proven: 3, lies: 0 }) // two quizzes and this
    await predictor.close()
  })

  it('and one that is not: it is given as audited, with its credibility and an id; a trusted worker’s is exact', async () => {
    const { predictor, call, given, other } = await checked(1 - 1e-9)
    call.answer()
    const { id, confidence, status, workers } = await given
    expect([status, workers, confidence, Number.isSafeInteger(id)]).toEqual(['audited', ['a'], 0.5, true]) // of two right ones
    expect(await other).toMatchObject({ status: 'exact', confidence: 1, id: undefined })
    expect(predictor.stats()).toMatchObject({ audited: 1, exact: 4, recalled: 0 })
    await predictor.close()
  })

  it.each([
    ['lies later, and is convicted', Float32Array.of(2, 60), 'a ejected'],
    ['deviates later, and is believed no more', Float32Array.of(60 * 1.001, 2), 'a deviant'],
  ])('and one that is not, of one that %s: it is recalled', async (_, answer, verdict) => {
    const { predictor, own, stranger, call, given, verdicts, recalls, coins } = await checked(1 - 1e-9)
    call.answer()
    const { id } = await given
    coins.value = 0
    const both = [predictor.predict(Float32Array.of(30, 1)), predictor.predict(Float32Array.of(30, 1))]
    await turn()
    own.calls[0].answer()
    stranger.calls[0].answer(answer)
    await turn()
    own.calls[0].answer() // the check
    for (const each of await Promise.all(both)) expect(each).toMatchObject({ status: 'exact', workers: ['own'] })
    expect([verdicts, recalls]).toEqual([[verdict], [{ worker: 'a', ids: [id] }]])
    expect(predictor.stats().recalled).toBe(1)
    await predictor.close()
  })

  it('is not given either where no trusted worker has an answer', async () => {
    const { predictor, own, call, given } = await checked()
    call.answer()
    await turn()
    own.calls[0].fail(new ApproxiferError('WORKER', 'out of memory'))
    await turn()
    expect(own.calls.length).toBe(1) // once more
    own.calls[0]?.fail(new ApproxiferError('WORKER', 'out of memory'))
    expect(await message(given)).toContain('out of memory')
    await predictor.close()
  })
})

describe('a query that a stranger refuses', () => {
  /** Two believed strangers, one of which has a query, while the trusted worker is at work on another. */
  async function refusing() {
    const own = Object.assign(new HandWorker('own'), { trusted: true })
    const strangers = [new HandWorker('a'), new HandWorker('b')]
    const all = [own, ...strangers]
    const clock = new VirtualClock()
    const predictor = await createPredictor({
      workers: all,
      verify: { trust: 'open', integrity: 0.5 },
      testing: { clock, coin: () => 1 - 1e-9 },
      ...{ right: 'label', hedge: false, policy: 'retry', onWarning() {} },
    })
    for (let i = 0; predictor.stats().workers.some(({ worker, proven }) => worker !== 'own' && proven < 2); i++) {
      expect(i).toBeLessThan(100)
      const given = predictor.predict(Float32Array.of(i, 1))
      await turn()
      for (let n = 0; n < 3; n++) {
        for (const { calls } of all) calls[0]?.answer()
        await turn()
      }
      await given
    }
    predictor.predict(Float32Array.of(10_000, 1)).catch(() => {})
    await turn()
    const given = predictor.predict(Float32Array.of(20_000, 1))
    await turn()
    const has = (worker: HandWorker) => worker.calls.map(({ row }) => row[0])
    expect(has(own)).toEqual([10_000])
    const [seer, other] = has(strangers[0]).includes(20_000) ? strangers : strangers.reverse()
    const refuse = async () => {
      seer.calls.find(({ row }) => row[0] === 20_000)?.fail(new ApproxiferError('OVERLOADED', 'no room'))
      await turn()
    }
    expect(has(seer)).toContain(20_000)
    await refuse()
    return { predictor, clock, own, seer, other, given, has, refuse }
  }

  it('is no other stranger’s: he could be told by the first what becomes of it', async () => {
    const { predictor, own, other, given, has } = await refusing()
    expect(has(other)).not.toContain(20_000)
    own.calls[0].answer()
    await turn()
    expect(has(own)).toEqual([20_000])
    own.calls[0].answer()
    expect(await given).toMatchObject({ status: 'exact', workers: ['own'] })
    await predictor.close()
  })

  it('is that stranger’s again where it has room before a trusted worker has', async () => {
    const { predictor, clock, seer, other, given, has, refuse } = await refusing()
    for (let i = 0; i < 3; i++) {
      await clock.run(clock.now() + 200)
      expect([has(seer).includes(20_000), has(other).includes(20_000)]).toEqual([true, false])
      if (i < 2) await refuse()
    }
    seer.calls.find(({ row }) => row[0] === 20_000)?.answer()
    expect(await given).toMatchObject({ status: 'audited', workers: [seer.name] })
    await predictor.close()
  })
})

it('a trusted worker that is drained with a query has its answer given', async () => {
  const [feed, clock] = [new Feed(), new VirtualClock()]
  const own = ['own', 'other'].map((name) => Object.assign(new HandWorker(name), { trusted: true }))
  feed.tell(...own.map(add))
  const predictor = await createPredictor({ workers: feed, testing: { clock }, verify: { trust: 'open' } })
  await turn()
  const given = predictor.predict(Float32Array.of(1, 2))
  await turn()
  const [asked] = own.filter(({ calls }) => calls.length)
  feed.tell({ drain: asked.name })
  await turn()
  asked.calls[0].answer()
  expect(await given).toMatchObject({ workers: [asked.name], status: 'exact' })
  await predictor.close()
})

describe('honest strangers', () => {
  it('come to answer nearly all, for few inferences more, and nobody is convicted', async () => {
    const { own, later, given, honestConvicted } = await run({ sybils: 0, queries: 20_000, options: soon })
    expect([given, honestConvicted]).toEqual([20_000, 0])
    expect(own / given).toBeLessThan(0.25)
    expect(later).toBeLessThan(1.1)
  })
})

describe('an open fleet', () => {
  /** A predictor that these workers have joined; those of the name `own` are trusted. */
  async function open(...names: string[]) {
    const [feed, clock, warnings] = [new Feed(), new VirtualClock(), [] as string[]]
    const workers = names.map((name) => Object.assign(new HandWorker(name), { trusted: name.startsWith('own') }))
    feed.tell(...workers.map(add))
    const onWarning = (text: string) => warnings.push(text)
    const predictor = await createPredictor({ workers: feed, testing: { clock }, verify: { trust: 'open' }, onWarning })
    await turn()
    return { feed, clock, warnings, workers, predictor }
  }

  it('without a trusted worker says so, and answers nothing', async () => {
    const { predictor, warnings } = await open('a', 'b', 'c')
    expect(warnings).toEqual([expect.stringContaining('no worker is `trusted`')])
    const given = predictor.predict(Float32Array.of(1, 2))
    expect(await message(given)).toContain('no worker may take a query')
    expect(await code(given)).toBe('WORKER')
    await predictor.close()
  })

  it('answers as soon as a trusted worker joins, and asks nobody else', async () => {
    const { predictor, workers, feed } = await open('a')
    const own = Object.assign(new HandWorker('own'), { trusted: true })
    feed.tell(add(own))
    await turn()
    const given = predictor.predict(Float32Array.of(1, 2))
    await turn()
    expect([own.calls.length, workers[0].calls.length]).toEqual([1, 0])
    own.calls[0].answer()
    expect(await given).toMatchObject({ status: 'exact', confidence: 1, workers: ['own'] })
    await predictor.close()
  })

  it('says when its last trusted worker has left', async () => {
    const { predictor, feed, warnings } = await open('own', 'a')
    expect(warnings).toEqual([])
    feed.tell({ remove: 'own' })
    await turn()
    expect(warnings).toEqual([expect.stringContaining('no worker is `trusted`')])
    await predictor.close()
  })

  it('takes no options that rest on how many lie, or keep what was answered', async () => {
    const workers = [new HandWorker('a')]
    const wrong = async (options: PredictorOptions) =>
      createPredictor({ workers, verify: { trust: 'open' }, ...options })
    await expect(wrong({ scheme: { queries: 1, byzantine: 1 } })).rejects.toThrow("scheme.byzantine: expected 0 with verify.trust 'open', got 1") // biome-ignore format: one line
    await expect(wrong({ scheme: { queries: 2, stragglers: 1 } })).rejects.toThrow('scheme: expected none')
    await expect(wrong({ rollout: {} })).rejects.toThrow('rollout: expected none')
    await expect(wrong({ policy: 'auto' })).rejects.toThrow("policy: expected 'retry'")
    await expect(wrong({ memory: {} })).rejects.toThrow('memory.bytes: expected 0')
    await expect(wrong({ reuse: { exact: true } })).rejects.toThrow('reuse: expected none')
    await expect(wrong({ verify: { trust: 'ajar' as 'open' } })).rejects.toThrow('verify.trust')
  })
})
