/**
 * npm run bench -- kernels [RUNTIME ...] [--json]: WASM beside JavaScript, in every runtime that is installed (`npm run test:install` gets them), or in
 * those named: node-20, node-22, node-24, deno, bun, chromium, firefox, webkitgtk. Under two minutes each; results are checked before they are timed.
 * Writes docs/appendix/wasm.md and docs/appendix/wasm.svg from what was measured, now or earlier.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { median } from '../../src/base/stats'
import { table } from '../../src/cli/table'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import type { Comparison } from './comparison'
import { gainTable, HEAD, sentences } from './findings'
import { writePage } from './kernels-report'
import { bundle, type Runtime, runtimes } from './runtimes'

/** What was measured in a runtime. */
export interface Measured {
  readonly version: string
  readonly comparison: Comparison
}

const idOf = (name: string) => name.toLowerCase().replace(' ', '-')
const fileOf = ({ name }: Runtime) => `build/kernels/${idOf(name)}.json`

export default async function kernels(json: boolean, words: readonly string[]): Promise<void> {
  const ids = runtimes.map(({ name }) => idOf(name))
  const unknown = words.find((word) => !ids.includes(word))
  if (unknown) throw new RangeError(`runtime: expected ${ids.join(' | ')}, got '${unknown}'`)
  await bundle()
  for (const runtime of runtimes) {
    const { name, run } = runtime
    if (words.length && !words.includes(idOf(name))) continue
    if (!run) {
      console.error(`${name} is not installed, and left out. To have it: npm run test:install`)
      continue
    }
    const start = performance.now()
    const measured = await run()
    writeFileSync(fileOf(runtime), JSON.stringify(measured))
    if (json) console.log(JSON.stringify({ name, ...measured }))
    else print(`${name}, ${measured.version}`, measured.comparison, (performance.now() - start) / 1000)
  }
  const all = runtimes.filter((runtime) => existsSync(fileOf(runtime)))
  const read = (runtime: Runtime): Measured => JSON.parse(readFileSync(fileOf(runtime), 'utf8'))
  await writePage(new Map(all.map((runtime) => [runtime.name, read(runtime)])), {
    LeNet: await inferenceMs('mnist-lenet', 784),
    'ResNet-8': await inferenceMs('cifar-resnet8', 3072),
  })
}

function print(name: string, comparison: Comparison, seconds: number): void {
  const out = table(HEAD)
  out.push(...gainTable(comparison))
  console.log(`\n${name}, ${seconds.toFixed(0)} s\n${out}\n${sentences(comparison).join('\n')}`)
}

/** One inference in this process, one thread, median of 100. */
async function inferenceMs(name: string, length: number): Promise<number> {
  const model = await OnnxModel.load(await readModel(`models/${name}.onnx`))
  const row = new Float32Array(length).fill(0.5)
  const times: number[] = []
  for (let i = 0; i < 150; i++) {
    const start = performance.now()
    await model.infer(row, 1)
    if (i >= 50) times.push(performance.now() - start)
  }
  await model.close()
  return median(times) as number
}
