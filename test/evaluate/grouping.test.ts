import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { byLikeness, Likeness } from '../../bench/accuracy/likeness'
import { seeded } from '../../src/base/random'
import { Codec } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { evaluate } from '../../src/evaluate/evaluate'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { digits } from '../shared/digits'

const core = await loadCore()

it('follows the nearest neighbour, every query once, the same on both cores', async () => {
  const random = seeded(5)
  const queries = Array.from({ length: 40 }, () => Float32Array.from({ length: 6 }, () => random.gauss()))
  const path = new Likeness(core, 6, 40).order(queries)
  expect([...path].sort((a, b) => a - b)).toEqual([...queries.keys()])
  expect(new Likeness(await loadCore({ prefer: 'js' }), 6, 40).order(queries)).toEqual(path)
  const distance = (a: number, b: number) => queries[a].reduce((sum, v, i) => sum + (v - queries[b][i]) ** 2, 0)
  path.slice(0, -1).forEach((current, step) => {
    const nearest = Math.min(...path.slice(step + 1).map((other) => distance(current, other)))
    expect(distance(current, path[step + 1])).toBeCloseTo(nearest, 4)
  })
})

it('puts alike ones into one group, and takes pools of any size up to its own', () => {
  const likeness = new Likeness(core, 2, 12)
  const clusters = Array.from({ length: 12 }, (_, i) => Float32Array.of(10 * (i % 3), i))
  const groups = likeness.order(clusters).map((i) => i % 3)
  for (const group of [groups.slice(0, 4), groups.slice(4, 8), groups.slice(8)]) expect(new Set(group).size).toBe(1)
  expect(likeness.order(clusters.slice(0, 1))).toEqual([0])
  expect(likeness.order([])).toEqual([])
})

it('recovers more of a group’s digits where they are alike', async () => {
  const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer
  const { images: inputs } = digits(file('mnist-digits.npy'), file('mnist-labels.npy'))
  const model = await OnnxModel.load(await readModel('models/mnist-lenet.onnx'))
  const codec = new Codec(core, { queries: 8, stragglers: 1 })
  const options = { codec, model, inputs, memory: 0, groups: 60, sets: 0, policy: 'recover' as const }
  const { accuracy } = await evaluate(options)
  const alike = await evaluate({ ...options, grouping: byLikeness(core, 784, 8, 10) })
  expect(alike.accuracy.recovered).toBeGreaterThan(accuracy.recovered as number)
  await expect(evaluate({ ...options, grouping: byLikeness(core, 784, 8, 51) })).rejects.toThrow(
    'grouping.groups: expected an integer from 1 to 50, got 51',
  )
  await model.close()
})
