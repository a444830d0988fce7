/** A hidden page, whose `setTimeout` fires late: here it does not fire at all. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { pageTimers } from '../src/base/page-timers'

class FakePage {
  hidden = false
  readonly #listeners = new Map<string, () => void>()

  addEventListener = ((name: string, listener: () => void) => void this.#listeners.set(name, listener)) as never

  tell(name: 'visibilitychange' | 'freeze' | 'resume'): void {
    this.#listeners.get(name)?.()
  }

  hide(hidden: boolean): void {
    this.hidden = hidden
    this.tell('visibilitychange')
  }
}

const wait = globalThis.setTimeout
const passed = (ms: number) => new Promise((resolve) => wait(resolve, ms))

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

it('a timer is in time while the page is hidden, and fires once', async () => {
  const page = new FakePage()
  const after = pageTimers(page)
  page.hide(true)
  const f = vi.fn()
  const since = performance.now()
  const rung = new Promise<void>((resolve) => after(30, () => resolve(f())))
  await rung
  expect(performance.now() - since).toBeGreaterThanOrEqual(29)
  page.hide(false)
  await vi.advanceTimersByTimeAsync(1000)
  expect(f).toHaveBeenCalledOnce()
})

it('so is one that was set before', async () => {
  const page = new FakePage()
  const after = pageTimers(page)
  const rung = new Promise<void>((resolve) => void after(30, resolve))
  page.hide(true)
  await rung
})

it('none fires after it was cancelled', async () => {
  const page = new FakePage()
  page.hidden = true
  const f = vi.fn()
  pageTimers(page)(10, f)()
  await passed(50)
  await vi.advanceTimersByTimeAsync(1000)
  expect(f).not.toHaveBeenCalled()
})

it('none fires in a frozen page, which hears of no answer, but when it goes on', async () => {
  const page = new FakePage()
  const after = pageTimers(page)
  page.hide(true)
  const f = vi.fn()
  after(10, f)
  page.tell('freeze')
  await passed(50)
  expect(f).not.toHaveBeenCalled()
  page.tell('resume')
  await passed(50)
  expect(f).toHaveBeenCalledOnce()
})

it('a visible page has the timers that all have', async () => {
  const f = vi.fn()
  pageTimers(new FakePage())(10, f)
  await passed(50)
  expect(f).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(10)
  expect(f).toHaveBeenCalledOnce()
})
