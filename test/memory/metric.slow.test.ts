/** How queries are compared that are no images: chosen by what is remembered, never assumed. */

import { describe, expect, it } from 'vitest'
import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { Memory, type MemoryOptions, type Recollection } from '../../src/memory/memory'

const wasm = await loadCore({ prefer: 'wasm' })
const js = await loadCore({ prefer: 'js' })

interface Kind {
  shape: number[]
  outputs: number
  query(random: Random): Float32Array
  model(query: Float32Array): Float32Array
}

const uniform = (length: number, random: Random) => Float32Array.from({ length }, () => random.next())
const scores = (label: number, classes: number) =>
  Float32Array.from({ length: classes }, (_, c) => (c === label ? 3 : -1))

/** Two of six columns matter, and answers jump. */
const checkerboard: Kind = {
  shape: [6],
  outputs: 2,
  query: (random) => uniform(6, random),
  model: ([a, b]) => scores((Math.floor(3 * a) + Math.floor(3 * b)) % 2, 2),
}

/** Columns over four decades, of which the smallest matter. */
const units: Kind = {
  shape: [20],
  outputs: 2,
  query: (random) => Float32Array.from({ length: 20 }, (_, i) => random.gauss() * 10 ** (i / 5)),
  model: (x) => Float32Array.of(x[0] + x[1] / 1.6 - x[2] / 2.5, 0),
}

/** Noise of four colours that begins at any time. */
const sounds: Kind = {
  shape: [1, 2048],
  outputs: 4,
  query(random) {
    const [colour, start] = [random.below(4), random.below(1000)]
    const row = new Float32Array(2048)
    const [first, second] = [1.8 * Math.cos(0.4 + 0.6 * colour), -0.81]
    for (let i = start + 2; i < start + 1000; i++) row[i] = first * row[i - 1] + second * row[i - 2] + random.gauss()
    return row
  },
  model(x) {
    const crossings = x.filter((value, i) => i && value * x[i - 1] < 0).length
    const loud = x.filter((value) => value !== 0).length
    return Float32Array.from({ length: 4 }, (_, colour) => -Math.abs((Math.PI * crossings) / loud - 0.4 - 0.6 * colour))
  },
}

/** Two inputs, one of them all noise and a hundred times as large. */
const inputs: Kind = {
  shape: [8],
  outputs: 2,
  query: (random) => Float32Array.from({ length: 8 }, (_, i) => random.gauss() * (i < 4 ? 0.01 : 1)),
  model: (x) => Float32Array.of(100 * x[0] + 50 * x[1], 100 * x[2]),
}

function taught(
  { shape, outputs, query, model }: Kind,
  count: number,
  options: Partial<MemoryOptions> = {},
  core = wasm,
) {
  const memory = new Memory(core, { shape, outputs, bytes: 2 ** 25, ...options })
  const random = seeded(1)
  for (let i = 0; i < count; i++) {
    const row = query(random)
    memory.remember(row, model(row))
  }
  return memory
}

/** Share of labels that are the model's, of 200 queries. */
function agreement(memory: Memory, { query, model, outputs }: Kind): number {
  const random = seeded(2)
  const label = (answer: Float32Array) => labelAt(answer, { classes: outputs })
  const right = Array.from({ length: 200 }, () => query(random)).filter((row) => {
    return label((memory.recover(row) as Recollection).answer) === label(model(row))
  })
  return right.length / 200
}

describe('how queries are compared', () => {
  it('finds the two columns of six that a checkerboard is of, and that answers jump', () => {
    expect(agreement(taught(checkerboard, 300), checkerboard)).toBeGreaterThan(0.85)
  })

  it('columns in mixed units are weighed by what they tell', () => {
    expect(agreement(taught(units, 300), units)).toBeGreaterThan(0.85)
  })

  it('a signal that begins a little later is the same signal', () => {
    expect(agreement(taught(sounds, 200), sounds)).toBeGreaterThan(0.9)
    expect(agreement(taught(sounds, 200, { features: 'raw' }), sounds)).toBeLessThan(0.8)
  })

  it('several inputs have a scale each', () => {
    expect(agreement(taught(inputs, 200, { parts: [4, 4] }), inputs)).toBeGreaterThan(0.85)
    expect(() => new Memory(wasm, { shape: [8], outputs: 2, parts: [4, 5] })).toThrow(
      'parts: expected lengths that add',
    )
  })

  it('goes on answering while all that is remembered is compared anew', () => {
    const memory = taught(units, 255)
    const random = seeded(3)
    const [row, other] = [units.query(random), units.query(random)]
    const before = memory.recover(other) as Recollection
    memory.place(row, units.model(row)) // there are twice as many as when it was decided
    let [steps, answered] = [0, 0]
    while (memory.work()) {
      if (++steps % 50) continue
      answered++
      expect(memory.recover(other)?.answer.every(Number.isFinite)).toBe(true)
    }
    expect(answered).toBeGreaterThan(3)
    expect(memory.recover(other)?.answer).not.toEqual(before.answer)
    expect(memory.size).toBe(256)
  })

  it('both cores choose alike, and what was chosen is saved', () => {
    const [memory, other] = [taught(units, 150), taught(units, 150, {}, js)]
    const row = units.query(seeded(4))
    expect(other.recover(row)?.answer).toEqual(memory.recover(row)?.answer)
    const back = new Memory(wasm, { shape: units.shape, outputs: 2, bytes: 2 ** 25 }, memory.save())
    expect(back.recover(row)).toEqual(memory.recover(row))
    const signal = taught(sounds, 140)
    const heard = new Memory(wasm, { shape: sounds.shape, outputs: 4, bytes: 2 ** 25 }, signal.save())
    const sound = sounds.query(seeded(5))
    expect(heard.recover(sound)).toEqual(signal.recover(sound))
  })
})
