/** The site of the documentation, built as `npm run docs` does, and visited in Chromium: on a desktop and on a phone, light and dark. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PARTS } from '../scripts/docs-rules'
import { findChromium } from '../scripts/programs.js'
import { serve } from './shared/served-folder'

const SITE = 'build/site'

beforeAll(() => {
  execFileSync('npx', ['tsx', 'scripts/docs.ts'], { stdio: 'pipe' })
})

it('has a page for each page, each entry of the package, the film and the comparison', () => {
  for (const path of Object.values(PARTS).flat()) expect(existsSync(path.replace('docs', SITE).replace(/md$/, 'html')), path).toBe(true) // biome-ignore format: one line
  for (const entry of ['index', 'codec', 'gateway', 'http', 'layers', 'nats', 'testing']) {
    expect(readFileSync(`${SITE}/reference/api/${entry}.html`, 'utf8').length).toBeGreaterThan(10_000)
  }
  for (const page of ['film', 'wasm']) expect(existsSync(`${SITE}/${page}/index.html`), page).toBe(true)
})

describe.skipIf(!findChromium())('in Chromium', () => {
  let [browser, served]: [Browser, Awaited<ReturnType<typeof serve>>] = [] as never
  beforeAll(async () => {
    served = await serve(SITE)
    browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] })
  })
  afterAll(async () => {
    await browser?.close()
    served?.close()
  })

  it.each([
    ['on a desktop', { width: 1280, height: 900 }, 'light'],
    ['on a desktop', { width: 1280, height: 900 }, 'dark'],
    ['on a phone', { width: 390, height: 844 }, 'light'],
    ['on a phone', { width: 390, height: 844 }, 'dark'],
  ] as const)(
    '%s of %o, %s: nothing is wider than the page, each picture is there, axe finds nothing serious',
    async (_, viewport, colorScheme) => {
      const page = await browser.newPage({ viewport, colorScheme })
      const errors: string[] = []
      page.on('pageerror', (error) => errors.push(String(error)))
      for (const path of [
        'index',
        'start',
        'how-to/p99',
        'how-it-works/code',
        'reference/options',
        'appendix/performance',
      ]) {
        await page.goto(`${served.url}${path}.html`)
        await page.waitForLoadState('networkidle')
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), path).toBeLessThanOrEqual(
          0,
        )
        const missing = () =>
          [...document.images].filter((each) => each.complete && !each.naturalWidth).map(({ src }) => src)
        expect(await page.evaluate(missing)).toEqual([])
        await page.evaluate(readFileSync('node_modules/axe-core/axe.min.js', 'utf8'))
        const found = await page.evaluate<string[]>(
          "axe.run('#VPContent').then(({ violations }) => violations.filter(({ impact }) => impact === 'critical').map(({ id }) => id))",
        )
        expect(found, path).toEqual([])
      }
      expect(errors).toEqual([])
      await page.close()
    },
  )

  it('the first page leads to the film, by its button and by its picture', async () => {
    const page = await browser.newPage()
    for (const way of ['.VPHero a[href*="film"]', '.vp-doc a[href*="film"]']) {
      await page.goto(`${served.url}index.html`)
      await page.locator(way).first().click()
      await page.waitForURL(/film\/index\.html$/)
      expect(await page.title()).toMatch(/nine machines/)
    }
    await page.close()
  })

  it('a search for a term or for its name elsewhere finds its page, programs are not cut off, and a term is linked to the glossary where it first stands', async () => {
    const page = await browser.newPage()
    await page.goto(`${served.url}start.html`)
    const cut = () =>
      [...document.querySelectorAll('.vp-doc pre')].filter((each) => each.scrollWidth > each.clientWidth).length
    await page.setViewportSize({ width: 1440, height: 900 })
    expect(await page.evaluate(cut), 'programs that are cut off').toBe(0)
    expect(await page.locator('.vp-doc a.term').count()).toBeGreaterThan(3)
    const words = await page
      .locator('.vp-doc a.term')
      .evaluateAll((links) => links.map((link) => link.getAttribute('href')))
    expect(new Set(words).size).toBe(words.length)
    await page.getByRole('button', { name: 'Search' }).first().click()
    await page.getByRole('searchbox').fill('straggler')
    await page.locator('#localsearch-list a').first().waitFor()
    expect(await page.locator('#localsearch-list').textContent()).toMatch(/straggler/i)
    await page.getByRole('searchbox').fill('timeout')
    await page.locator('#localsearch-list mark', { hasText: 'deadlineMs' }).first().waitFor()
    await page.close()
  })
})
