import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { rmsDifference } from '../../src/base/stats'
import { Codec, type CodecOptions } from '../../src/codec/codec'
import { kernelFor } from '../../src/codec/decoders'
import type { Group } from '../../src/codec/group'
import { kriging } from '../../src/codec/kriging'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'

const wasm = await loadCore({ prefer: 'wasm' })
const VALUES = 784

/** What a call of the core takes, in multiplications. */
const products: Record<string, (...rows: any[]) => number> = {
  combine: (weights, rows) => weights.length * rows[0].length,
  gram: (rows) => (rows.length ** 2 * rows[0].length) / 2,
  inverse: (matrix) => Math.sqrt(matrix.length) ** 3,
}

/** A core that counts its multiplications. */
function counting(): { core: Core; taken: () => number } {
  let sum = 0
  const get = (target: any, name: string) => {
    const value = target[name]
    if (typeof value !== 'function') return value
    return (...rows: unknown[]) => {
      sum += products[name]?.(...rows) ?? Number.POSITIVE_INFINITY
      return value.apply(target, rows)
    }
  }
  const taken = () => {
    const since = sum
    sum = 0
    return since
  }
  return { core: new Proxy(wasm, { get: get as ProxyHandler<Core>['get'] }), taken }
}

/** Points on a curved surface in many dimensions, and what a smooth model says of them. */
function points(count: number, seed: number) {
  const random = seeded(seed)
  const directions = Array.from({ length: 4 }, () => Float32Array.from({ length: VALUES }, () => random.gauss()))
  return Array.from({ length: count }, () => {
    const at = [random.gauss(), random.gauss()]
    const parts = [at[0], at[1], Math.sin(at[0]), Math.cos(at[1])]
    const x = Float32Array.from({ length: VALUES }, (_, i) =>
      parts.reduce((sum, part, k) => sum + part * directions[k][i], 0),
    )
    return { x, y: Float32Array.of(Math.sin(2 * at[0]), Math.cos(at[0] + at[1])) }
  })
}

/** A closed group of which all but some queries were answered, and its parities. */
function lossy(core: Core, options: CodecOptions, lost: readonly number[], seed = 1) {
  const all = points(options.queries, seed)
  const group = new Codec(core, options).open()
  for (const { x } of all) group.join(x)
  const own = group.ready.slice()
  const parities = group.close()
  const late = () => {
    for (const query of lost) group.add(own[query], all[query].y)
  }
  for (const row of own) if (!lost.includes(row.index)) group.add(row, all[row.index].y)
  for (const row of parities) group.add(row, all[row.index % options.queries].y)
  return { group, all, late }
}

/** The least time that some work takes on fresh groups, ms. */
function leastMs(prepare: () => Group, work: (group: Group) => void): number {
  const times = Array.from({ length: 9 }, () => {
    const group = prepare()
    const start = performance.now()
    work(group)
    return performance.now() - start
  })
  return Math.min(...times)
}

describe('a group of 1,000 with one silent worker holds the loop no longer than one of 64', () => {
  const options = { queries: 1000, stragglers: 1 }
  const most = 2 ** 23

  it('recovering takes a few million multiplications', () => {
    const { core, taken } = counting()
    const { group } = lossy(core, options, [17])
    expect(taken()).toBeLessThan(most)
    expect(group.recover().map(({ query }) => query)).toEqual([17])
    expect(taken()).toBeLessThan(most)
  })

  it('and so does every step of what is learned from it', () => {
    const { core, taken } = counting()
    const { group, late } = lossy(core, options, [17])
    const { survivors } = group
    group.recover()
    late()
    taken()
    const steps = group.rehearse([17], survivors)
    for (let done: boolean | undefined = false; !done; ) {
      done = steps.next().done
      expect(taken()).toBeLessThan(most)
    }
  })

  it('nor does it take longer for what is not multiplied', () => {
    const recover = (group: Group) => void group.recover()
    const few = leastMs(() => lossy(wasm, { queries: 64, stragglers: 1 }, [17]).group, recover)
    const many = leastMs(() => lossy(wasm, options, [17]).group, recover)
    expect(many / few).toBeLessThan(40)
  })

  it('a parity of some of them needs no weights of all others', () => {
    const codec = new Codec(wasm, options)
    const all = points(1000, 1)
    const opened = () => {
      const group = codec.open()
      for (const { x } of all) group.join(x)
      return group
    }
    opened().close()
    const whole = leastMs(opened, (group) => void group.close())
    const some = leastMs(opened, (group) => void group.close([...Array(990).keys()]))
    expect(some / whole).toBeLessThan(5)
  })

  it('groups of 400 sizes leave no weights behind that grow with the square of their size', () => {
    const codec = new Codec(wasm, options)
    const before = process.memoryUsage().arrayBuffers
    for (let queries = 1; queries <= 400; queries++) codec.weightsFor(queries)
    expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(20)
  })
})

describe('what is recovered from the nearest of many rows', () => {
  it.each([65, 130, 300])('is as near to the model as what all rows of %i say', (queries) => {
    const errors = { near: 0, all: 0 }
    for (let seed = 1; seed <= 20; seed++) {
      const { group, all } = lossy(wasm, { queries, stragglers: 1 }, [3], seed)
      const [{ answer }] = group.recover()
      errors.near += rmsDifference(answer, all[3].y)
      const others = all.filter((_, i) => i !== 3)
      const gram = wasm.gram([...others, all[3]].map(({ x }) => x))
      const { weights } = kriging(wasm, gram, others.length, kernelFor('systematic', queries))
      const [whole] = wasm.combine(
        Float32Array.from(weights[0]),
        others.map(({ y }) => y),
      )
      errors.all += rmsDifference(whole, all[3].y)
    }
    expect(errors.near).toBeLessThan(errors.all)
  })

  it('of many missing ones each has an answer, and what is known of its uncertainty', () => {
    const lost = Array.from({ length: 40 }, (_, i) => 5 * i)
    const { group } = lossy(wasm, { queries: 200, stragglers: 40 }, lost)
    const recovered = group.recover()
    expect(recovered.map(({ query }) => query)).toEqual(lost)
    for (const { answer, variance } of recovered) {
      expect(answer.every(Number.isFinite)).toBe(true)
      expect(variance).toBeGreaterThanOrEqual(0)
    }
  })

  it('the paper’s code as well, where kriging decodes it', () => {
    const { group } = lossy(wasm, { queries: 100, stragglers: 2, code: 'berrut', decoder: 'kriging' }, [])
    expect(group.recover().length).toBe(100)
  })
})
