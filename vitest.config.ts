import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { findChromium } from './scripts/chromium.js'
import { modelsInstalled } from './scripts/models.js'
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
  optimizeDeps: { exclude: ['onnxruntime-web'], include: ['comlink'] },
  test: {
    name: 'chromium',
    include: ['test/browser/*.test.ts'],
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

export default defineConfig({
  test: {
    projects: [node, ...(executablePath ? [chromium] : []), ...(modelsInstalled() ? [models] : [])],
    reporters: ['default', new Totals()],
  },
})
