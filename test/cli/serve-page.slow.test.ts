/** The page of operators in browsers, in front of a real `approxifer serve` that answers queries. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { installedBrowsers, startBrowser } from '../../scripts/browsers.js'
import { findChromium } from '../../scripts/programs.js'
import { scratch } from '../shared/cli'
import { json, LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const DESKTOP: BrowserContextOptions = { viewport: { width: 1180, height: 900 }, colorScheme: 'light' }
const PHONE: BrowserContextOptions = {
  ...{ viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  ...{ isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
}

/** Asks it, until it is stopped. */
function keepAsking(served: Served, headers = {}): () => void {
  const timer = setInterval(() => served.infer(json(), { headers }).catch(() => {}), 50)
  return () => clearInterval(timer)
}

/** Pixels of the lanes that are drawn. */
const drawn = (page: Page) =>
  page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('.lanes canvas')
    if (!canvas?.width) return 0
    const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(
      0,
      0,
      canvas.width,
      canvas.height,
    )
    return data.filter((value, i) => i % 4 === 3 && value).length
  })

const textOf = async (page: Page, selector: string) => String(await page.textContent(selector))
const status = (page: Page) => textOf(page, '[role=status]')
const enter = async (page: Page, token: string) => {
  await page.fill('#token', token)
  await page.keyboard.press('Enter')
}

/** Hands bytes on, and cuts connections off. */
async function cable(port: number) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const other = connect(port, '127.0.0.1')
    for (const [from, to] of [[socket, other] as const, [other, socket] as const]) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close: () => (cut(), server.close()),
  }
}

describe.skipIf(!findChromium())('in Chromium', () => {
  const { folder } = scratch()
  let browser: Browser
  let stop = () => {}
  let served: Served
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: findChromium(), args: QUIET })
  })
  afterAll(() => browser.close())
  afterEach(async () => {
    stop()
    await served.stop()
  })

  /** A page, and what should not have happened in it. */
  async function open(url: string, options: BrowserContextOptions = DESKTOP) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const faults: string[] = []
    page.on('pageerror', ({ message }) => faults.push(message))
    page.on('console', (message) => {
      const isRefusal = /status of 40[13]/.test(message.text()) // the browser's own line about a refused request
      if (message.type() === 'error' && !isRefusal) faults.push(message.text())
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(request.url())
    })
    await page.goto(url)
    return { page, faults, close: () => context.close() }
  }

  it.each([
    ['a desktop, light', DESKTOP],
    ['a phone, dark', PHONE],
  ])('asks for a token, and shows models, workers and how to ask: %s', async (_, options) => {
    const file = join(folder, 'page.yaml')
    const model = JSON.stringify({ model: join(process.cwd(), LENET), workers: 2 })
    const tokens = '[{ token: all }, { token: some, models: [digits] }]'
    writeFileSync(file, `models: { digits: ${model}, others: ${model} }\ntokens: ${tokens}\n`)
    served = await Served.start(['--config', file])
    stop = keepAsking(served, { authorization: 'Bearer all' })
    const { page, faults, close } = await open(served.url, options)

    await page.waitForSelector('#token')
    expect(await status(page)).toBe('This server tells nothing without a token.')
    expect(await textOf(page, 'main')).not.toMatch(/digits|worker/)
    await enter(page, 'another')
    await until(async () => (await status(page)) === 'The server does not know this token.')
    await enter(page, 'some')
    await until(async () => /for some of the models/.test(await status(page)))
    await enter(page, 'all')
    await page.waitForSelector('.lanes canvas')
    expect(await status(page)).toMatch(/^Connected/)
    expect(await page.evaluate(() => Object.values(sessionStorage))).toEqual(['all'])

    await until(async () => (await drawn(page)) > 1000)
    await until(async () => /answers a second.* 2 of 2 workers up/.test(await textOf(page, '.summary')))
    await until(async () => (await textOf(page, '[aria-labelledby=answers]')).includes('the model’s own answer'))
    expect(await textOf(page, '[aria-labelledby=asking]')).toMatch(/input\s*FP32\s*any × 1 × 28 × 28/)
    const lanes = await page.locator('.lanes').boundingBox()
    expect(lanes?.y).toBeLessThan(options === PHONE ? 350 : 250) // they come first
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)

    const found = await page.evaluate(`${AXE}; axe.run().then(({ violations }) => violations.map(({ id, impact }) => [id, impact]))`) // biome-ignore format: one line
    expect(found).toEqual([])

    const code = await textOf(page, 'pre.client')
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], { env: { ...process.env, TOKEN: 'all' } }) // biome-ignore format: one line
    expect(String(printed)).toMatch(/logits \[ 1, 10 \][\s\S]*how it was answered: \[ 'exact' \]/)
    const line = await textOf(page, 'pre.curl')
    expect(line.split('\n').length).toBe(1)
    expect(execFileSync('sh', ['-c', line], { env: { ...process.env, TOKEN: 'all' }, stdio: 'pipe' }).toString()).toContain('"logits"') // biome-ignore format: one line

    await page.selectOption('#model', 'others')
    await until(async () => (await textOf(page, '#asking')) === 'Ask others')
    await until(async () => (await drawn(page)) === 0) // nobody asks it
    await page.click('text=forget the token')
    await page.waitForSelector('#token')
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0)
    expect(faults).toEqual([])
    await close()
  })

  it('without tokens asks for none; a stream that is lost is read again, from before it was lost', async () => {
    served = await Served.start([`digits=${LENET}`, '--workers', '2'])
    stop = keepAsking(served)
    const wire = await cable(served.port)
    const { page, close } = await open(wire.url)
    await until(async () => (await drawn(page)) > 1000)
    expect(await page.locator('#token').count()).toBe(0)
    const asked = page.waitForRequest(/\/events\?since=/)
    wire.cut()
    await asked
    await until(async () => (await status(page)).startsWith('Connected again'))
    await until(async () => (await drawn(page)) > 1000)
    wire.close()
    await until(async () => /cannot be reached.*again in 2 s/.test(await status(page)))
    await close()
  })

  it('of a thousand workers shows those in trouble and the busiest, and says how many more there are', async () => {
    served = await Served.start([`digits=${LENET}`, '--workers', '1'])
    const workerOf = (i: number) => ({
      ...{ worker: `worker ${i}`, state: i % 300 ? 'up' : 'gone', expectedMs: 5, slots: 1, onTime: 1000 - i, late: 0 },
      ...{ failed: 0, proven: 0, lies: 0, ejections: 0, rightAnswersLeft: 0 },
    })
    const workers = Array.from({ length: 1000 }, (_, i) => workerOf(i))
    const states = { up: 996, new: 0, earning: 0, failing: 0, gone: 4, ejected: 0 }
    const told = [...workers.filter(({ state }) => state === 'gone'), ...workers].slice(0, 100)
    const models = [{ model: 'digits', open: 0, versions: [], states, workers: told }]
    const context = await browser.newContext(DESKTOP)
    const page = await context.newPage()
    await page.route('**/metrics', (route) => route.fulfill({ json: { models } }))
    await page.goto(served.url)
    await page.waitForSelector('.lane')
    const lanes = await page.locator('.lane .name').allTextContents()
    expect([lanes.length, ...lanes.filter((_, i) => i > 20)]).toEqual([24, 'worker 300', 'worker 600', 'worker 900'])
    expect(await textOf(page, '[aria-labelledby=lanes]')).toContain('and 976 more workers')
    await context.close()
  })

  it('a hidden page draws nothing and follows nothing', async () => {
    served = await Served.start([`digits=${LENET}`, '--workers', '1'])
    stop = keepAsking(served)
    const clients = async () => (await served.metrics()).get('approxifer_events_clients')
    const { page, close } = await open(served.url)
    await until(async () => (await drawn(page)) > 1000)
    expect(await clients()).toBe(1)
    const turn = (isHidden: boolean) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
      }, isHidden)
    await turn(true)
    await until(async () => (await clients()) === 0)
    const image = () => page.evaluate(() => document.querySelector('canvas')?.toDataURL())
    const before = await image()
    await page.waitForTimeout(500)
    expect(await image()).toBe(before)
    await turn(false)
    await until(async () => (await clients()) === 1)
    await until(async () => (await image()) !== before)
    await close()
  })
})

it.each(installedBrowsers)('%s follows what happens', async (name) => {
  const served = await Served.start([`digits=${LENET}`, '--workers', '1'])
  const shown = startBrowser(name, served.url)
  await until(async () => (await served.metrics()).get('approxifer_events_clients') === 1)
  await shown.end()
  await served.stop()
})
