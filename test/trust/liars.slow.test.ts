/** Where workers may lie: what liars do, alone or together, and what becomes of them and of the honest. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { lies, sly } from '../shared/lying-answers'
import { answers, ejected, stream, type Witness } from '../shared/lying-workers'

describe('where workers may lie', () => {
  it('an honest pool: every answer is the model’s own, and nobody is ejected', async () => {
    const ended = await stream(1, { liars: 0, count: 9, queries: 1500 })
    expect([ended.wrong, ejected(ended), ended.stats.failed]).toEqual([{}, [], {}])
    expect(ended.answered.checked).toBeGreaterThan(200) // once the memory knows something, one worker is enough
    expect(answers(ended)).toBeLessThan(1.9 * 1500)
  })

  it.each(Object.entries(lies))('one that lies is ejected: %s', async (name, lie) => {
    const ended = await stream(2, { liars: 1, count: 9, queries: 600, lie })
    expect(ended.wrong.exact).toBeUndefined()
    expect(ejected(ended)).toEqual(['w0'])
    expect(ended.wrong.checked ?? 0, name).toBeLessThanOrEqual(1)
  })

  it('liars that lie alike are not believed, as long as they are no more than E', async () => {
    const ended = await stream(3, { liars: 2, count: 9, queries: 600, lie: lies['the same lie'] })
    expect(ended.wrong).toEqual({})
    expect(ejected(ended)).toEqual(['w0', 'w1'])
  })

  it('who was ejected is still ejected where the state is taken up again; who answers well for long enough is not', async () => {
    const options = { liars: 1, count: 9, queries: 250 }
    const before = await stream(7, { ...options, lie: lies.flip })
    expect(ejected(before)).toEqual(['w0'])
    const state = before.saved
    const still = await stream(8, { ...options, lie: lies.flip, memory: { state } })
    expect([still.stats.workers[0].onTime, still.wrong]).toEqual([0, {}])
    const better = await stream(8, { ...options, memory: { state } })
    expect(better.stats.workers[0]).toMatchObject({ rightAnswersLeft: 0, ejections: 1 })
    expect(better.stats.workers[0].onTime).toBeGreaterThan(0)
  })

  it('the paper’s scheme: no single worker’s word is called exact', async () => {
    const scheme = { queries: 4, byzantine: 1, preset: 'aaai22' as const }
    const options = { liars: 1, count: 12, queries: 400, scheme, lie: lies.constant }
    const { answered, wrong } = await stream(6, options)
    expect([answered.exact, wrong.exact]).toEqual([undefined, undefined])
    expect(answered.recovered).toBeGreaterThan(0)
  })

  it('a liar that answers zeros from the first on does not make roundings into lies', async () => {
    for (const options of [{ liars: 1 }, { liars: 1, scheme: { queries: 2 }, verify: { audit: 1 } }]) {
      const ended = await stream(9, { count: 5, queries: 200, lie: (own) => own.map(() => 0), ...options })
      expect(ejected(ended)).toEqual(['w0'])
    }
  })

  it('recovers nothing where nothing is remembered, whatever the policy', async () => {
    const during = (_: unknown, workers: Witness[]) => {
      for (const worker of workers) worker.mood = 'slow'
    }
    const options = { liars: 0, count: 4, queries: 200, policy: 'recover' as const, memory: false as const }
    const { answered, overdue } = await stream(13, options, during)
    expect([Object.keys(answered), overdue]).toEqual([['exact'], 0])
  })

  it('with hardly more workers than can outvote the liars each query and each attempt has one end', async () => {
    const options = { liars: 1, count: 3, queries: 300, lie: lies.noise }
    expect((await stream(14, options)).unended).toBe(0)
  })

  it('whatever liars, crashes, delays and aborts there are: no lie is exact, nobody honest is ejected, all settles', async () => {
    const moods = ['slow', 'silent', 'dead', 'nan', 'rejects', 'throws', 'reuses'] as const
    const all = Object.values({ ...lies, ...sly })
    for (let seed = 1; seed <= Number(process.env.CI ? 60 : 15); seed++) {
      const random = seeded(seed)
      const liars = 1 + random.below(3)
      const [S, lie] = [random.below(2), all[random.below(all.length)]]
      const options = {
        ...{ liars, lie, count: 2 * liars + 1 + S + random.below(5), queries: 200 },
        share: [0.1, 0.5, 1][random.below(3)],
        policy: (['auto', 'retry'] as const)[random.below(2)],
        verify: { integrity: [0.8, 0.95, 1][random.below(3)], audit: [0, 0.01, 1][random.below(3)] },
        atDeadline: (['fail', 'give'] as const)[random.below(2)],
      }
      const ended = await stream(seed, options, (clock, workers, random) => {
        for (let at = 0; at < 2000; at += 60) {
          clock.after(at, () => {
            for (const worker of workers) if (worker.mood !== 'dead') worker.mood = 'well'
            if (at < 1900 && S) workers[random.below(workers.length)].mood = moods[random.below(moods.length)]
          })
        }
      })
      const honest = ejected(ended).filter((worker) => Number(worker.slice(1)) >= liars)
      const { overdue, wrong, unended } = ended
      expect({ seed, overdue, unended, wrong: wrong.exact ?? 0, honest }).toEqual({
        ...{ seed, overdue: 0, unended: 0, wrong: 0, honest: [] },
      })
    }
  })
})
