/** Pages in a headless Chromium, and server programs. */

import { type ChildProcess, spawn } from 'node:child_process'
import { chromium } from 'playwright-core'
import { findChromium } from '../../scripts/programs.js'
import { PATIENCE_MS } from '../shared/waiting'

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
const args = [...quiet, '--disable-component-update', '--disable-sync']

export const openBrowser = () => chromium.launch({ executablePath: findChromium(), args })
type Browser = Awaited<ReturnType<typeof openBrowser>>

/** Opens a page and waits until it shows something, or throws. @returns its text, or its errors */
export async function show(browser: Browser, url: string): Promise<string> {
  const context = await browser.newContext()
  try {
    context.setDefaultTimeout(PATIENCE_MS)
    const page = await context.newPage()
    const failed = new Promise<string>((resolve) => page.on('pageerror', ({ message }) => resolve(message)))
    await page.goto(url)
    const shown = page.waitForFunction(() => document.body?.textContent?.trim())
    return await Promise.race([failed, shown.then((text) => text.jsonValue() as Promise<string>)])
  } finally {
    await context.close()
  }
}

/** Starts a server program and waits for the first URL that it prints not in quotation marks, which stand around URLs of its settings. */
export async function start(cwd: string, command: string, ...args: string[]) {
  const child: ChildProcess = spawn(command, args, { cwd, env: { ...process.env, NO_COLOR: '1' } })
  let said = ''
  const url = await new Promise<string>((resolve, reject) => {
    const listen = (text: Buffer) => {
      said += text
      const found = /(?<!")http:\/\/[^\s`]+/.exec(said)
      if (found) resolve(found[0])
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.on('exit', (code) => reject(new Error(`${command} ${args.join(' ')}: exit ${code}\n${said}`)))
  })
  const gone = new Promise<number | null>((resolve) => child.on('exit', resolve))
  /** Resolves to the exit code. */
  const close = () => {
    child.kill()
    return gone
  }
  return { url, pid: child.pid as number, close }
}
