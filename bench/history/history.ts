/**
 * npm run history -- [QUERIES] [--gateway] [--log FILE]: 100,000 queries, unless told otherwise, to real threads of which one after the other is killed in
 * the middle of its work, in several settings; the checker of test/simulation/history.ts says whether what happened keeps every line of "What
 * is guaranteed". `--gateway`: to `approxifer serve`, in the trouble of `npm run bench -- serve-soak`, by what its /events tell. `--log` writes all that happened, a line each. Ends with 1 where a promise was broken.
 */

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { violations } from '../../test/simulation/history'
import { counts } from '../soak/checks'
import { loadDigits, MODEL } from '../soak/digits'
import { ofGateway } from './gateway'
import { ofThreads, type Setting, type Told } from './threads'

const coded = { queries: 4, stragglers: 1 }
const settings: Setting[] = [
  { name: 'no scheme', options: {}, lies: false },
  { name: 'coded', options: { scheme: coded }, lies: false },
  { name: 'coded, retry', options: { scheme: coded, policy: 'retry', memory: false }, lies: false },
  { name: 'a liar', options: { scheme: { ...coded, byzantine: 1 } }, lies: true },
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { gateway: { type: 'boolean', default: false }, log: { type: 'string' } },
})
const queries = Number(positionals[0] ?? 100_000)
const broken = values.gateway ? told('a gateway', await ofGateway(queries)) : await allThreads()
console.log(`${queries} queries, ${broken} promises broken`)
process.exit(broken ? 1 : 0)

async function allThreads(): Promise<number> {
  const digits = (await loadDigits()).map(({ image }) => image)
  const model = await OnnxModel.load(await readModel(MODEL))
  let broken = 0
  for (const setting of settings) {
    const each = Math.ceil(queries / settings.length)
    broken += told(setting.name, await ofThreads(setting, digits, model, each))
  }
  return broken
}

/** @returns how many promises were broken */
function told(name: string, { entries, promised, kills, endings }: Told): number {
  const found = violations({ promised, entries })
  console.log(
    `${name}: ${entries.length} entries, ${kills} workers killed; ${counts(endings)}; ${found.length} promises broken`,
  )
  for (const sentence of found.slice(0, 5)) console.log(`  ${sentence}`)
  if (values.log)
    writeFileSync(values.log, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''), { flag: 'a' })
  return found.length
}
