/**
 * Timers of a page that is hidden now and then. Browsers let a hidden page's timers fire once a second, and after five minutes once a minute.
 * A wait on shared memory ends in time: after 50 ms where `setTimeout` takes 1,000 (Chromium 156).
 */

interface PageTimer {
  readonly dueAt: number
  readonly f: () => void
  timeout: ReturnType<typeof setTimeout> | undefined
}

type Wait = (cells: Int32Array, at: number, value: number, ms: number) => { value: Promise<unknown> | string }

/**
 * @returns `Clock.after` of a page. A function without a class, which bundlers would keep in codecs without timers
 */
export function pageTimers(
  page: Pick<Document, 'hidden' | 'addEventListener'>,
): (ms: number, f: () => void) => () => void {
  const open = new Set<PageTimer>()
  const wait = (Atomics as { waitAsync?: Wait }).waitAsync
  const cells = wait && sharedCells()
  /** A frozen page gets no messages, and timers that fired all the same would find every worker silent. */
  let isFrozen = false

  const end = (timer: PageTimer) => {
    clearTimeout(timer.timeout)
    return open.delete(timer)
  }
  const ring = (timer: PageTimer) => {
    if (end(timer)) timer.f()
  }
  const start = (timer: PageTimer) => {
    const leftMs = timer.dueAt - performance.now()
    clearTimeout(timer.timeout)
    timer.timeout = setTimeout(() => ring(timer), Math.max(0, leftMs))
    if (!page.hidden || !wait || !cells) return
    const waiting = wait(cells, 0, 0, Math.max(1, leftMs)) // without time it would not wait at all
    void Promise.resolve(waiting.value).then(() => isFrozen || ring(timer))
  }
  const restart = () => {
    for (const timer of open) start(timer)
  }
  page.addEventListener('visibilitychange', restart)
  page.addEventListener('freeze', () => {
    isFrozen = true
  })
  page.addEventListener('resume', () => {
    isFrozen = false
    restart()
  })
  return (ms, f) => {
    const timer: PageTimer = { dueAt: performance.now() + ms, f, timeout: undefined }
    open.add(timer)
    start(timer)
    return () => void end(timer)
  }
}

/** Memory that nobody writes to; undefined where there is none. The constructor `SharedArrayBuffer` exists only in isolated pages. */
function sharedCells(): Int32Array | undefined {
  try {
    return new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)
  } catch {}
}
