import { getHeapCodeStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { Confidence } from '../../src/memory/confidence'
import { Experience } from '../../src/memory/experience'
import { InlineMemory, SHARED_THREAD } from '../../src/memory/inline'
import { Memory, type MemoryOptions } from '../../src/memory/memory'
import { VirtualClock } from '../../src/testing/virtual-clock'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/**
 * Bytes that are held by anything: the heap, and beside it typed arrays and WebAssembly's memories. Without code: the
 * engine compiles 600 KB of it while a memory learns, when it likes, and that is 15 % of the smallest memory here.
 */
function held(): number {
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  const code = getHeapCodeStatistics()
  return heapUsed + external - code.code_and_metadata_size - code.bytecode_and_metadata_size
}

const random = seeded(1)
/** Queries are taken from it, wherever they begin. */
const noise = Float32Array.from({ length: 3 * 2 ** 20 + 3000 }, () => random.next())

/** What a memory and its core hold at most while it learns so many pairs, or all it has room for, and in the end. */
async function measure(options: MemoryOptions, pairs = Number.POSITIVE_INFINITY) {
  const size = options.shape.reduce((product, n) => product * n, 1)
  const before = held()
  const memory = new Memory(await loadCore(), options)
  let [most, steps] = [held(), 0]
  const look = () => {
    most = Math.max(most, held())
  }
  for (let i = 0; i < Math.min(pairs, memory.capacity); i++) {
    const answer = Float32Array.from({ length: options.outputs }, (_, c) => Math.sin(i + c))
    const from = (i * 7) % 3000
    memory.place(noise.subarray(from, from + size), answer)
    if (i === 126) look()
    while (memory.work()) if (steps++ % (i < 128 ? 200 : 2000) === 0) look()
  }
  memory.settle()
  look()
  return { most: most - before, end: held() - before, memory }
}

describe('a memory holds no more than its bytes', async () => {
  await measure({ shape: [1, 16, 16], outputs: 10, bytes: 2 ** 23 }, 140) // so that the code is there before it counts

  it.each([28, 224, 512, 1024])('images of %i pixels a side, from the first on', async (side) => {
    const bytes = 9 * 2 ** 20
    const shape = [side < 224 ? 1 : 3, side, side]
    const { most } = await measure({ shape, outputs: 10, bytes }, side < 224 ? Number.POSITIVE_INFINITY : 140)
    expect(most / bytes).toBeLessThan(1)
  })

  it.each([
    ['short rows', 4, { shape: [6], outputs: 10 }],
    ['rows', 4, { shape: [60], outputs: 10 }],
    ['long answers', 8, { shape: [60], outputs: 600 }],
    [
      'images of which nothing but pixels is compared',
      4,
      { shape: [1, 14, 14], outputs: 10, features: 'raw' as const },
    ],
  ])('%s in %i MiB, and not much less when it is full', async (_, mebibytes, options) => {
    const bytes = mebibytes * 2 ** 20
    const { most, end, memory } = await measure({ ...options, bytes })
    expect(memory.size).toBe(memory.capacity)
    expect(most / bytes).toBeLessThan(1)
    expect(end / bytes).toBeGreaterThan(0.7)
  })

  it('features of large queries: of these it keeps nothing', async () => {
    const features = (query: Float32Array) => query.slice(0, 16)
    const bytes = 2 ** 21
    const { most } = await measure({ shape: [3, 1024, 1024], outputs: 10, features, bytes })
    expect(most / bytes).toBeLessThan(1)
  })

  it('what has no room for the least that is of use is refused, with how much it takes', async () => {
    const core = await loadCore()
    const options = { shape: [3, 224, 224], outputs: 10 }
    const make = (bytes: number) => new Memory(core, { ...options, bytes })
    const least = Memory.bytes(options, 256)
    expect(make(least).capacity).toBeGreaterThanOrEqual(256)
    expect(() => make(1e6)).toThrow(/bytes: expected >= \d+, for 256 pairs, got 1000000/)
    expect(make(Memory.bytes(options, 500)).capacity).toBeGreaterThanOrEqual(500)
  })
})

describe('what is learned beside it is bounded', () => {
  it('large queries do not wait to be learned by the dozen', async () => {
    const shape = [3, 1024, 1024]
    const size = 3 * 1024 * 1024
    const signature = { inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape: [2] }] }
    const warn = (text: string) => expect.fail(text)
    const criterion = { kind: 'label', positions: 1, classes: 2 } as const
    const experience = new Experience(await loadCore(), signature, { criterion, warn })
    const own = new InlineMemory(experience, { clock: new VirtualClock(), shares: SHARED_THREAD, warn })
    for (let i = 0; i < 32; i++)
      own.learn(
        { query: () => noise.subarray(i, i + size), own: Float32Array.of(i, 1), from: 'a', spread: [] },
        4 * size,
      )
    await own.take()
    expect(experience.remembered).toBe(2)
  })

  it('outcomes and counts do not grow with the queries', async () => {
    const confidence = new Confidence(await loadCore(), { kind: 'tolerance' })
    const teach = (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const own = Float32Array.from({ length: 1000 }, (_, c) => Math.sin(i + c))
        confidence.observe(own)
        confidence.grade({ answer: own, source: i % 2 ? 'code' : 'memory', missing: 1 + (i % 3), variance: 0.1 }, own)
      }
    }
    teach(0, 5000)
    const saved = JSON.stringify(confidence.save()).length
    teach(5000, 9000)
    expect(JSON.stringify(confidence.save()).length).toBeLessThan(1.01 * saved)
  })
})
