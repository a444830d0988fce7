/** Browsers: a page by each bundler, and one without, reads digits with the packed package. */

import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { serve } from '../shared/served-folder'
import { addData, consumer, DIGITS, run } from './consumer'
import { openBrowser, show, start } from './page'

const browser = await openBrowser()
afterAll(() => browser.close())

/** What the page in this folder shows, served as it is. */
async function shown(folder: string): Promise<string> {
  const server = await serve(folder)
  try {
    return await show(browser, server.url)
  } finally {
    server.close()
  }
}

/** With the default worker, or with the file worker.js, which imports 'approxifer/worker'. */
type Which = 'the default worker' | 'a worker file of its own'
const WORKERS: Which[] = ['the default worker', 'a worker file of its own']

function page(recipe: string, tools: readonly string[], worker: Which): string {
  const folder = consumer(['page', recipe], tools)
  if (worker === 'a worker file of its own') cpSync(join(folder, 'own-worker.js'), join(folder, 'main.js'))
  return folder
}

describe.each(['vite-6', 'vite-7', 'vite-8'])('%s', (vite) => {
  const bin = `node_modules/${vite}/bin/vite.js`
  it.each(WORKERS)('dev and build, with %s', async (worker) => {
    const folder = page('vite', [vite], worker)
    addData(join(folder, 'public'))
    const dev = await start(folder, process.execPath, bin, '--host', '127.0.0.1', '--port', '0')
    try {
      expect(await show(browser, dev.url)).toBe(DIGITS)
    } finally {
      await dev.close()
    }
    await run(folder, process.execPath, bin, 'build')
    expect(await shown(join(folder, 'dist'))).toBe(DIGITS)
  })
})

describe('bundlers', () => {
  it.each(WORKERS)('webpack 5, with %s', async (worker) => {
    const folder = page('webpack', ['webpack', 'webpack-cli'], worker)
    await run(folder, process.execPath, 'node_modules/webpack-cli/bin/cli.js', 'build')
    await expectDigits(folder)
  })

  it('esbuild', async () => {
    const folder = consumer(['page', 'served', 'esbuild'], ['esbuild'])
    await run(folder, process.execPath, 'build.js')
    await expectDigits(folder)
  })

  it('rollup', async () => {
    const folder = consumer(['page', 'served', 'rollup'], ['rollup', '@rollup/plugin-node-resolve'])
    await run(folder, process.execPath, 'node_modules/rollup/dist/bin/rollup', '-c')
    await expectDigits(folder)
  })

  async function expectDigits(folder: string) {
    const dist = join(folder, 'dist')
    cpSync(join(folder, 'index.html'), join(dist, 'index.html'))
    addData(dist)
    expect(await shown(dist)).toBe(DIGITS)
  }
})

describe('a page without a bundler', () => {
  function plain(main?: string): string {
    const folder = consumer(['page', 'plain'])
    addData(folder)
    if (main) writeFileSync(join(folder, 'main.js'), main)
    return folder
  }

  it('import map, and the worker bundle', async () => {
    expect(await shown(plain())).toBe(DIGITS)
  })

  const starting = (options: string) => `import { createPredictor } from 'approxifer'
    createPredictor({ model: '/mnist-lenet.onnx', scheme: { queries: 4, stragglers: 1 }, ${options} })
      .catch((error) => { document.body.textContent = error.message })`

  /** What it says is said at once: timers of a second or more, such as those that wait for a silent worker, never fire. */
  const failing = (options: string) => `const soon = globalThis.setTimeout
    globalThis.setTimeout = (callback, ms, ...rest) => (ms < 1000 ? soon(callback, ms, ...rest) : 0)
    ${starting(options)}`

  it('the default worker cannot import onnxruntime-web there: a clear error at once', async () => {
    expect(await shown(plain(failing('')))).toMatch(/^onnxruntime-web cannot be imported.*worker\.bundle\.js/)
  })

  it.each([
    ['that is not there', "new Worker('/no-such-worker.js', { type: 'module' })"],
    ['that is a page', "new Worker('/index.html', { type: 'module' })"],
    ['whose import cannot be resolved', "new Worker('/worker.js', { type: 'module' })"],
  ])('a worker %s: an error at once that says what to do', async (_, worker) => {
    const text = await shown(plain(failing(`onnx: { createWorker: () => ${worker} }`)))
    expect(text).toMatch(/^worker 0 could not load its script.*'approxifer\/worker'.*createWorker/)
  })

  it('a worker that was bundled to nothing: a warning after 2 s that says what to do', async () => {
    const empty = "new Worker(URL.createObjectURL(new Blob([''], { type: 'text/javascript' })), { type: 'module' })"
    const told = 'onWarning: (text) => { document.body.textContent = text }'
    const text = await shown(plain(starting(`onnx: { createWorker: () => ${empty} }, ${told}`)))
    expect(text).toMatch(/^a worker has been silent for 2000 ms.*'approxifer\/worker'.*createWorker/)
  })
})
