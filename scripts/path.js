// Functions and files of the package that one `predict` enters, by V8's precise coverage, without a scheme, with a memory that recovers a lost
// answer, and where one worker may lie: node scripts/path.js [DIST] [--list]
import { Session } from 'node:inspector/promises'
import { pathToFileURL } from 'node:url'

const [given] = process.argv.slice(2).filter((each) => !each.startsWith('--'))
const dist = given ? pathToFileURL(`${given}/`) : new URL('../dist/', import.meta.url)
const { createPredictor } = await import(new URL('node/index.js', dist).href)
const session = new Session()
session.connect()

/** Which of two numbers is larger; a worker that is lost fails. */
const workers = (lost) =>
  ['a', 'b', 'c'].map((name) => ({
    ...{ name, free: true, onFree: undefined },
    signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'logits', shape: [2] }] },
    async infer([{ data, shape }]) {
      if (lost.now) throw new Error('lost')
      return [{ data: data.map((value) => value - 2), shape }]
    },
    close: async () => {},
  }))

const cases = {
  'no scheme': {},
  'a lost answer from a memory': { policy: 'auto' },
  'one may lie': { scheme: { queries: 1, byzantine: 1 }, memory: false },
}

async function entered(name, options) {
  const lost = { now: false }
  const predictor = await createPredictor({ workers: workers(lost), verify: { audit: 0 }, onWarning() {}, ...options })
  const query = (i) => Float32Array.of(...(i % 2 ? [3, 1] : [1, 3]).map((value) => value + Math.random()))
  for (let i = 0; i < 400 || (options.policy && predictor.stats().memoryPairs < 256); i++) {
    await predictor.predict(query(i))
    if (i % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 1)) // it learns
  }
  lost.now = name.includes('lost')
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await session.post('Profiler.takePreciseCoverage') // what happened so far
  const { status } = await (lost.now
    ? predictor.predict(query(1000), { policy: 'recover' })
    : predictor.predict(query(1000)))
  await new Promise((resolve) => setTimeout(resolve, 100)) // its last attempt ends, too
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.disable')
  await predictor.close()
  const own = result.filter(({ url }) => url.startsWith(dist.href))
  const functions = own.flatMap(({ url, functions }) =>
    functions
      .filter(({ functionName, ranges }) => ranges[0].count > 0 && ranges[0].startOffset > 0 && functionName !== '')
      .map(({ functionName }) => `${url.slice(dist.href.length)} ${functionName}`),
  )
  return { status, functions, files: new Set(functions.map((each) => each.split(' ')[0])).size }
}

for (const [name, options] of Object.entries(cases)) {
  const { status, functions, files } = await entered(name, options)
  console.log(`${name} (${status}): ${functions.length} functions in ${files} files`)
  if (process.argv.includes('--list')) console.log(functions.map((each) => `  ${each}`).join('\n'))
}
process.exit(0)
