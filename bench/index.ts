/** npm run bench -- attacked | batch | busy | kernels | costs | domains | changes | cold | coordinator | fleet | large | latency | laws | liars | looks | loop | losers | memory-thread | nats | overload | overload-memory | reuse | sampled | sections | serve | serve-soak | signatures | simulate | sizes | slots | stream | summary | sybils | tokens | useless | windows | accuracy [--json] */

import { cpus } from 'node:os'
import { accuracy } from './accuracy'
import { attacked } from './attacked'
import { batch } from './batch'
import { busy } from './busy'
import { changesBench } from './changes'
import { cold } from './cold'
import { coordinator } from './coordinator'
import { costs } from './costs'
import { domainsBench } from './domains'
import { fleet } from './fleet'
import { kernels } from './kernels'
import { large } from './large'
import { latency } from './latency'
import { laws } from './laws/laws'
import { losers } from './laws/losers'
import { liars } from './liars'
import { looks } from './looks'
import { loop } from './loop'
import { memoryThread } from './memory-thread'
import { natsBench } from './nats'
import { overload } from './overload'
import { overloadMemory } from './overload-memory'
import { reuseBench } from './reuse'
import { sampled } from './sampled'
import { sections } from './sections'
import { serveBench } from './serve'
import { serveSoak } from './serve-soak'
import { signatures } from './signatures'
import { simulateAll } from './simulate'
import { sizesBench } from './sizes'
import { slots } from './slots'
import { stream } from './stream'
import { summary } from './summary'
import { sybils } from './sybils'
import { tokens } from './tokens'
import { useless } from './useless'
import { windows } from './windows'

const benches: Record<string, (json: boolean, names: string[]) => Promise<void>> = {
  attacked,
  batch,
  busy,
  kernels,
  costs,
  domains: domainsBench,
  changes: changesBench,
  cold,
  coordinator,
  fleet,
  large,
  latency,
  laws,
  liars,
  looks,
  loop,
  losers,
  'memory-thread': memoryThread,
  nats: natsBench,
  overload,
  'overload-memory': overloadMemory,
  reuse: reuseBench,
  sampled,
  sections,
  serve: serveBench,
  'serve-soak': serveSoak,
  signatures,
  simulate: simulateAll,
  sizes: sizesBench,
  slots,
  stream,
  summary,
  sybils,
  tokens,
  useless,
  windows,
  accuracy,
}
const [name, ...rest] = process.argv.slice(2)
const bench = Object.hasOwn(benches, name ?? '') ? benches[name] : undefined
const names = rest.filter((word) => word !== '--json')

if (!bench || names.some((word) => word.startsWith('-'))) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--json]`)
  process.exitCode = 2
} else {
  const json = rest.includes('--json')
  if (!json) console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}`)
  await bench(json, names)
}
