/** An open fleet whose trusted worker hangs, and nobody restarts it. */

import { createPredictor } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from '../shared/hand-predictor'

describe('an open fleet whose trusted worker hangs', () => {
  /** A believed stranger, and a query that hangs at a trusted worker, for a while yet or for as long as it takes to be called hung. */
  async function hanging(...others: string[]) {
    const clock = new VirtualClock()
    const warnings: string[] = []
    const [own, ...more] = ['own', ...others].map((name) => Object.assign(new HandWorker(name), { trusted: true, restart: undefined })) // biome-ignore format: one line
    const infer = own.infer.bind(own)
    own.infer = (query) => infer(query) // an abort does not end it
    const a = new HandWorker('a')
    const predictor = await createPredictor({
      workers: [own, ...more, a],
      verify: { trust: 'open', integrity: 0.5 }, // two right answers are enough
      testing: { clock, coin: () => 1 - 1e-9 },
      right: 'label',
      hangMs: 1000,
      hedge: false, // answers that take no time would have the query that hangs asked again at once
      deadlineMs: 60_000,
      onWarning: (text) => warnings.push(text),
    })
    const answerAll = async () => {
      for (const worker of [...more, a, own]) worker.calls[0]?.answer()
      await turn()
    }
    for (let i = 0; i < 3; i++) {
      const given = predictor.predict(Float32Array.of(i, 1))
      await turn()
      await answerAll()
      await given
    }
    for (let i = 0; !own.calls.length; i++) predictor.predict(Float32Array.of(10 + i, 1)).catch(() => {})
    await turn()
    for (const worker of [...more, a]) worker.calls[0]?.answer()
    await turn()
    const ask = async (x: number) => {
      const given = predictor.predict(Float32Array.of(x, 1))
      await turn()
      for (const worker of [...more, a]) worker.calls[0]?.answer()
      await turn()
      return given
    }
    return { clock, warnings, own, a, predictor, ask }
  }

  it('says so once, and which one; what is asked meanwhile is answered when it is heard of', async () => {
    const { clock, warnings, own, predictor, ask } = await hanging()
    for (let i = 0; i < 10; i++) ask(20 + i).catch(() => {}) // strangers are behind with their checks
    await turn()
    expect(warnings).toEqual([])
    await clock.run(1100)
    expect(warnings).toEqual([expect.stringMatching(/no trusted worker answers \(own hung for 1000 ms\).*until one does/)]) // biome-ignore format: one line
    const given = predictor.predict(Float32Array.of(92, 1))
    await clock.run(5000)
    for (let i = 0; i < 30; i++) {
      own.calls[0]?.answer()
      await turn()
    }
    expect(await given).toMatchObject({ workers: ['own'], status: 'exact' })
    await predictor.close()
    expect(warnings.length).toBe(1)
  })

  it('goes on where another one answers', async () => {
    const { clock, warnings, predictor, ask } = await hanging('other')
    await clock.run(1100)
    for (let i = 0; i < 20; i++) {
      const { status, workers } = await ask(20 + i)
      expect([status, ...workers]).toEqual(workers[0] === 'a' ? ['audited', 'a'] : ['exact', 'other'])
    }
    await predictor.close()
    expect(warnings).toEqual([])
  })
})
