/**
 * npm run bench -- costs [--json]: what a lost query costs the memory, against one pass over as many bytes. Variants take turns. Needs
 * `npm run data`.
 */

import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { Memory } from '../../src/memory/memory'
import { PATCH_FEATURES } from '../../src/memory/mirror'
import { measure, type Timing } from '../shared/measure'

const random = seeded(1)
const rows = (n: number, length: number) =>
  Array.from({ length: n }, () => Float32Array.from({ length }, () => random.gauss()))

export default async function costs(json: boolean): Promise<void> {
  const core = await loadCore({ prefer: 'wasm' })
  const searches = [784, PATCH_FEATURES].flatMap((D) =>
    [1000, 4000].map((pairs) => ({ D, pairs, ...search(core, D, pairs) })),
  )
  const memories = []
  for (const pairs of [1000, 4000]) memories.push({ pairs, ...(await remembering(core, pairs)) })
  if (json) return console.log(JSON.stringify({ searches, memories }, null, 2))

  const passes = table(['search', 'bytes', 'search', 'one pass', 'ratio'])
  for (const { D, pairs, search, pass } of searches) {
    const megabytes = `${((4 * D * pairs) / 1e6).toFixed(1)} MB`
    passes.push([
      `${pairs} x ${D}`,
      megabytes,
      us(search.median),
      us(pass.median),
      (search.median / pass.median).toFixed(2),
    ])
  }
  console.log(`${passes}\n`)
  const whole = table(['MNIST, a memory of', 'recover a query', 'remember one', 'its features'])
  for (const { pairs, recover, remember, features } of memories) {
    whole.push([String(pairs), us(recover), us(remember), us(features)])
  }
  console.log(String(whole))
}

/** A search of the memory's table, and memchr for a byte that is not there: one pass that does nothing else. */
function search(core: Core, D: number, pairs: number): Record<'search' | 'pass', Timing> {
  const all = core.table(D, pairs)
  rows(pairs, D).forEach((row, i) => {
    all.set(i, row)
  })
  const bytes = Buffer.alloc(4 * D * pairs, 1)
  const [query] = rows(1, D)
  if (bytes.indexOf(2) !== -1) throw new Error('expected no such byte')
  return measure({ search: () => all.distances(query, pairs), pass: () => bytes.indexOf(2) }) as Record<
    'search' | 'pass',
    Timing
  >
}

/** Milliseconds: medians over 100 queries of a memory that is that full. */
async function remembering(core: Core, pairs: number) {
  const images = await loadInputs('data/mnist-images.npy', [1, 28, 28])
  const memory = new Memory(core, { shape: [1, 28, 28], outputs: 10, bytes: 2 ** 28 })
  const answers = rows(pairs + 100, 10)
  for (let i = 0; i < pairs; i++) memory.remember(images[i], answers[i])
  const empty = new Memory(core, { shape: [1, 28, 28], outputs: 10 })
  for (let i = 0; i < 128; i++) empty.remember(images[i], answers[i])
  const median = (run: (i: number) => void) => {
    const times = Array.from({ length: 100 }, (_, i) => {
      const start = performance.now()
      run(i)
      return performance.now() - start
    })
    return times.sort((a, b) => a - b)[50]
  }
  return {
    recover: median((i) => memory.recover(images[9000 + i])),
    features: median((i) => empty.recover(images[9000 + i])),
    remember: median((i) => memory.remember(images[pairs + i], answers[pairs + i])),
  }
}

const us = (ms: number) => `${(1000 * ms).toFixed(0)} us`
