/** npm run docs:card: the picture that is shown with links to the documentation, docs/public/card.png, from site/card.svg, in Chromium. */

import { chromium } from 'playwright-core'
import { findChromium } from './programs.js'

const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] })
const page = await browser.newPage({ viewport: { width: 1200, height: 630 }, colorScheme: 'light' })
await page.goto(new URL('../site/card.svg', import.meta.url).href)
await page.screenshot({ path: 'docs/public/card.png' })
await browser.close()
