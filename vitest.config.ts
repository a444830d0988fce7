import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { connectTimeout, installed, installedBrowsers } from './scripts/browsers.js'
import { isInstalled } from './scripts/packages.js'
import Totals from './scripts/totals.js'

/** For programs that live for seconds. Browsers, and the consumers of the packed package, are as users have them. */
const tiering = fileURLToPath(new URL('scripts/tiering.cjs', import.meta.url))
const env = { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require ${JSON.stringify(tiering)}`.trim() }

/** For tests that hang; how fast a machine is decides nothing. */
const limits = { testTimeout: 300_000, hookTimeout: 300_000 }

/** The longest by far in CI. Where nothing is known of earlier runs small files come last, as these are, and the other cores would wait for them. */
const LONGEST = [
  ...[
    'consumers/typescript',
    'consumers/pages',
    'predictor/chaos.slow',
    'consumers/bundlers',
    'predictor/fast-failures.slow',
  ],
  ...[
    'consumers/browser-example',
    'consumers/runtimes',
    'consumers/edge-bundlers',
    'simulation/simulate.slow',
    'cli/serve-desired.slow',
    'cli/demo.slow',
  ],
  ...['simulation/wire.slow', 'simulation/explore.slow'],
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rankOf = ({ moduleId }: TestSpecification) =>
      LONGEST.findIndex((name) => moduleId.endsWith(`${name}.test.ts`))
    const long = sorted.filter((file) => rankOf(file) >= 0).sort((a, b) => rankOf(a) - rankOf(b))
    return [...long, ...sorted.filter((file) => rankOf(file) < 0)]
  }
}

/** Windows has no SIGTERM: there a server that a test stops is killed, and cannot end what it has begun. */
const withoutSignals = process.platform === 'win32' ? ['test/cli/**'] : []

/**
 * What `npm test` leaves out, so that it takes three minutes: files of more than about five seconds, unless they have many tests. A name
 * says so where one looks for a test, and a list in this file would not.
 */
const SLOW = 'test/**/*.slow.test.ts'
const shared = { setupFiles: 'test/shared/typed-arrays.ts', env, ...limits }

/** All that `npm test` runs. */
const node: TestProjectConfiguration = {
  test: {
    name: 'node',
    include: ['test/**/*.test.ts'],
    exclude: ['test/{browser,consumers,models,runtimes}/**', SLOW, ...withoutSignals],
    ...shared,
  },
}

const isNode = !('Deno' in globalThis || 'Bun' in globalThis)

/** Tests of Node that take what another runtime may have in another form: threads, sockets, streams, element types. */
const PORTABLE = ['test/workers/{local,nats}/contract.test.ts', 'test/workers/http/{element-types,tls}.test.ts']

/** The same tests in Node, Deno, Bun and, as a part of the project below, in browsers. */
const runtimes: TestProjectConfiguration = {
  test: {
    name: 'runtimes',
    include: ['test/runtimes/*.test.ts', ...(isNode ? [] : PORTABLE)],
    globalSetup: 'test/runtimes/setup.ts',
    pool: 'forks', // Deno's threads lack a method that vitest calls
    ...shared,
  },
}

const slow: TestProjectConfiguration = { test: { name: 'slow', include: [SLOW], ...shared } }

const models: TestProjectConfiguration = {
  resolve: { alias: { approxifer: fileURLToPath(new URL('dist/node/index.js', import.meta.url)) } },
  test: { name: 'models', include: ['test/models/*.test.ts'], env, ...limits },
}

const browsers: TestProjectConfiguration = {
  optimizeDeps: { exclude: ['onnxruntime-web'], include: ['comlink', '@nats-io/nats-core'] },
  test: {
    name: 'browsers',
    include: ['test/{browser,runtimes}/*.test.ts'],
    globalSetup: ['test/browser/setup.ts', 'test/runtimes/setup.ts'],
    testTimeout: 300_000, // WebKit compiles a model's runtime for each worker anew
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: installed,
      connectTimeout,
      instances: installedBrowsers.map((browser) => ({ browser, name: browser })),
    },
  },
}

const consumers: TestProjectConfiguration = {
  test: {
    name: 'consumers',
    include: ['test/consumers/*.test.ts'],
    globalSetup: 'test/consumers/setup.ts',
    ...limits,
  },
}

const inNode = [
  slow,
  node,
  runtimes,
  ...(installedBrowsers.length ? [browsers] : []),
  ...(isInstalled('models') ? [models] : []),
  ...(isInstalled('consumers') ? [consumers] : []),
]

export default defineConfig({
  // One more than there are cores, since some tests wait. By default vitest leaves a core to itself, half of a machine with two.
  test: {
    projects: isNode ? inNode : [runtimes],
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    silent: 'passed-only', // the package warns where a test makes it warn
    reporters: ['default', new Totals()],
  },
})
