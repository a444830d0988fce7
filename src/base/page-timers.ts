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

export class PageTimers {
  readonly #open = new Set<PageTimer>()
  readonly #page: Pick<Document, 'hidden' | 'addEventListener'>
  readonly #wait = (Atomics as { waitAsync?: Wait }).waitAsync
  /** Memory that nobody writes to; undefined where the runtime has no shared memory. */
  readonly #cells: Int32Array | undefined
  /** A frozen page gets no messages, and timers that fired all the same would find every worker silent. */
  #isFrozen = false

  constructor(page: Pick<Document, 'hidden' | 'addEventListener'>) {
    this.#page = page
    if (!this.#wait) return
    try {
      // The constructor `SharedArrayBuffer` exists only in isolated pages.
      this.#cells = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)
    } catch {
      return
    }
    const restart = () => {
      for (const timer of this.#open) this.#start(timer)
    }
    page.addEventListener('visibilitychange', restart)
    page.addEventListener('freeze', () => {
      this.#isFrozen = true
    })
    page.addEventListener('resume', () => {
      this.#isFrozen = false
      restart()
    })
  }

  /** As `Clock.after`. */
  after(ms: number, f: () => void): () => void {
    const timer: PageTimer = { dueAt: performance.now() + ms, f, timeout: undefined }
    this.#open.add(timer)
    this.#start(timer)
    return () => this.#end(timer)
  }

  #start(timer: PageTimer): void {
    const leftMs = timer.dueAt - performance.now()
    clearTimeout(timer.timeout)
    timer.timeout = setTimeout(() => this.#ring(timer), Math.max(0, leftMs))
    if (!this.#page.hidden || !this.#cells) return
    const wait = this.#wait?.(this.#cells, 0, 0, Math.max(1, leftMs)) // without time it would not wait at all
    void Promise.resolve(wait?.value).then(() => this.#isFrozen || this.#ring(timer))
  }

  #ring(timer: PageTimer): void {
    if (this.#end(timer)) timer.f()
  }

  #end(timer: PageTimer): boolean {
    clearTimeout(timer.timeout)
    return this.#open.delete(timer)
  }
}
