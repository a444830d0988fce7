// Functions and files of the package that one `predict` without a scheme enters, by V8's precise coverage: node scripts/path.js [--list]
import { Session } from 'node:inspector/promises'

const { createPredictor } = await import(new URL('../dist/node/index.js', import.meta.url).href)

const tensor = (name) => ({ name, shape: [2] })
const workers = ['a', 'b', 'c'].map((name) => ({
  ...{ name, free: true, onFree: undefined },
  signature: { inputs: [tensor('x')], outputs: [tensor('y')] },
  infer: async ([{ data, shape }]) => [{ data: data.map((value) => 2 * value), shape }],
  close: async () => {},
}))
const predictor = await createPredictor({ workers, verify: { audit: 0 } })
const query = Float32Array.of(1, 2)
for (let i = 0; i < 200; i++) await predictor.predict(query)

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
await session.post('Profiler.takePreciseCoverage') // what happened so far
const { group } = await predictor.predict(query)
await group
const { result } = await session.post('Profiler.takePreciseCoverage')
await predictor.close()

const own = result.filter(({ url }) => url.includes('/dist/'))
const entered = own.flatMap(({ url, functions }) =>
  functions
    .filter(({ functionName, ranges }) => ranges[0].count > 0 && ranges[0].startOffset > 0 && functionName !== '')
    .map(({ functionName, ranges }) => ({
      file: url.split('/dist/')[1],
      name: functionName,
      at: ranges[0].startOffset,
    })),
)
const files = [...new Set(entered.map(({ file }) => file))].sort()
console.log(`one predict without a scheme enters ${entered.length} functions in ${files.length} files`)
if (process.argv.includes('--list')) {
  for (const file of files)
    console.log(
      file,
      entered
        .filter((each) => each.file === file)
        .map(({ name }) => name)
        .join(' '),
    )
}
