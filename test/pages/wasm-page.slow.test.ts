/** The page that compares WASM with JavaScript, in Chromium, as on a phone: its button is pressed, and what then stands there is looked at. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../../scripts/programs.js'
import { buildPage } from '../../scripts/wasm-page'
import { serve } from '../shared/served-folder'

const PHONE = { width: 390, height: 844 }

describe.skipIf(!findChromium())('the page that compares WASM with JavaScript', () => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-wasm-page-'))
  let served: Awaited<ReturnType<typeof serve>>
  let browser: Browser

  beforeAll(async () => {
    await buildPage(folder)
    served = await serve(folder)
    browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] })
  })
  afterAll(async () => {
    await browser?.close()
    served?.close()
    rmSync(folder, { recursive: true })
  })

  it('fetches little before its button is pressed, then shows what was equal, a table and a plot', async () => {
    const page = await browser.newPage({ viewport: PHONE })
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    let bytes = 0
    page.on('response', async (response) => {
      bytes += (await response.body()).length
    })
    await page.goto(`${served.url}?most=100`)
    await page.waitForLoadState('networkidle')
    expect(bytes).toBeLessThan(10_000)
    await page.getByRole('button', { name: 'Run it in this browser' }).click()
    await page.getByRole('table').waitFor({ timeout: 120_000 })
    const status = await page.getByRole('status').textContent()
    expect(Number(/^([\d,]+) values are equal to the bit/.exec(status ?? '')?.[1].replaceAll(',', ''))).toBeGreaterThan(
      1000,
    )
    expect(await page.getByRole('row').count()).toBe(9)
    expect(await page.locator('td').first().textContent()).toMatch(/^\d+(\.\d)?$/)
    const verdict = await page.locator('#comparison > div > p').last().textContent()
    expect(verdict).toMatch(/^Here, of sizes up to 100 values, WASM is faster than JavaScript (at|from) .* for .*\.$/)
    expect(await page.getByRole('link').first().getAttribute('href')).toBe('../')
    const plot = page.getByRole('img')
    expect(await plot.locator('path[fill=none]').count()).toBe(8)
    expect(await plot.innerHTML()).not.toMatch(/NaN|Infinity/)
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
    await page.evaluate(readFileSync('node_modules/axe-core/axe.min.js', 'utf8'))
    expect(await page.evaluate('axe.run().then(({ violations }) => violations.map(({ id }) => id))')).toEqual([])
    expect(errors).toEqual([])
  })
})
