/** npm run bench -- kernels [--json] */

import { cpus } from 'node:os'
import { kernels } from './kernels'
import { stream } from './stream'

const benches: Record<string, (json: boolean) => Promise<void>> = { kernels, stream }
const [name, ...flags] = process.argv.slice(2)
const bench = Object.hasOwn(benches, name ?? '') ? benches[name] : undefined

if (!bench || flags.some((flag) => flag !== '--json')) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--json]`)
  process.exitCode = 2
} else {
  const json = flags.includes('--json')
  if (!json) console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}`)
  await bench(json)
}
