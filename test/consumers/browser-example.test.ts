/** examples/browser: a visitor draws digits in every installed browser, as the dev server has the page and as it is built. */

import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installedBrowsers, openPage } from '../../scripts/browsers.js'
import { PATIENCE_MS } from '../shared/waiting'
import { addPackages, consumer, run, TOOLS } from './consumer'
import { openBrowser, start } from './page'

const here = fileURLToPath(new URL('.', import.meta.url))
const EXAMPLE = join(here, '../../examples/browser')
const [VITE, CREATE_VITE] = ['vite-8/bin/vite.js', 'create-vite/index.js'].map((path) => join(TOOLS, path))
const HOST = ['--host', '127.0.0.1', '--port', '0']

const OWN_ANSWER = /^the model's own answer, \d+ ms$/
const DIGITS = [...'0123456789']

type Server = Awaited<ReturnType<typeof start>>

interface Answer {
  digit: string
  how: string
}

interface Report {
  drawn: Answer
  keys: Answer[]
  buttons: Answer[]
  errors: string[]
}

type Box = Awaited<ReturnType<Locator['boundingBox']>>

/** A server that takes the visitor's report. */
async function listen() {
  let [hasAsked, reported] = [false, (_: string) => {}]
  const report = new Promise<string>((resolve) => {
    reported = resolve
  })
  const server = createServer(async (request, response) => {
    hasAsked = true
    if (request.method === 'POST') reported(await text(request))
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return { url, report, hasAsked: () => hasAsked, close: () => server.close() }
}

/** What a visitor reports of the page at this address, in this browser. */
async function visit(browser: string, page: string): Promise<Report> {
  const server = await listen()
  const shown = await openPage(browser, `${page}?${server.url}`, server.hasAsked)
  try {
    return JSON.parse(await server.report)
  } finally {
    await shown.end()
    server.close()
  }
}

describe('what npm create vite makes, with the example pasted over it', () => {
  let folder: string
  beforeAll(async () => {
    const parent = consumer([])
    await run(parent, process.execPath, CREATE_VITE, 'digits', '--template', 'vanilla', '--no-interactive')
    folder = join(parent, 'digits')
    for (const name of ['index.html', 'src']) cpSync(join(EXAMPLE, name), join(folder, name), { recursive: true })
    addPackages(folder)
    cpSync(join(here, 'visitor.js'), join(folder, 'public/visitor.js'))
    const html = join(folder, 'index.html')
    writeFileSync(html, readFileSync(html, 'utf8').replace('<head>', '<head><script src="/visitor.js"></script>'))
    await run(folder, process.execPath, VITE, 'build')
  })

  describe.each([
    ['dev server', []],
    ['build', ['preview']],
  ])('%s', (_, command) => {
    let server: Server
    beforeAll(async () => {
      server = await start(folder, process.execPath, VITE, ...command, ...HOST)
    })
    afterAll(() => server?.close())

    it.each(installedBrowsers)('reads what is drawn, and every sample, in %s', async (browser) => {
      const { drawn, keys, buttons, errors } = await visit(browser, server.url)
      expect(errors).toEqual([])
      expect(drawn).toEqual({ digit: '7', how: expect.stringMatching(OWN_ANSWER) })
      for (const answers of [keys, buttons]) {
        expect(answers.map(({ digit }) => digit)).toEqual(DIGITS)
        for (const { how } of answers) expect(how).toMatch(OWN_ANSWER)
      }
    })
  })
})

describe('by itself, in Chromium', () => {
  let server: Server
  let browser: Browser
  beforeAll(async () => {
    const folder = consumer([EXAMPLE])
    await run(folder, process.execPath, VITE, 'build')
    server = await start(folder, process.execPath, VITE, 'preview', ...HOST)
    browser = await openBrowser()
  })
  afterAll(() => Promise.all([browser?.close(), server?.close()]))

  /** A page at the example, once `prepare` has had it. */
  async function open(prepare: (page: Page) => Promise<unknown> = async () => {}) {
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } })
    page.setDefaultTimeout(PATIENCE_MS)
    await prepare(page)
    await page.goto(server.url)
    return page
  }
  const textOf = (page: Page, id: string, pattern: RegExp) =>
    page.locator(id, { hasText: pattern }).textContent() as Promise<string>

  /** Draws a line through these places, in shares of the pad. */
  async function draw(page: Page, ...places: [number, number][]) {
    const { x, y, width, height } = (await page.locator('#pad').boundingBox()) as NonNullable<Box>
    const [first, ...others] = places.map(([column, row]) => [x + column * width, y + row * height] as const)
    await page.mouse.move(...first)
    await page.mouse.down()
    for (const place of others) await page.mouse.move(...place, { steps: 2 })
    await page.mouse.up()
  }

  it('reads a digit drawn by a mouse, and asks nobody else for anything', async () => {
    const others: string[] = []
    const page = await open(async (page) => {
      page.on('request', (request) => {
        const url = request.url()
        if (!/^(blob|data):/.test(url) && !url.startsWith(server.url)) others.push(url)
      })
    })
    await textOf(page, '#how', /Ready/)
    await draw(page, [0.5, 0.15], [0.5, 0.85])
    expect(await textOf(page, '#how', /answer/)).toMatch(OWN_ANSWER)
    expect(await page.locator('#digit').textContent()).toBe('1')
    const bars = await page.locator('#bars li').allTextContents()
    expect(bars.map((bar) => bar.split(' ')[0])).toEqual(DIGITS)
    expect(bars.reduce((sum, bar) => sum + Number.parseInt(bar.split(' ')[1], 10), 0)).toBeGreaterThan(95)
    expect(others).toEqual([])
    await page.close()
  })

  it('says how many bytes have come, of how many, and reads then what was drawn meanwhile', async () => {
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const page = await open((page) =>
      page.route('**/*.wasm', async (route) => {
        await held
        await route.continue()
      }),
    )
    await page.keyboard.press('4')
    expect(await textOf(page, '#how', /./)).toMatch(/^Loading/)
    const said: string[] = []
    await page.exposeFunction('said', (text: string) => said.push(text))
    await page.evaluate(() => {
      const bytes = document.querySelector('#bytes') as Element
      new MutationObserver(() => (globalThis as any).said(bytes.textContent)).observe(bytes, { childList: true })
    })
    goOn()
    await textOf(page, '#digit', /4/)
    expect(said[0]).toMatch(/^\d+\.\d of 14\.\d MB$/)
    expect(said.at(-1)).toMatch(/^14\.\d of 14\.\d MB, starting two workers \.\.\.$/)
    await page.close()
  })

  it('kills a worker when asked to, and says who answered instead', async () => {
    const page = await open()
    await textOf(page, '#how', /Ready/)
    expect(await page.locator('#kill').isVisible()).toBe(false)
    await page.keyboard.press('7')
    await textOf(page, '#how', /answer/)
    await page.locator('#kill').click()
    const told = await textOf(page, '#story', /./)
    expect(told).toMatch(
      /^You killed (worker [01]); it restarts by itself\. (?!\1)(worker [01]|The memory) answered: still a 7\. So far \d+ answers recovered from the memory, 0 lost\.$/i,
    )
    for (const _ of [1, 2]) {
      await page.evaluate(() => Object.assign(document.querySelector('#story') as Element, { textContent: '' }))
      await page.locator('#kill').click()
      expect(await textOf(page, '#story', /./)).toMatch(
        /^You killed (worker [01]); .*((\1 answered after its restart)|(?!\1)(worker [01]|The memory) answered): still a 7\. .* 0 lost\.$/i,
      )
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
    await page.close()
  })

  it('says that an answer is recovered, and how sure it is, where no worker answers any more', async () => {
    const page = await open((page) =>
      page.addInitScript(`
        globalThis.workers = []
        globalThis.Worker = class extends Worker {
          constructor(...parameters) {
            super(...parameters)
            workers.push(this)
          }
        }`),
    )
    await textOf(page, '#how', /Ready/)
    /** Draws a 1 or a 7, each a little different. */
    const ask = async (i: number) => {
      const near = (at: number, place: number) => at + 0.07 * Math.sin(12.9898 * i + 78.233 * place)
      const seven = [
        [0.28, 0.2],
        [0.72, 0.2],
        [0.45, 0.85],
      ]
      const one = [
        [0.5, 0.15],
        [0.5, 0.85],
      ]
      const places = [one, seven][i % 2].map(
        ([x, y], place) => [near(x, place), near(y, place + 7)] as [number, number],
      )
      await page.keyboard.press('1') // the stroke after a sample begins anew
      await page.evaluate(() => Object.assign(document.querySelector('#how') as Element, { textContent: '' }))
      await draw(page, ...places)
      return textOf(page, '#how', /./)
    }
    for (let i = 0; i < 150; i++) await ask(i)
    let told = ''
    for (let i = 0; !told.startsWith('recovered') && i < 10; i++) {
      // All but the third, the memory's: it is silent, and no event says that it has ended.
      await page.evaluate('workers.forEach((worker, i) => i !== 2 && worker.terminate())')
      told = await ask(i)
    }
    expect(told).toMatch(/^recovered from the memory, \d+ % sure$/)
    await page.close()
  })

  it.each([
    ['the model is not there', /the server does not have .*mnist-lenet.*\.onnx/, '**/*.onnx', { status: 404 }],
    ['the server answers with a page', /the server does not have .*\.wasm/, '**/*.wasm', { contentType: 'text/html' }],
  ])('says why it cannot: %s', async (_, words, path, answer) => {
    const page = await open((page) => page.route(path, (route) => route.fulfill(answer)))
    expect(await textOf(page, '#how', /^No digit/)).toMatch(words)
    await page.close()
  })

  it('says why it cannot: no network', async () => {
    const page = await open((page) => page.route('**/*.onnx', (route) => route.abort()))
    expect(await textOf(page, '#how', /^No digit/)).toMatch(/could not be fetched\. Is there a network\?$/)
    await page.close()
  })

  it('says why it cannot: no WebAssembly', async () => {
    const page = await open((page) => page.addInitScript('delete globalThis.WebAssembly'))
    expect(await textOf(page, '#how', /^No digit/)).toMatch(/no WebAssembly/)
    await page.close()
  })
})
