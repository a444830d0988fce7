/** Equal queries share answers and inferences; nobody gets what is another tenant's, or another model's. */

import { describe, expect, it, vi } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, turn } from '../shared/hand-predictor'

/** Workers that answer when they are told to, in made time. */
async function house(options: Partial<PredictorOptions> = {}, count = 2) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  const onWarning = vi.fn()
  const predictor = await createPredictor({
    ...{
      workers,
      reuse: { exact: true },
      testing: { clock, coin: () => 1 },
      onWarning,
      hedge: { budget: 0 },
      verify: { audit: 0 },
    },
    ...options,
  })
  const calls = () => workers.reduce((sum, { calls }) => sum + calls.length, 0)
  const answer = async (values = [1, 2]) => {
    for (const { calls } of workers) calls[0]?.answer(Float32Array.from(values))
    await turn()
  }
  return { clock, workers, predictor, calls, answer, onWarning }
}

describe('equal queries, one after the other', () => {
  it('are answered by what was answered, to the bit, and nobody is asked', async () => {
    const { predictor, calls, answer } = await house()
    const first = predictor.predict(query(1))
    await answer()
    const one = await first
    one.output.y.data.fill(9) // the caller's own
    const two = await predictor.predict(query(1))
    expect([calls(), two.status, two.reused, [...two.output.y.data]]).toEqual([0, 'exact', true, [1, 2]])
    expect([one.reused, predictor.stats().reused, predictor.stats().exact]).toEqual([undefined, 1, 2])
    void predictor.predict(query(2)).catch(() => {})
    await turn()
    expect(calls()).toBe(1)
    await predictor.close()
  })

  it('of another tenant, or after the tenant was forgotten, are asked', async () => {
    const { predictor, calls, answer } = await house({ limits: { tenants: 3 } }, 3)
    const first = predictor.predict(query(1), { tenant: 'a' })
    await answer()
    await first
    for (const [tenant, open] of [
      ['b', 1],
      ['a', 1],
    ] as const) {
      // biome-ignore format: one line
      predictor.predict(query(1), { tenant }).catch(() => {})
      await turn()
      expect(calls()).toBe(open)
    }
    predictor.forgetTenant('a')
    predictor.predict(query(1), { tenant: 'a' }).catch(() => {})
    await turn()
    expect(calls()).toBe(2)
    await predictor.close()
  })

  it('are asked again when the worker of the answer was wrong', async () => {
    const { predictor, calls, answer } = await house({ reuse: { exact: true } })
    const ask = async () => {
      const given = predictor.predict(query(1))
      await turn()
      const asked = calls()
      await answer()
      await given
      return asked
    }
    expect([await ask(), await ask()]).toEqual([1, 0])
    for (const name of ['w0', 'w1']) predictor.forget(name)
    expect([await ask(), await ask()]).toEqual([1, 0])
    await predictor.close()
  })

  it('take the room that they may, and the oldest goes first', async () => {
    const { predictor, calls, answer } = await house({ reuse: { exact: true, bytes: 2100 } }) // two of them
    for (const n of [1, 2, 3]) {
      const given = predictor.predict(query(n))
      await answer()
      await given
    }
    expect((await predictor.predict(query(3))).reused).toBe(true)
    expect((await predictor.predict(query(2))).reused).toBe(true)
    predictor.predict(query(1)).catch(() => {})
    await turn()
    expect(calls()).toBe(1)
    await predictor.close()
  })
})

describe('equal queries under way', () => {
  it('share one inference, each with an answer of its own', async () => {
    const { predictor, calls, answer } = await house()
    const all = [1, 2, 3].map(() => predictor.predict(query(1)))
    await turn()
    expect(calls()).toBe(1)
    await answer()
    const given = await Promise.all(all)
    expect(given.map(({ output }) => [...output.y.data])).toEqual([[1, 2], [1, 2], [1, 2]]) // biome-ignore format: one line
    expect(new Set(given.map(({ output }) => output.y.data.buffer)).size).toBe(3)
    expect(given.map(({ reused = false }) => reused)).toEqual([false, true, true])
    expect(predictor.stats()).toMatchObject({ open: 0, exact: 3, reused: 2 })
    await predictor.close()
  })

  it('who leaves does not take it from the others; the last one does', async () => {
    const { predictor, workers, answer } = await house()
    const [first, second] = [new AbortController(), new AbortController()]
    const left = predictor.predict(query(1), { signal: first.signal })
    const stays = predictor.predict(query(1))
    await turn()
    first.abort()
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' })
    await answer()
    expect((await stays).status).toBe('exact')
    const alone = predictor.predict(query(2), { signal: second.signal })
    await turn()
    const [call] = workers.flatMap(({ calls }) => calls)
    second.abort()
    await expect(alone).rejects.toMatchObject({ code: 'ABORTED' })
    expect(call.signal?.aborted).toBe(true)
    expect(predictor.stats()).toMatchObject({ open: 0, failed: { ABORTED: 2 } })
    await predictor.close()
  })

  it('who is due sooner gets his DEADLINE; who has longer than the first is asked for again', async () => {
    const { clock, predictor, calls, answer } = await house({}, 3)
    const codes: string[] = []
    const ask = (deadlineMs: number) =>
      predictor.predict(query(1), { deadlineMs }).then(
        ({ status }) => codes.push(`${deadlineMs} ${status}`),
        ({ code }) => codes.push(`${deadlineMs} ${code}`),
      )
    const all = [ask(100), ask(50), ask(300)]
    await clock.run(clock.now() + 60)
    expect([codes, calls()]).toEqual([['50 DEADLINE'], 1])
    await clock.run(clock.now() + 50)
    expect(codes).toEqual(['50 DEADLINE', '100 DEADLINE'])
    await answer()
    await Promise.all(all)
    expect(codes.at(-1)).toBe('300 exact')
    expect(predictor.stats()).toMatchObject({ open: 0, exact: 1, failed: { DEADLINE: 2 } })
    await predictor.close()
  })

  it('what fails fails for all, and nothing is kept', async () => {
    const { predictor, workers, answer } = await house({}, 1)
    const all = [1, 2].map(() => predictor.predict(query(1)).catch(({ code }) => code))
    await turn()
    for (let i = 0; i < 3; i++) {
      workers[0].calls[0]?.fail(new ApproxiferError('WORKER', 'it failed'))
      await turn()
    }
    expect(await Promise.all(all)).toEqual(['WORKER', 'WORKER'])
    const again = predictor.predict(query(1))
    await answer()
    expect((await again).reused).toBeUndefined()
    await predictor.close()
  })

  it('a closed predictor settles them all', async () => {
    const { predictor } = await house()
    const all = [1, 2, 3].map(() => predictor.predict(query(1)).catch(({ code }) => code))
    await turn()
    await predictor.close()
    expect(await Promise.all(all)).toEqual(['CLOSED', 'CLOSED', 'CLOSED'])
  })
})

it('without the option equal queries are asked one by one', async () => {
  const { predictor, calls } = await house({ reuse: { exact: false } })
  for (let i = 0; i < 2; i++) predictor.predict(query(1)).catch(() => {})
  await turn()
  expect(calls()).toBe(2)
  await predictor.close()
})
