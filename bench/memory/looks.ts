/**
 * npm run bench -- looks [--json]: microseconds that a memory takes to recover a query (a look), and to be told one, with all
 * that it leaves to be done later; at 1,000 and 4,000 pairs of 10 outputs. Digits, CIFAR images, CIFAR images at 3 x 224 x
 * 224 and numbers without structure. Looks: median of 200; told: mean of 128 queries in a row, since some work
 * comes once in 128, median of three such runs. A look is first checked against another one at plain JavaScript. Needs
 * `npm run data`.
 */

import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import type { Core } from '../../src/core/core'
import { BLOCK } from '../../src/core/kernel-matrix'
import { loadCore } from '../../src/core/load'
import { Memory } from '../../src/memory/memory'
import { collectGarbage, median } from '../shared/measure'

const PAIRS = [1000, 4000]
const OUTPUTS = 10
const LOOKS = 200
const RUNS = 3

interface Kind {
  shape: number[]
  features: 'raw' | 'patches'
  query: (i: number) => Float32Array
}

interface Measured {
  shape: number[]
  features: string
  pairs: number
  /** Microseconds. */
  look: number
  told: number
}

const random = seeded(1)
const numbers = (length: number) => Float32Array.from({ length }, () => random.gauss())

export default async function looks(json: boolean): Promise<void> {
  const [wasm, js] = [await loadCore({ prefer: 'wasm' }), await loadCore({ prefer: 'js' })]
  const measured: Measured[] = []
  for (const kind of await kinds()) {
    check(kind, wasm, js)
    measured.push(...measure(kind, wasm))
  }
  if (json) return console.log(JSON.stringify(measured, null, 2))
  const out = table(['shape', 'features', 'pairs', 'a look', 'a query remembered'])
  for (const { shape, features, pairs, look, told } of measured) {
    out.push([shape.join(' x '), features, pairs, `${look.toFixed(0)} us`, `${told.toFixed(0)} us`])
  }
  console.log(String(out))
}

async function kinds(): Promise<Kind[]> {
  const [digits, photos] = [
    await loadInputs('data/mnist-images.npy', [1, 28, 28]),
    await loadInputs('data/cifar-images.npy', [3, 32, 32]),
  ]
  const [few, many] = [64, 784].map((length) => Array.from({ length: 5000 }, () => numbers(length)))
  return [
    { shape: [1, 28, 28], features: 'patches', query: (i) => digits[i] },
    { shape: [3, 32, 32], features: 'patches', query: (i) => photos[i] },
    { shape: [3, 224, 224], features: 'patches', query: (i) => enlarged(photos[i]) },
    { shape: [64], features: 'raw', query: (i) => few[i] },
    { shape: [784], features: 'raw', query: (i) => many[i] },
  ]
}

/** Seven times as wide and as high. */
function enlarged(image: Float32Array): Float32Array {
  const [small, large] = [32, 224]
  return Float32Array.from({ length: 3 * large * large }, (_, at) => {
    const [channel, y, x] = [Math.floor(at / large / large), Math.floor(at / large) % large, at % large]
    return image[(channel * small + Math.floor(y / 7)) * small + Math.floor(x / 7)]
  })
}

function check({ shape, features, query }: Kind, ...cores: Core[]): void {
  const [a, b] = cores.map((core) => {
    const memory = new Memory(core, { shape, outputs: 1, features })
    for (let i = 0; i < BLOCK; i++) memory.remember(query(i), Float32Array.of(i % 7))
    return JSON.stringify(memory.recover(query(BLOCK)))
  })
  if (a !== b) throw new Error(`shape [${shape}]: WASM recovers ${a}, JavaScript ${b}`)
}

function measure({ shape, features, query }: Kind, core: Core): Measured[] {
  const memory = new Memory(core, { shape, outputs: OUTPUTS, bytes: 2 ** 28, features })
  let next = 0
  const tell = () => memory.remember(query(next++), numbers(OUTPUTS))
  return PAIRS.map((pairs) => {
    while (memory.size < pairs) tell()
    const queries = Array.from({ length: 20 }, (_, i) => query(4500 + i))
    const look = median(Array.from({ length: LOOKS }, (_, i) => timed(() => memory.recover(queries[i % 20]))))
    const told = Array.from({ length: RUNS }, () => {
      collectGarbage()
      const times = Array.from({ length: BLOCK }, () => {
        const [given, answer] = [query(next++), numbers(OUTPUTS)]
        return timed(() => memory.remember(given, answer))
      })
      return times.reduce((sum, time) => sum + time, 0) / BLOCK
    })
    return { shape, features, pairs, look, told: median(told) }
  })
}

/** Microseconds. */
function timed(run: () => unknown): number {
  const start = performance.now()
  run()
  return 1000 * (performance.now() - start)
}
