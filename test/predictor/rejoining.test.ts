/** A worker that leaves and comes back under its own name. */

import { ApproxiferError, type Change, createPredictor } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Evidence } from '../../src/trust/evidence'
import { HandWorker, query, turn } from '../shared/hand-predictor'
import { add, answerAll, open } from '../shared/joining-workers'
import { MoodyWorker } from '../shared/troubled-worker'
import { listOf } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a name that comes back', () => {
  it('of those that left only what is held against them is kept, of so many', () => {
    const evidence = new Evidence()
    for (let i = 0; i < 3000; i++) {
      for (const name of [`liar ${i}`, `honest ${i}`]) {
        evidence.join(name)
        evidence.proven(name)
        if (name.startsWith('l')) evidence.lied(name)
        evidence.leave(name)
      }
    }
    expect(evidence.workers.length).toBe(1000)
    expect([evidence.isTrusted('liar 2999'), evidence.isTrusted('liar 0'), evidence.isTrusted('honest 2999')]).toEqual([false, true, true]) // biome-ignore format: one line
  })

  it('what one that left taught can be forgotten', async () => {
    const options = { scheme: { queries: 1, stragglers: 1 }, policy: 'auto' as const }
    const { predictor, workers, clock, tell } = await open(['a', 'b', 'c'], options)
    for (let i = 0; i < 40; i++) {
      const given = predictor.predict(query(i))
      await turn()
      await clock.run(clock.now() + 6)
      await answerAll(workers)
      await given
    }
    const { memoryPairs } = predictor.stats()
    await tell({ remove: 'a' })
    predictor.forget('a')
    await clock.run(clock.now() + 100)
    expect(predictor.stats().memoryPairs).toBeLessThan(memoryPairs)
    await predictor.close()
  })

  /** Workers that answer at once; the liars' answers are wrong. */
  class Honest extends MoodyWorker {
    lies = false
    override async infer(query: TensorList): Promise<TensorList> {
      const answer = await super.infer(query)
      return this.lies ? listOf((answer[0].data as Float32Array).map((x) => x + 5)) : answer
    }
  }

  async function ejected() {
    const clock = new VirtualClock()
    const feed = new Feed()
    const workers = [0, 1, 2, 3, 4].map((i) => new Honest(i, clock, seeded(i)))
    feed.tell(...workers.map(add))
    const scheme = { queries: 1, stragglers: 1, byzantine: 1 }
    const predictor = await createPredictor({
      workers: feed,
      testing: { clock },
      scheme,
      memory: false,
      onWarning: () => {},
    })
    await clock.run()
    workers[0].lies = true
    const ask = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const given = predictor.predict(Float32Array.of(i, 1))
        await clock.run()
        expect((await given).status).toBe('exact')
      }
    }
    const of = (name: string) => predictor.stats().workers.find(({ worker }) => worker === name)
    while (!of('w0')?.ejections) await ask(1)
    expect(of('w0')).toMatchObject({ ejections: 1, rightAnswersLeft: expect.toSatisfy((left) => left > 0) })
    return { clock, feed, predictor, ask, of }
  }

  it('who was ejected and comes back under its name is ejected as before, and can end it', async () => {
    const { clock, feed, predictor, ask, of } = await ejected()
    feed.tell({ remove: 'w0' })
    await ask(5)
    expect(of('w0')).toBeUndefined()
    const again = new Honest(0, clock, seeded(9))
    feed.tell(add(again))
    await clock.run()
    expect(of('w0')).toMatchObject({ ejections: 1, onTime: 0, rightAnswersLeft: expect.toSatisfy((left) => left > 0) })
    await ask(10)
    expect(of('w0')?.onTime).toBe(0)
    await ask(60)
    expect(of('w0')).toMatchObject({ ejections: 1, rightAnswersLeft: 0 })
    await ask(20)
    expect(of('w0')?.onTime).toBeGreaterThan(0)
    await predictor.close()
  })

  it('the paper’s scheme: a group that still fills is none the worse for a worker that leaves', async () => {
    const scheme = { queries: 2, stragglers: 1, byzantine: 1, preset: 'aaai22' as const }
    const names = Array.from({ length: 12 }, (_, i) => `w${i}`)
    const { predictor, workers, clock, tell } = await open(names, { scheme, policy: undefined as never })
    const given = [1, 2, 1, 2, 1, 2, 1].map((x) => predictor.predict(query(x))) // the last group has one
    await tell({ remove: 'w0' })
    await clock.run(clock.now() + 6)
    await answerAll(workers)
    expect((await Promise.all(given)).length).toBe(7)
    await predictor.close()
  })

  it('what is told of a worker after it has left is not held against the next of its name', async () => {
    const scheme = { queries: 1, stragglers: 1, byzantine: 1 }
    const { predictor, workers, tell } = await open(['a', 'b', 'c', 'd'], { scheme, policy: undefined as never })
    const given = predictor.predict(query(1))
    const at = workers.find(({ calls }) => calls.length) as HandWorker
    await tell({ drain: at.name })
    at.calls[0].fail(new ApproxiferError('WORKER', 'shut down'))
    await turn()
    const again = new HandWorker(at.name)
    await tell(add(again))
    await answerAll([...workers, again])
    expect((await given).status).toBe('exact')
    expect(predictor.stats().workers.map(({ silent }) => silent)).toEqual([0, 0, 0, 0])
    await predictor.close()
  })

  it('a worker that is ejected can be drained and removed, also while it is on trial', async () => {
    for (const how of ['remove', 'drain'] as const) {
      const { clock, feed, predictor, ask, of } = await ejected()
      const given = predictor.predict(Float32Array.of(1, 1)) // its proof goes to the one that is on trial as well
      feed.tell({ [how]: 'w0' } as Change)
      await clock.run()
      expect((await given).status).toBe('exact')
      expect(of('w0')).toBeUndefined()
      await ask(5)
      await predictor.close()
    }
  })
})
