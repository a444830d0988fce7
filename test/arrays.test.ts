import { expect, it } from 'vitest'
import { Deque } from '../src/base/arrays'
import { seeded } from '../src/base/random'

it('a line: first come, first served, whoever leaves in the middle or comes back', () => {
  const random = seeded(2)
  const line = new Deque<number>()
  let model: { item: number; place: number }[] = []
  for (let step = 0; step < 5000; step++) {
    const what = random.next()
    if (what < 0.4 || !model.length) model.push({ item: step, place: line.push(step) })
    else if (what < 0.5)
      model.unshift({ item: step, place: line.unshift(step) }) // one that was taken back
    else if (what < 0.8) {
      line.remove(model[0].place)
      model = model.slice(1)
    } else {
      const at = random.below(model.length)
      line.remove(model[at].place)
      line.remove(model[at].place) // twice harms nothing
      model.splice(at, 1)
    }
    expect([line.size, line.first]).toEqual([model.length, model[0]?.item])
  }
  expect([...line]).toEqual(model.map(({ item }) => item))
  expect(line.find(0, 1e6, (item) => item === model.at(-1)?.item)).toBe(model.at(-1)?.item)
  while (line.size) line.shift()
  expect(line.first).toBeUndefined()
})
