/** Learning beside serving: what share of the time it has, and how much may wait to be learned. */

import { expect, it } from 'vitest'
import type { Experience } from '../../src/memory/experience'
import { Learning } from '../../src/memory/learning'
import { Training } from '../../src/memory/training'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { query } from '../shared/house'

/** With a memory that takes so many milliseconds for a pass. */
function learning(passMs: number, memory: 'warm' | 'cold' = 'warm') {
  const clock = new VirtualClock()
  const spent = { looks: 0, lessons: 0 }
  const pass = (what: keyof typeof spent = 'looks') => {
    spent[what] += passMs
    return { answer: query(clock.spend(passMs) as never) }
  }
  const experience = {
    memory,
    confidence: { observe() {} },
    *recalling() {
      return pass()
    },
    *train() {
      pass('lessons')
      yield 'compared'
    },
  }
  const learning = new Learning(experience as never as Experience, clock, (text) => expect.fail(text))
  return { clock, learning, spent }
}

it('lessons have their share of what lookups leave: both together held the loop all the time where more came than fits', async () => {
  const { clock, learning: own, spent } = learning(1)
  own.use = 'saving' // a fifth
  const look = () => {
    own.recall(query(1), 10, () => true, () => {}) // biome-ignore format: one line
    own.remember(query(1), query(2))
    if (clock.now() < 20_000) clock.after(0.25, look)
  }
  look()
  await clock.run()
  const left = clock.now() - spent.looks
  expect(spent.lessons / left).toBeLessThan(0.22) // some was saved up
  expect(left / clock.now()).toBeLessThan(0.3)
})

it.each([
  ['a lesson', 'warm', true],
  ['none of a memory that is cold yet, which has few pairs', 'cold', false],
] as const)('what a pass over the memory takes is known by %s', async (_, memory, known) => {
  const { clock, learning: own } = learning(1, memory)
  expect(own.remember(query(1), query(2))).toBe(true)
  await clock.run()
  expect(Number.isFinite(own.costs.lookMs)).toBe(known)
})

it('beyond two no lesson waits that makes them hold on to more than 8 MB, and never more than 32 do', () => {
  const lessons = () => new Training(new VirtualClock(), () => 0.5, (why) => expect.fail(why)) // biome-ignore format: one line
  const lesson = { next: () => ({ value: undefined, done: true }) }
  const [large, exact, many] = [lessons(), lessons(), lessons()]
  expect([1e7, 1e7, 0].map((bytes) => large.add(lesson, bytes))).toEqual([true, true, false])
  expect([2 ** 22, 2 ** 21, 2 ** 21, 1].map((bytes) => exact.add(lesson, bytes))).toEqual([true, true, true, false])
  expect(Array.from({ length: 33 }, () => many.add(lesson, 1)).lastIndexOf(true)).toBe(31)
})

it.each([
  ['late ones take a fifth of the time', false, true, true],
  ['late ones take less where they were rarely sure', false, false, false],
  ['those that are due take a fifth, however rarely they were sure', true, false, true],
] as const)('looks for %s, and 20 ms that were saved up', async (_, isDue, sure, may) => {
  const { clock, learning: own } = learning(30)
  for (let i = 0; i < 100; i++) own.judge(sure)
  const looksUp = async () => {
    let said: unknown
    own.look(query(1), isDue, () => true, (recollection) => (said = recollection)) // biome-ignore format: one line
    await clock.run()
    return said !== undefined
  }
  expect(await looksUp()).toBe(true)
  clock.spend(18)
  expect(await looksUp()).toBe(false) // 10 ms were spent that nobody had, and 9.6 earned since at most
  clock.spend(4)
  expect(await looksUp()).toBe(may)
})

it('nothing is learned while the memory is being asked: a lookup that goes on must find it as it was', async () => {
  const clock = new VirtualClock()
  const events: string[] = []
  const steps = function* (name: string, count: number) {
    for (let i = 0; i < count; i++) yield events.push(name, ...(clock.spend(2), []))
    return { answer: query(1) }
  }
  const experience = {
    ...{ memory: 'warm', confidence: { observe() {} } },
    recalling: () => steps('lookup', 3),
    train: () => steps('training', 2),
  }
  const own = new Learning(experience as never as Experience, clock, (text) => expect.fail(text))
  own.look(query(1), true, () => true, () => events.push('told')) // biome-ignore format: one line
  own.remember(query(1), query(2))
  await clock.run()
  expect(events).toEqual(['lookup', 'lookup', 'lookup', 'told', 'training', 'training'])
})
