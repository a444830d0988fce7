/** A Chromium that is driven by the DevTools protocol through a pipe: libraries of tests keep every page visible, and out of the back/forward cache. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { findChromium } from '../../scripts/programs.js'
import { until } from '../shared/waiting'

const ARGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync', '--remote-debugging-pipe'],
]

type Result = Record<string, unknown>
type Waiting = { resolve(result: Result): void; reject(error: Error): void }

export class Chromium {
  readonly #home = mkdtempSync(join(tmpdir(), 'approxifer-chromium-'))
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #id = 0

  constructor() {
    const args = [...ARGS, `--user-data-dir=${this.#home}`, 'about:blank']
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const
    this.#process = spawn(findChromium() as string, args, { stdio: [...stdio], detached: true })
    let text = ''
    const heard = this.#process.stdio[4] as Readable
    heard.setEncoding('utf8').on('data', (more: string) => {
      const messages = (text + more).split('\0')
      text = messages.pop() as string
      for (const message of messages) this.#hear(JSON.parse(message))
    })
  }

  #hear({ id, error, result }: { id?: number; error?: object; result: Result }): void {
    if (id === undefined) return
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error) waiting?.reject(new Error(JSON.stringify(error)))
    else waiting?.resolve(result)
  }

  send(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    const id = ++this.#id
    const said = this.#process.stdio[3] as Writable
    said.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** Opens a page in a window of its own. */
  async open(url: string): Promise<LivePage> {
    const { targetId } = await this.send('Target.createTarget', { url, newWindow: true })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    const { windowId } = await this.send('Browser.getWindowForTarget', { targetId })
    return new LivePage(this, sessionId as string, windowId as number)
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit')
    process.kill(-(this.#process.pid as number), 'SIGKILL')
    await ended
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 10 })
  }
}

export class LivePage {
  constructor(
    private readonly browser: Chromium,
    private readonly sessionId: string,
    private readonly windowId: number,
  ) {}

  send(method: string, params?: object): Promise<Result> {
    return this.browser.send(method, params, this.sessionId)
  }

  async evaluate<T>(expression: string): Promise<T> {
    const evaluated = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    const { result, exceptionDetails } = evaluated as { result: { value: T }; exceptionDetails?: object }
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string): Promise<void> {
    await until(() => this.evaluate(`Boolean(${expression})`).catch(() => false))
  }

  /** Its window is minimised, or comes back. */
  async show(isVisible: boolean): Promise<void> {
    const bounds = { windowState: isVisible ? 'normal' : 'minimized' }
    await this.browser.send('Browser.setWindowBounds', { windowId: this.windowId, bounds })
    await this.until(`document.visibilityState === '${isVisible ? 'visible' : 'hidden'}'`)
  }

  freeze(isFrozen: boolean): Promise<unknown> {
    return this.send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' })
  }

  /** Goes to another page. @returns goes back */
  async leave(url: string): Promise<() => Promise<void>> {
    await this.send('Page.navigate', { url })
    await this.until(`location.href === '${url}' && document.readyState === 'complete'`)
    return async () => {
      const history = await this.send('Page.getNavigationHistory')
      const { currentIndex, entries } = history as { currentIndex: number; entries: { id: number }[] }
      await this.send('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1].id })
      await this.until(`location.href !== '${url}' && document.readyState === 'complete'`)
    }
  }
}
