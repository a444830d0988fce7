/** Sampled verification as a predictor offers it: what it takes, whom it waits for, and who comes back. */

import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Changes } from '../../src/workers/remote/changes'
import type { Change } from '../../src/workers/worker'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { recalls, together, verdicts } from '../shared/heard-events'
import { until } from '../shared/waiting'

const lie = Float32Array.of(-9, 9)
const own = (name: string) => Object.assign(new HandWorker(name), { trusted: true })
const sampled = { mode: 'sampled', rate: 1 } as const

/** A fleet that grows, and what its predictor is told. */
function growing(options: PredictorOptions = {}) {
  const changes = new Changes<Change>({ onReturn() {} })
  const [onWarning, onVerdict, onRecall] = [vi.fn(), vi.fn(), vi.fn()]
  const clock = new VirtualClock()
  const made = createPredictor({ workers: changes, verify: sampled, testing: { clock }, hedge: { budget: 0 }, onWarning, onEvent: together(verdicts(onVerdict), recalls(onRecall)), ...options }) // biome-ignore format: one line
  const add = async (worker: ModelWorker) => {
    changes.push({ add: worker })
    await turn()
  }
  return { changes, made, add, clock, onWarning, onVerdict, onRecall }
}

describe('options', () => {
  const workers = () => [own('w0'), new HandWorker('w1')]
  const bad: [string, PredictorOptions, RegExp][] = [
    ['mode', { verify: { mode: 'some' as never } }, /^verify\.mode: expected 'every' \| 'sampled', got "?'?some/],
    ['rate', { verify: { mode: 'sampled', rate: 0 } }, /^verify\.rate: expected a number above 0, up to 1, got 0$/],
    [
      'rate',
      { verify: { mode: 'sampled', rate: 1.1 } },
      /^verify\.rate: expected a number above 0, up to 1, got 1\.1$/,
    ],
    ['rate', { verify: { rate: 0.1 } }, /^verify\.rate: expected none without verify\.mode 'sampled', got 0\.1$/],
    ['byzantine', { verify: sampled, scheme: { queries: 1, byzantine: 1 } }, /^scheme\.byzantine: expected 0 with verify\.mode 'sampled', got 1$/], // biome-ignore format: one line
    ['the paper’s code', { verify: sampled, scheme: { preset: 'aaai22', queries: 2 } }, /^scheme: expected the systematic code with verify\.mode 'sampled', got /], // biome-ignore format: one line
    ['audit', { verify: { ...sampled, audit: 0.1 } }, /^verify\.audit: expected none, .*verify\.rate.*, got 0\.1$/],
    ['maxError', { verify: sampled, reuse: { maxError: 0.01 } }, /^reuse\.maxError: expected none with verify\.mode 'sampled', got 0\.01$/], // biome-ignore format: one line
  ]

  it.each(bad)('%s that cannot be is refused with field, expected, got', async (_, options, message) => {
    await expect(createPredictor({ workers: workers(), ...options })).rejects.toThrow(message)
  })

  it('workers of which none is the user’s own are refused; one will do', async () => {
    const strangers = [new HandWorker('w0'), new HandWorker('w1')]
    const message = /^workers: expected one at least that is yours \(trusted\), .*, got none of 2$/
    await expect(createPredictor({ workers: strangers, verify: sampled })).rejects.toThrow(message)
    await (await createPredictor({ workers: workers(), verify: sampled })).close()
  })

  it.each<[string, PredictorOptions]>([
    ['byzantine', { scheme: { queries: 1, byzantine: 1 } }],
    ['sampled', { verify: sampled }],
    ['open', { verify: { trust: 'open' } }],
  ])('workers in a list in whose names others can speak are refused: %s', async (_, options) => {
    const listed = [...workers(), Object.assign(new HandWorker('w9'), { signed: false })]
    const message = `workers[${listed.length - 1}].signed: expected true, since some may lie, got false`
    await expect(createPredictor({ workers: listed, ...options })).rejects.toThrow(message)
    await (await createPredictor({ workers: listed })).close()
  })

  it('a model that does not answer the same twice is refused', async () => {
    const odd = workers().map((worker) => Object.assign(worker, { repeats: false }))
    await expect(createPredictor({ workers: odd, verify: sampled })).rejects.toThrow(/^verify\.mode: expected 'every', got .*sampled/) // biome-ignore format: one line
  })
})

describe('a fleet that grows', () => {
  it('is waited for until one of it is the user’s own, which a warning says', async () => {
    const { made, add, clock, onWarning } = growing()
    await add(new HandWorker('w0'))
    await add(new HandWorker('w1'))
    await until(() => clock.pending > 0) // what follows changes is loaded
    await turn()
    await clock.run(10_000)
    expect(await settled(made)).toBe('open')
    expect(onWarning.mock.calls.flat().join()).toMatch(/waits for workers: 2 of the 1 workers, one of them yours \(trusted\)/) // biome-ignore format: one line
    await add(own('w2'))
    await (await made).close()
  })

  it('takes nobody in whose name others can speak', async () => {
    const { made, add, onWarning } = growing()
    await add(own('w0'))
    const predictor = await made
    await add(Object.assign(new HandWorker('w1'), { signed: false }))
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(['w0'])
    expect(onWarning.mock.calls.flat().join()).toMatch(/w1: key: expected one, since some may lie/)
    await predictor.close()
  })

  it('convicts one that has left, and keeps it out when it comes back by another name', async () => {
    const { made, add, changes, onVerdict, onRecall } = growing()
    const [anchor, liar] = [own('w0'), Object.assign(new HandWorker('w1'), { identity: 'key' })]
    await add(anchor)
    const predictor = await made
    await add(liar)
    const both = [predictor.predict(query(1)), predictor.predict(query(2))]
    await turn()
    liar.calls[0].answer(lie)
    await turn()
    changes.push({ remove: 'w1' })
    await turn()
    for (let i = 0; i < 3; i++) {
      anchor.calls[0]?.answer()
      await turn()
    }
    const ids = (await Promise.all(both)).flatMap(({ id }) => id ?? [])
    expect(onVerdict.mock.calls[0][0]).toMatchObject({ worker: 'w1', identity: 'key', kind: 'ejected' })
    expect(onRecall.mock.calls).toEqual([
      [{ worker: 'w1', identity: 'key', ids, times: ids.map(() => expect.any(Number)) }],
    ])
    const again = Object.assign(new HandWorker('w2'), { identity: 'key' })
    await add(again)
    const asked = [3, 4, 5].map((x) => predictor.predict(query(x)))
    await turn()
    expect(again.calls.length).toBe(0)
    for (let i = 0; i < 3; i++) {
      anchor.calls[0].answer()
      await turn()
    }
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(['exact', 'exact', 'exact'])
    await predictor.close()
  })

  it('audits nothing of a model that was replaced: nobody is convicted of it, and what it gave is recalled still', async () => {
    const { made, add, changes, clock, onVerdict, onRecall } = growing()
    const [anchor, other] = [own('w0'), new HandWorker('w1')]
    await add(anchor)
    const predictor = await made
    await add(other)
    const ask = async (answer?: Float32Array) => {
      const both = [predictor.predict(query(1)), predictor.predict(query(2))]
      await turn()
      other.calls[0].answer(answer)
      anchor.calls[0].answer()
      return Promise.all(both)
    }
    const first = await ask(Float32Array.of(4, 2)) // right by its model
    expect(anchor.calls.length).toBe(1)
    changes.push({ model: 'next' })
    await clock.run(10)
    for (let i = 0; i < 4; i++) {
      anchor.calls[0]?.answer(Float32Array.of(-4, 2))
      await turn()
    }
    expect(onVerdict).not.toHaveBeenCalled()
    const second = await ask(lie)
    for (let i = 0; i < 4; i++) {
      anchor.calls[0]?.answer()
      await turn()
    }
    const ids = [...first, ...second].flatMap(({ id }) => id ?? [])
    expect(onRecall.mock.calls).toEqual([
      [{ worker: 'w1', identity: 'w1', ids, times: ids.map(() => expect.any(Number)) }],
    ])
    await predictor.close()
  })
})

it('an answer that came when its worker had been told to leave is recalled, too, once that machine is convicted', async () => {
  const { made, changes, add, onRecall } = growing()
  const [anchor, leaving] = [own('w0'), Object.assign(new HandWorker('m1 before'), { identity: 'm1' })]
  await add(anchor)
  await add(leaving)
  const predictor = await made
  const both = [predictor.predict(query(1)), predictor.predict(query(2))]
  await turn()
  changes.push({ drain: leaving.name })
  await turn()
  leaving.calls[0].answer(lie)
  anchor.calls[0].answer()
  const ids = (await Promise.all(both)).flatMap(({ id }) => id ?? [])
  await turn()
  anchor.calls[0].answer() // the audit
  await turn()
  expect(ids.length).toBe(1)
  expect(onRecall.mock.calls).toEqual([[expect.objectContaining({ identity: 'm1', ids })]])
  await predictor.close()
})

it('threads of one’s own are anchors', async () => {
  const model = new URL('../../models/mnist-lenet.onnx', import.meta.url)
  const predictor = await createPredictor({ model, workers: 1, verify: { mode: 'sampled' }, onWarning() {} })
  const { status, id } = await predictor.predict(new Float32Array(784))
  expect([status, id]).toEqual(['exact', undefined])
  await predictor.close()
})

describe('a group that is recovered from', () => {
  /** Twenty groups of which one answer is late; what they taught of how often recoveries are right. */
  async function learned(own: number) {
    const clock = new VirtualClock()
    const workers = Array.from({ length: 5 }, (_, i) => Object.assign(new HandWorker(`w${i}`), { trusted: i < own }))
    const scheme = { queries: 4, stragglers: 1 }
    const predictor = await createPredictor({ workers, scheme, policy: 'recover', hedge: { budget: 0 }, right: 'label', verify: { mode: 'sampled', rate: 0.01 }, testing: { clock, coin: () => 0 } }) // biome-ignore format: one line
    let recovered = 0
    /** All answer what they have, and get for that, but for one call. */
    const serve = async (late?: unknown) => {
      for (let open = true; open; await clock.run(clock.now() + 10)) {
        const calls = workers.flatMap((worker) => worker.calls).filter((call) => call !== late)
        open = calls.length > 0
        for (const call of calls) call.answer()
      }
    }
    for (let group = 0; group < 20; group++) {
      const asked = [1, 2, 3, 4].map((x) => predictor.predict(query(x + group / 10)).catch(() => ({ status: 'none' })))
      await clock.run(clock.now() + 20) // it closes, and a parity follows
      await serve(workers[group % 4].calls[0])
      await clock.run(clock.now() + 300)
      await serve()
      for (const { status } of await Promise.all(asked)) recovered += Number(status === 'recovered')
      await clock.run(clock.now() + 200)
    }
    const state = new TextDecoder().decode(await predictor.save())
    await predictor.close()
    const [, outcomes] = /"outcomes":\{"code":(\[.*?\]),"memory"/.exec(state) as RegExpExecArray
    return { recovered, outcomes: JSON.parse(outcomes) }
  }

  it('teaches nothing of others’ recoveries where strangers, who may have lied, answered some of it', async () => {
    const [all, one] = [await learned(5), await learned(1)]
    expect([all.recovered, one.recovered].every((count) => count > 1)).toBe(true)
    expect(all.outcomes.length).toBe(48)
    expect(one.outcomes.length).toBe(3) // its own worker's late answers graded them
  })
})
