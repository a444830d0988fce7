/** Learning beside serving: what share of the time it has, and how much may wait to be learned. */

import { expect, it } from 'vitest'
import type { Experience } from '../../src/memory/experience'
import { InlineMemory, SHARED_THREAD } from '../../src/memory/inline'
import { Training } from '../../src/memory/training'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { query } from '../shared/hand-predictor'

/** With a memory that takes so many milliseconds for a pass. */
function inline(passMs: number, lookups = 0.5) {
  const clock = new VirtualClock()
  const spent = { looks: 0, lessons: 0 }
  const pass = (what: keyof typeof spent = 'looks') => {
    spent[what] += passMs
    return { answer: query(clock.spend(passMs) as never) }
  }
  const experience = {
    memory: 'warm',
    confidence: { assume() {}, rated: () => ({ confidence: 0.9, signals: [1] }) },
    recall: () => pass(),
    *train() {
      pass('lessons')
      yield
    },
  }
  const shares = { ...SHARED_THREAD, lookups }
  const memory = new InlineMemory(experience as never as Experience, { clock, shares, warn: (text) => expect.fail(text) }) // biome-ignore format: one line
  return { clock, memory, spent }
}
const lesson = { query: () => query(1), own: query(2), from: 'a', spread: [] }

it('lookups and lessons have their shares: both together held the loop all the time where more came than fits', async () => {
  const { clock, memory, spent } = inline(1)
  const look = () => {
    memory.recall(
      () => query(1),
      [],
      10,
      () => {},
    )
    memory.learn(lesson)
    if (clock.now() < 20_000) clock.after(0.25, look)
  }
  look()
  await clock.run()
  expect(spent.looks / clock.now()).toBeLessThan(0.52)
  expect(spent.lessons / (clock.now() - spent.looks)).toBeLessThan(0.06)
})

it('what a lookup takes is known by lookups; beyond their share nothing is said', async () => {
  const { clock, memory } = inline(12)
  const said: unknown[] = []
  expect(memory.lookupMs).toBe(Number.POSITIVE_INFINITY)
  for (let i = 0; i < 3; i++)
    memory.recall(
      () => query(1),
      [],
      10,
      (found, ms) => said.push([found?.confidence, ms]),
    )
  expect(said).toEqual([
    [0.9, 12],
    [0.9, 12],
    [undefined, undefined],
  ]) // 10 ms were saved up, and 6 earned meanwhile
  expect(memory.lookupMs).toBe(12)
  await clock.run(100)
  memory.recall(
    () => query(1),
    [],
    10,
    (found) => said.push(found?.confidence),
  )
  expect(said.at(-1)).toBe(0.9)
})

it('two answers wait to be learned beside a warm memory', () => {
  const { memory } = inline(1)
  expect([1, 2, 3].map(() => memory.learn(lesson))).toEqual([true, true, false])
})

it('beyond two no lesson waits that makes them hold on to more than 8 MB, and never more than 32 do', () => {
  const lessons = () => new Training(new VirtualClock(), () => 0.5, (why) => expect.fail(why)) // biome-ignore format: one line
  const lesson = { next: () => ({ value: undefined, done: true }) }
  const [large, exact, many] = [lessons(), lessons(), lessons()]
  expect([1e7, 1e7, 0].map((bytes) => large.add(lesson, bytes))).toEqual([true, true, false])
  expect([2 ** 22, 2 ** 21, 2 ** 21, 1].map((bytes) => exact.add(lesson, bytes))).toEqual([true, true, true, false])
  expect(Array.from({ length: 33 }, () => many.add(lesson, 1)).lastIndexOf(true)).toBe(31)
})
