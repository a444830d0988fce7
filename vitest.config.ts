import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { modelsInstalled } from './scripts/models.js'
import { findChromium } from './scripts/programs.js'
import Totals from './scripts/totals.js'

const executablePath = findChromium()

const node: TestProjectConfiguration = {
  test: { name: 'node', include: ['test/*.test.ts'], testTimeout: 60_000 },
}

const models: TestProjectConfiguration = {
  resolve: { alias: { approxifer: fileURLToPath(new URL('dist/index.js', import.meta.url)) } },
  test: { name: 'models', include: ['test/models/*.test.ts'], testTimeout: 60_000 },
}

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
const args = [...quiet, '--disable-component-update', '--disable-sync']

const chromium: TestProjectConfiguration = {
  resolve: { alias: { approxifer: fileURLToPath(new URL('dist/index.web.js', import.meta.url)) } },
  optimizeDeps: { exclude: ['onnxruntime-web'], include: ['comlink', '@nats-io/nats-core'] },
  test: {
    name: 'chromium',
    include: ['test/browser/*.test.ts'],
    globalSetup: 'test/browser/setup.ts',
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath, args } }),
      instances: [{ browser: 'chromium' }],
    },
  },
}

const consumers: TestProjectConfiguration = {
  test: {
    name: 'consumers',
    include: ['test/consumers/*.test.ts'],
    globalSetup: 'test/consumers/setup.ts',
    testTimeout: 120_000,
    maxWorkers: 2,
    sequence: { groupOrder: 1 }, // after the others, some of which measure time
  },
}

const projects = [
  node,
  ...(executablePath ? [chromium] : []),
  ...(modelsInstalled() ? [models] : []),
  ...(process.env.CI ? [consumers] : []),
]

export default defineConfig({
  test: { projects, reporters: ['default', new Totals()] },
})
