/** npm run bench -- NAME [WORD ...] [--json]: runs one bench. Without a name it lists them; each says in its first lines what it measures. */

import { cpus } from 'node:os'

/** Each bench by its folder; its file is called as it is. */
const benches: Record<string, string[]> = {
  latency: ['latency', 'cold', 'stream'],
  laws: ['laws', 'losers', 'sizes'],
  overload: ['overload', 'overload-memory'],
  accuracy: ['accuracy', 'parm', 'paper', 'codes', 'changes', 'domains', 'summary'],
  liars: ['liars', 'sampled', 'sybils'],
  reuse: ['reuse', 'attacked', 'useless'],
  memory: ['loop', 'memory-thread'],
  kernels: ['kernels', 'costs'],
  throughput: ['batch', 'coordinator', 'fleet', 'large', 'tokens'],
  concurrency: ['busy', 'slots', 'windows'],
  gateway: ['serve', 'events', 'page'],
  nats: ['nats', 'signatures'],
  soak: ['serve-soak'],
  verdict: ['verdict'],
}

const [name = '', ...rest] = process.argv.slice(2)
const folder = Object.keys(benches).find((each) => benches[each].includes(name))
const words = rest.filter((word) => word !== '--json')

if (!folder || words.some((word) => word.startsWith('-') && word !== '--code')) {
  const lines = Object.entries(benches).map(([each, names]) => `  ${each}: ${names.join(', ')}`)
  console.error(['usage: npm run bench -- NAME [WORD ...] [--json]', ...lines].join('\n'))
  process.exitCode = 2
} else {
  const json = rest.includes('--json')
  if (!json) console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}`)
  const { default: bench } = await import(`./${folder}/${name}.ts`)
  await bench(json, words)
}
