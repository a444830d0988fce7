/** Two models beside each other, in made time, on workers whose calls the test settles by hand. */

import { ApproxiferError, type Prediction, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { HandWorker, query, settled, turn } from '../shared/hand-predictor'
import { models } from '../shared/heard-events'
import { add, answerAll, open } from '../shared/joining-workers'

const named = (fingerprint: string, ...names: string[]) => names.map((name) => Object.assign(new HandWorker(name), { fingerprint })) // biome-ignore format: one line

/** Three workers with the old model, of which one is asked at a time; and some with a new one. */
async function both(rollout: NonNullable<PredictorOptions['rollout']>, count = 1, more: PredictorOptions = {}) {
  const events: string[] = []
  const onEvent = models(({ state, id }) => events.push(`${state} ${id}`))
  const old = named('old', 'a', 'b', 'c')
  const setup = await open(old, { scheme: undefined, hedge: false, rollout, onEvent, ...more })
  const next = named('new', ...['x', 'y', 'z', 'w'].slice(0, count))
  await setup.tell(...next.map(add))
  const { predictor } = setup
  const asked = (workers: HandWorker[]) => workers.flatMap(({ calls }) => calls)
  /** A query of which the old model's answer is given at once. */
  const answered = async (x: number): Promise<Prediction> => {
    const prediction = predictor.predict(query(x))
    await answerAll(old)
    return prediction
  }
  return { ...setup, events, old, next, asked, answered, other: () => predictor.modelVersions()[1] }
}

it('a query that is asked of the new model as well has its answer without that, and after it is not waited for', async () => {
  const { predictor, next, asked, answered, other } = await both({ shadow: 1 })
  expect(await answered(3)).toMatchObject({ status: 'exact', fingerprint: 'old', output: { y: { data: Float32Array.of(6, 2) } } }) // biome-ignore format: one line
  await turn()
  const [call] = asked(next)
  expect([...call.row]).toEqual([3, 1])
  expect(other()).toMatchObject({ state: 'shadow', compared: 0 })
  call.answer(Float32Array.of(9, 1)) // the same label
  await turn()
  await answered(4)
  asked(next)[0].answer(Float32Array.of(0, 1))
  await turn()
  expect(other()).toMatchObject({ compared: 2, agreed: 1 })
  await answered(5)
  await answered(6)
  await answered(7)
  await turn()
  expect(asked(next).length).toBe(1) // a slow one is asked no more than it can answer
  expect(predictor.stats()).toMatchObject({ open: 0, exact: 5 })
})

it('one of which 100 answers are compared, and too few are right, does not take over, however many workers have it', async () => {
  const { predictor, next, answered, other, tell, events, warnings } = await both({ shadow: 1 }, 4)
  const wrong = async () => {
    await answered(3)
    await turn()
    for (const { calls } of next) for (const call of [...calls]) call.answer(Float32Array.of(0, 1))
    await turn()
  }
  while (other().compared < 99) await wrong()
  expect(other().state).toBe('shadow')
  while (other().state === 'shadow') await wrong()
  expect(other()).toMatchObject({ state: 'refused', compared: 100, agreed: 0 })
  expect(warnings.at(-1)).toContain('the model new does not take over from old: 0 of 100 of its answers')
  await tell({ remove: 'a' }, { remove: 'b' })
  expect(await answered(3)).toMatchObject({ fingerprint: 'old' })
  expect(events).toEqual(['gathering new', 'shadow new', 'refused new'])
  await tell({ remove: 'c' })
  expect(predictor.unready).toBeDefined()
  predictor.promote('new')
  expect(predictor.unready).toBeUndefined()
})

it('a roll that was complete is taken back without proof: one that has served needs none, however long nobody had it', async () => {
  const { predictor, next, tell, events, other } = await both({ shadow: 1 })
  predictor.promote('new')
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  expect(predictor.modelVersions().map(({ id }) => id)).toEqual(['new'])
  const back = named('old', 'd', 'e')
  await tell(add(back[0]))
  expect(other()).toMatchObject({ id: 'old', state: 'gathering', compared: 0 })
  await tell(add(back[1]))
  expect(predictor.modelVersions()).toMatchObject([{ id: 'old', state: 'serving' }, { id: 'new', state: 'gathering' }]) // biome-ignore format: one line
  await tell({ remove: next[0].name })
  const prediction = predictor.predict(query(3))
  await answerAll(back)
  expect(await prediction).toMatchObject({ fingerprint: 'old' })
  expect(events.slice(2)).toEqual(['serving new', 'refused old', 'gone old', 'gathering old', 'serving old', 'gathering new', 'gone new']) // biome-ignore format: one line
})

it('a roll that is taken back a second time is told a second time, in the same words', async () => {
  const { predictor, tell, warnings } = await both({ shadow: 1 })
  const told = () => warnings.filter((text) => text.includes('takes over')).map((text) => text.split(':')[0])
  predictor.promote('new')
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  for (let time = 0; time < 2; time++) {
    await tell(...named('old', 'd', 'e').map(add))
    predictor.promote('new')
    await tell({ remove: 'd' }, { remove: 'e' })
  }
  const [there, back] = ['the model new takes over from old', 'the model old takes over from new']
  expect(told()).toEqual([there, back, there, back, there])
})

it('one that has served, and was then refused by hand, needs proof when it is back', async () => {
  const { predictor, tell, other } = await both({ shadow: 1 })
  predictor.promote('new')
  predictor.refuse('old')
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  await tell(...named('old', 'd', 'e').map(add))
  expect(other()).toMatchObject({ id: 'old', state: 'shadow' })
})

it('a refused model that all workers have answers nobody, and one line of the log says so, and what helps', async () => {
  const { predictor, next, tell, warnings } = await both({ shadow: 1 })
  predictor.refuse('new')
  const before = warnings.length
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  expect(warnings.slice(before)).toEqual([
    'no worker with the model old, which serves, can be reached; beside it there are 1 with the model new, refused: all queries fail until one is back, or a model that was refused is promoted', // biome-ignore format: one line
  ])
  await tell(...named('new', 'y').map(add))
  expect(await settled(predictor.predict(query(3)))).toBe('failed')
  expect(warnings.length).toBe(before + 1)
  predictor.promote('new')
  const prediction = predictor.predict(query(3))
  await answerAll(next)
  expect(await prediction).toMatchObject({ fingerprint: 'new' })
})

it('what a canary fails on is asked of the model that serves; failing again and again it is refused', async () => {
  const { predictor, old, next, asked, other } = await both({ canary: 1 }, 1)
  for (let failed = 1; failed <= 6; failed++) {
    const prediction = predictor.predict(query(3))
    await turn()
    while (asked(next).length) {
      asked(next)[0].fail(new ApproxiferError('WORKER', 'broken'))
      await turn()
    }
    await answerAll(old)
    expect(await prediction).toMatchObject({ fingerprint: 'old', status: 'exact' })
    expect(other()).toMatchObject({ failed, state: failed > 5 ? 'refused' : 'canary' })
  }
})

it('a canary whose last worker leaves costs nobody an answer', async () => {
  const { predictor, old, next, asked, tell, clock } = await both({ canary: 1 })
  const prediction = predictor.predict(query(3))
  await turn()
  expect(asked(next).length).toBe(1)
  await tell({ remove: 'x' })
  await clock.run(clock.now() + 1)
  await answerAll(old)
  expect(await prediction).toMatchObject({ fingerprint: 'old' })
  expect(predictor.modelVersions().map(({ id }) => id)).toEqual(['old'])
  expect(next[0].closed).toBe(1)
})

it('who waits for the old model when its last worker leaves asks the new one, which takes over unproven', async () => {
  const { predictor, next, tell, clock } = await both({ shadow: 1 })
  const prediction = predictor.predict(query(3))
  await turn()
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  await clock.run(clock.now() + 1)
  await answerAll(next)
  expect(await prediction).toMatchObject({ fingerprint: 'new' })
  expect(predictor.modelVersions()).toMatchObject([{ id: 'new', state: 'serving' }])
})

it('one worker takes over from three that are out of reach after half a minute, and gives back when they are there', async () => {
  const { predictor, old, next, clock, warnings } = await both({ shadow: 1 })
  const reach = (gone: boolean) => {
    for (const worker of old) {
      Object.assign(worker, { gone, capacity: gone ? 0 : 1 })
      worker.onFree?.()
    }
  }
  reach(true)
  const first = predictor.predict(query(3))
  expect(await settled(first)).toBe('failed') // as ever
  expect(warnings.at(-1)).toMatch(
    /^no worker with the model old, which serves, can be reached; beside it there are 1 with the model new, shadow: /,
  )
  await clock.run(clock.now() + 29_000)
  expect(predictor.modelVersions()[0].id).toBe('old')
  await clock.run(clock.now() + 2000)
  const second = predictor.predict(query(3))
  await answerAll(next)
  expect(await second).toMatchObject({ fingerprint: 'new' })
  reach(false)
  const third = predictor.predict(query(3))
  await answerAll(old)
  expect(await third).toMatchObject({ fingerprint: 'old' })
})

it('nobody takes over from one that is out of reach once the predictor is closed', async () => {
  const { predictor, old, clock, events, warnings } = await both({ shadow: 1 })
  for (const worker of old) {
    Object.assign(worker, { gone: true, capacity: 0 })
    worker.onFree?.()
  }
  expect(await settled(predictor.predict(query(3)))).toBe('failed')
  expect(warnings.at(-1)).toContain('can be reached; beside it there are 1 with the model new')
  await predictor.close()
  const told = [events.length, warnings.length]
  expect(clock.pending).toBe(0)
  await clock.run(clock.now() + 31_000)
  expect([events.length, warnings.length]).toEqual(told)
})

it('equal queries have the answer of the model that they are asked of', async () => {
  const { predictor, next, answered } = await both({}, 4, { reuse: { exact: true } })
  // Four have it, and three the other.
  expect(predictor.modelVersions()[0].id).toBe('new')
  const first = predictor.predict(query(3))
  await turn()
  for (const { calls } of next) for (const call of [...calls]) call.answer(Float32Array.of(9, 9))
  expect(await first).toMatchObject({ fingerprint: 'new' })
  expect(await predictor.predict(query(3))).toMatchObject({ fingerprint: 'new', reused: true })
  predictor.promote('old')
  expect(await answered(3)).toMatchObject({ fingerprint: 'old', output: { y: { data: Float32Array.of(6, 2) } } })
})

it('who leaves last of equal queries that were asked again of another model takes them back there', async () => {
  const { predictor, next, asked, tell, clock } = await both({}, 1, { reuse: { exact: true } })
  const leaving = new AbortController()
  const all = [1, 2].map(() => predictor.predict(query(3), { signal: leaving.signal }).catch(({ code }) => code))
  await turn()
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  await clock.run(clock.now() + 1)
  const [call] = asked(next)
  expect(call.signal?.aborted).toBe(false)
  leaving.abort()
  expect(await Promise.all(all)).toEqual(['ABORTED', 'ABORTED'])
  expect([call.signal?.aborted, predictor.stats().open]).toEqual([true, 0])
})

it('no model takes over with fewer workers than the scheme needs to answer', async () => {
  const { predictor, tell, other } = await both({}, 1, { scheme: { queries: 1, stragglers: 0, byzantine: 1 } })
  await tell({ remove: 'a' }, { remove: 'b' }, { remove: 'c' })
  expect(other()).toMatchObject({ id: 'new', state: 'gathering', workers: 1 })
  await tell(...named('new', 'y').map(add))
  expect(predictor.modelVersions()[0].id).toBe('new')
})

it('answers that are decoded are none to compare with', async () => {
  const shadowed = open(['a', 'b', 'c'], { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' }, policy: 'recover', rollout: { shadow: 0.1 } }) // biome-ignore format: one line
  await expect(shadowed).rejects.toThrow('rollout.shadow: expected 0 with the paper’s code, got 0.1')
})
