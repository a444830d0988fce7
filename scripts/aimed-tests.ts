/** Test files over a changed copy of the sources: which of them come to a place, and whether some notice a change there. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { copyOf, filesIn } from './changed-copy'
import { type Mutation, withProbes } from './mutations'

/** Folders of tests, all of which could be about a change. */
export const TESTS: readonly string[] = [
  ...['codec', 'core', 'oip', 'trust', 'layers', 'pool', 'memory', 'predictor', 'gateway', 'workers', 'cli'],
  ...['simulation', 'evaluate'],
]
/** Tests that start threads, which only what was built has. */
const BUILT = ['test/predictor/let-go.test.ts', 'test/evaluate/digits.slow.test.ts', 'test/memory/state.test.ts']
/** Tests that start programs: these run what was built, which no change comes to. */
const STARTS_PROGRAMS = /shared\/(served-process|cli)'|from 'node:child_process'/
/** A test that hangs has noticed. */
const MOST_MS = 120_000

/** A test file: how long it takes, and the numbers of the mutations it comes to. */
export interface Reach {
  seconds: number
  reached: number[]
}

/** A copy of everything, with a configuration whose tests run in the order of the variable ORDER. */
export function testedCopy(): string {
  const left = ['node_modules', '.git', 'data'] // a few tests start programs, which take what was built
  const folder = copyOf(readdirSync('.').filter((name) => !left.includes(name)))
  const alias = ['', '/codec', '/gateway', '/http', '/layers', '/nats', '/testing'].map((entry) => {
    const path = join(folder, 'src', `${entry.slice(1) || 'index'}.ts`)
    return `{ find: /^approxifer${entry.replace('/', '\\/')}$/, replacement: ${JSON.stringify(path)} }`
  })
  writeFileSync(
    join(folder, 'mutate.config.ts'),
    `import { BaseSequencer } from 'vitest/node'
class Ordered extends BaseSequencer {
  async sort(files) {
    const order = (process.env.ORDER ?? '').split(' ')
    const at = ({ moduleId }) => order.findIndex((name) => moduleId.endsWith(name))
    return files.sort((a, b) => at(a) - at(b))
  }
}
export default {
  resolve: { alias: [${alias}] },
  test: {
    testTimeout: ${MOST_MS / 2}, hookTimeout: ${MOST_MS / 2}, include: ['test/**/*.test.ts'], fileParallelism: false, sequence: { sequencer: Ordered },
    testNamePattern: '^(?!the defect)', // these look at the text of the sources
    setupFiles: ['test/shared/typed-arrays.ts', 'mutate.setup.ts'],
  },
}`,
  )
  writeFileSync(join(folder, 'src', 'platform', 'worker.js'), "import '../../dist/worker.js'") // threads take what was built
  writeFileSync(
    join(folder, 'mutate.setup.ts'),
    `import { appendFileSync } from 'node:fs'
import { afterAll, expect } from 'vitest'
const reached = new Set()
const began = performance.now()
globalThis.reached = (i) => reached.add(i)
const report = process.env.REACHED
if (report) afterAll(() => {
  const seconds = Math.round(performance.now() - began) / 1000
  appendFileSync(report, JSON.stringify({ test: expect.getState().testPath, seconds, reached: [...reached] }) + '\\n')
})`,
  )
  return folder
}

const ENV = { ...process.env, QUERIES: '3000', GROUP_COUNT: '1000', CI: '' }

/** What became of tests; `hung`: they ran until they were ended; `died`: their process did, twice. */
export type End = 'passed' | 'failed' | 'hung' | 'died'

/** Runs tests of a copy, as `changed-tests.ts` does, which is started anew after tests that hang, and after those that end it. */
export class Runner {
  readonly #folder: string
  #child: ChildProcess | undefined

  constructor(folder: string) {
    this.#folder = folder
    process.once('exit', () => this.close())
  }

  /** A process may die of something else, as where memory is short: it is tried twice. @param changed  the file of the copy that is another than the last time */
  async run(changed: string, tests: readonly string[], mostMs: number): Promise<End> {
    const end = await this.#tried(changed, tests, mostMs)
    return end === 'died' ? this.#tried(changed, tests, mostMs) : end
  }

  async #tried(changed: string, tests: readonly string[], mostMs: number): Promise<End> {
    this.#child ??= await this.#start()
    const child = this.#child
    const { promise: hung, cancel } = within(mostMs)
    const ended = new Promise<End>((resolve) => {
      child.once('message', (failed) => resolve(failed ? 'failed' : 'passed'))
      child.once('exit', () => resolve('died'))
      child.once('error', () => resolve('died')) // it cannot be told
      child.send({ changed, tests }, (error) => error && resolve('died'))
    })
    const end = (await Promise.race([ended, hung])) ?? 'hung'
    cancel()
    for (const event of ['message', 'exit', 'error']) child.removeAllListeners(event)
    if (end === 'hung' || end === 'died') this.close()
    return end
  }

  /** With its own processes, which may loop. */
  close(): void {
    const pid = this.#child?.pid
    this.#child?.on('error', () => {}) // of what was sent to it
    this.#child = undefined
    try {
      if (pid) process.kill(-pid, 'SIGKILL')
    } catch {
      // All of them have ended.
    }
  }

  async #start(): Promise<ChildProcess> {
    const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const
    const args = ['--import', 'tsx', join(process.cwd(), 'scripts', 'changed-tests.ts')]
    const child = spawn(process.execPath, args, { cwd: this.#folder, env: ENV, stdio: [...stdio], detached: true })
    const started = once(child, 'message')
    await Promise.race([
      started,
      once(child, 'exit').then(() => Promise.reject(new Error('the process that runs tests ends as it starts'))),
    ])
    return child
  }
}

function within(ms: number) {
  let cancel = () => {}
  const promise = new Promise<undefined>((resolve) => {
    const timer = setTimeout(resolve, ms, undefined)
    cancel = () => clearTimeout(timer)
  })
  return { promise, cancel }
}

const hash = (...texts: string[]) => createHash('sha1').update(texts.join('\0')).digest('hex')
const textOf = (path: string) => readFileSync(path, 'utf8')

/**
 * Which mutations each test file comes to. Kept in build/reach.json: of tests that are as they were over sources that are as they were.
 *
 * @param byFile  all mutations of each file
 * @param folders  of tests
 */
export function reachOf(
  folder: string,
  byFile: ReadonlyMap<string, readonly Mutation[]>,
  folders: readonly string[] = TESTS,
): Record<string, Reach> {
  const path = join('build', 'reach.json')
  const about = hash(...filesIn('src').map(textOf), ...byFile.keys())
  const kept = existsSync(path) ? JSON.parse(textOf(path)) : {}
  const reach: Record<string, Reach & { text: string }> = kept.about === about ? kept.reach : {}
  const all = folders.flatMap((name) => filesIn(join('test', name)))
  const isBuilt = (test: string) => BUILT.includes(test) || STARTS_PROGRAMS.test(textOf(test))
  const tests = all.filter((file) => file.endsWith('.test.ts') && !isBuilt(file))
  for (const test of Object.keys(reach)) if (!tests.includes(test)) delete reach[test]
  const anew = tests.filter((test) => reach[test]?.text !== hash(textOf(test)))
  if (anew.length) {
    for (const [test, found] of Object.entries(measured(folder, byFile, anew))) {
      reach[test] = { ...found, text: hash(textOf(test)) }
    }
    mkdirSync('build', { recursive: true })
    writeFileSync(path, JSON.stringify({ about, reach }))
  }
  return reach
}

function measured(folder: string, byFile: ReadonlyMap<string, readonly Mutation[]>, tests: readonly string[]) {
  let first = 0
  for (const [file, mutations] of byFile) {
    writeFileSync(join(folder, file), withProbes(textOf(file), mutations, first))
    first += mutations.length
  }
  const report = join(folder, 'reached')
  const args = [join('node_modules', 'vitest', 'vitest.mjs'), 'run', '--config', 'mutate.config.ts', ...tests]
  const env = { ...ENV, REACHED: report, NO_COLOR: '1' }
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', maxBuffer: 2 ** 28 }) // biome-ignore format: one line
  for (const file of byFile.keys()) writeFileSync(join(folder, file), textOf(file))
  const found: Record<string, Reach> = {}
  for (const line of textOf(report).trim().split('\n')) {
    const { test, ...reach } = JSON.parse(line)
    found[test.slice(test.indexOf('/test/') + 1)] = reach
  }
  if (status === 0 && Object.keys(found).length === tests.length) return found
  // What fails as it is notices nothing: it is left out, and told. A file that ends its process has no line.
  const failed = new Set([...(stdout + stderr).matchAll(/FAIL.*?(test\/\S+?\.test\.ts)/g)].map(([, test]) => test))
  const left = tests.filter((test) => failed.has(test) || !found[test])
  console.log(`left out, since they fail as they are: ${left.join(' ')}`)
  if (!left.length || left.length > tests.length / 2) throw new Error(`tests fail as they are:\n${stdout}${stderr}`)
  for (const test of left) found[test] = { seconds: 0, reached: [] }
  return found
}

/** The tests that come to a mutation, as many as take so long: its file's own first, its folder's next, of these the quickest. */
export function aimedAt({ file }: Mutation, number: number, reach: Record<string, Reach>, seconds: number): string[] {
  const far = (test: string) => {
    if (basename(test).replace('.slow', '') === basename(file).replace('.ts', '.test.ts')) return 0
    return dirname(test).replace(/^test/, 'src') === dirname(file) ? 1 : 2
  }
  const aimed = Object.keys(reach).filter((test) => reach[test].reached.includes(number))
  aimed.sort((a, b) => far(a) - far(b) || reach[a].seconds - reach[b].seconds)
  let left = seconds
  return aimed.filter((test) => {
    if (reach[test].seconds > left) return false
    left -= reach[test].seconds
    return true
  })
}
