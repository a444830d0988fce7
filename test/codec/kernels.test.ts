import { describe, expect, it } from 'vitest'
import { Kernels } from '../../src/codec/kernels'
import { loadCore } from '../../src/core/load'
import { seeded } from '../../src/random'

const core = await loadCore()
const labels = (classes: number) => ({ kind: 'label', positions: 1, classes }) as const

describe('Kernels', () => {
  /** Groups of 4 queries and their mean, answered by a function that only a short scale can follow. */
  function teach(kernels: Kernels, groups: number): void {
    const random = seeded(3)
    for (let g = 0; g < groups; g++) {
      const points: Float32Array[] = Array.from({ length: 4 }, () => Float32Array.of(random.gauss(), random.gauss()))
      points.push(core.combine(new Float32Array(4).fill(0.25), points)[0])
      const answers = points.map(([x, y]) => Float32Array.of(Math.exp(-x * x - y * y), 0.4))
      Array.from(kernels.learn(core, 4, core.gram(points), answers, [0, 1, 2, 3], labels(2)))
    }
  }

  it('starts from the fixed kernel, and leaves it only for one that clearly did better', () => {
    const kernels = new Kernels()
    const fixed = kernels.kernel(4)
    expect(fixed).toEqual({ mix: 0.6, scale: 1.5, noise: 0.02 })
    teach(kernels, 2)
    expect(kernels.kernel(4)).toEqual(fixed)
    teach(kernels, 400)
    expect(kernels.kernel(4)).not.toEqual(fixed)
    expect(kernels.kernel(8)).toEqual(fixed) // of parities of eight nothing was learned
  })

  it('comes back from JSON as it was', () => {
    const [kernels, again] = [new Kernels(), new Kernels()]
    teach(kernels, 100)
    again.load(JSON.parse(JSON.stringify(kernels.save())))
    expect(again.kernel(4)).toEqual(kernels.kernel(4))
  })
})
