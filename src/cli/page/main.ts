/** The page of `approxifer serve` for operators: follows one model at a time, as long as somebody looks at it. */

import './language'

import { render } from 'lit-html'
import type { PredictorEvent } from '../../events'
import type { ModelOverview, Overview, WorkerOverview } from '../serve/overview'
import { Lanes } from './lanes'
import { LatencyPlot } from './latency'
import { RecentWork } from './recent'
import { RefusedError, ServerRequests } from './requests'
import type { ModelMetadata } from './samples'
import { batchesOf } from './stream'
import { type Actions, pageOf } from './view'
import { isTroubled } from './words'

/** Between two frames: 20 a second look as smooth as 60, and take a third of the time. */
const FRAME_MS = 50
/** For users who prefer reduced motion. */
const CALM_FRAME_MS = 1000
/** Between two readings of what workers are at, and between two of the page's numbers. */
const OVERVIEW_MS = 2000
const NUMBERS_MS = 1000
/** Lanes, on a screen that is wide, and on a phone. */
const MOST_LANES = 24
const MOST_LANES_NARROW = 12

const CONNECTED = 'Connected: the page shows what happens as it happens.'
const CONNECTED_AGAIN = 'Connected again. The server has told the last ten seconds anew: the lanes have no gap.'

const UNREADABLE = 'What the server answered could not be read.'

const NARROW = matchMedia('(max-width: 760px)')
const CALM = matchMedia('(prefers-reduced-motion: reduce)')

class OperatorView implements Actions {
  readonly #server = new ServerRequests()
  readonly #recent = new RecentWork()
  readonly #lanes = new Lanes()
  readonly #plot = new LatencyPlot()
  #status = 'Connecting.'
  #isLive = false
  /** Whether this model was followed before. */
  #wasLive = false
  #asksToken = false
  #overview: Overview | undefined
  #metadata: ModelMetadata | undefined
  #model = ''
  #shown: WorkerOverview[] = []
  #copied = ''
  /** Of the stream that is read. */
  #reading = new AbortController()
  /** Ends a pause. */
  #wake: () => void = () => {}
  #isOverviewDue = false

  start(): void {
    this.#lanes.canvas.setAttribute('role', 'img')
    this.#lanes.canvas.setAttribute('aria-label', 'What each worker was at; the table of workers has it in numbers')
    const draw = () => this.#lanes.draw(this.#recent)
    let frames: ReturnType<typeof setInterval> | undefined
    const pace = () => {
      clearInterval(frames)
      if (!document.hidden)
        frames = setInterval(() => requestAnimationFrame(draw), CALM.matches ? CALM_FRAME_MS : FRAME_MS)
    }
    CALM.addEventListener('change', pace)
    document.addEventListener('visibilitychange', () => {
      pace()
      if (document.hidden) this.#reading.abort()
      else if (!this.#asksToken) this.#wake()
    })
    NARROW.addEventListener('change', () => this.#chooseLanes())
    setInterval(() => !document.hidden && this.#tick(), NUMBERS_MS)
    pace()
    void this.#follow()
  }

  enter(token: string): void {
    if (!/^[\x21-\x7e]+$/.test(token)) return this.#say('A token has no spaces, and no letters beyond ASCII.')
    this.#server.token = token
    this.#asksToken = false
    this.#say('Connecting.')
    this.#wake()
  }

  forgetToken(): void {
    this.#server.token = ''
    this.#reading.abort()
    this.#wake()
  }

  choose(model: string): void {
    this.#begin(model)
    this.#reading.abort()
  }

  #begin(model: string): void {
    this.#model = model
    this.#wasLive = false
    this.#metadata = undefined
    this.#recent.clearAll()
  }

  copy(what: string, text: string): void {
    const done = () => {
      this.#copied = what
      this.#show()
    }
    // Pages that came without TLS from another machine have no clipboard: their text can be chosen by hand.
    const { clipboard } = navigator
    if (clipboard) clipboard.writeText(text).then(done, () => this.#select(what))
    else this.#select(what)
  }

  #select(what: string): void {
    const text = document.querySelector(`[aria-labelledby="${what}"] code`)
    if (text) getSelection()?.selectAllChildren(text)
  }

  /** Reads the stream again whenever it ends, as long as the page is looked at. */
  async #follow(): Promise<never> {
    while (true) {
      if (document.hidden) await this.#pause()
      this.#reading = new AbortController()
      const { signal } = this.#reading
      try {
        await this.#read(signal)
      } catch (error) {
        this.#isLive = false
        if (signal.aborted) continue
        await this.#refused(error instanceof RefusedError ? error : new RefusedError(0, UNREADABLE))
      }
    }
  }

  async #refused(error: RefusedError): Promise<void> {
    if (error.isAboutToken) {
      this.#asksToken = true
      this.#overview = undefined
      this.#metadata = undefined
      this.#recent.clearAll()
      this.#say(error.message)
      document.querySelector('input')?.focus()
      return this.#pause()
    }
    const time = new Date().toLocaleTimeString('en-GB')
    this.#say(`${error.message} Asked last at ${time}, and again in ${error.retryMs / 1000} s.`)
    return this.#pause(error.retryMs)
  }

  /** @throws RefusedError; what `signal` was aborted with */
  async #read(signal: AbortSignal): Promise<never> {
    await this.#readOverview(signal)
    const path = encodeURIComponent(this.#model)
    const metadata: ModelMetadata = await (await this.#server.get(`/v2/models/${path}`, signal)).json()
    const stream = await this.#server.get(`/events?since=0&model=${path}`, signal) // all that is kept: ten seconds
    this.#metadata = metadata
    this.#recent.clear()
    this.#lanes.renew()
    this.#isLive = true
    this.#say(this.#wasLive ? CONNECTED_AGAIN : CONNECTED)
    this.#wasLive = true
    try {
      for await (const { events } of batchesOf(stream.body as ReadableStream<Uint8Array<ArrayBuffer>>)) {
        for (const event of events) if (event.event !== 'request') this.#take(event)
      }
    } catch {
      signal.throwIfAborted()
    }
    throw new RefusedError(0, 'The stream of events was lost.', 500)
  }

  #take(event: PredictorEvent): void {
    this.#recent.take(event)
    if ('identity' in event) this.#isOverviewDue = true
  }

  async #readOverview(signal: AbortSignal): Promise<void> {
    const overview: Overview = await (await this.#server.get('/metrics', signal)).json()
    if (!overview.models.length) throw new RefusedError(503, 'No model is ready.')
    const isServed = overview.models.some(({ model }) => model === this.#model)
    this.#overview = overview
    if (!isServed) this.#begin(overview.models[0].model)
    this.#chooseLanes()
  }

  async #renewOverview(): Promise<void> {
    const model = this.#model
    await this.#readOverview(this.#reading.signal)
    if (this.#model !== model) this.#reading.abort() // it is served no more
  }

  get #current(): ModelOverview | undefined {
    return this.#overview?.models.find(({ model }) => model === this.#model)
  }

  /** Chooses workers in trouble and the busiest ones, and sorts them by name, so that lanes keep their places. */
  #chooseLanes(): void {
    const most = NARROW.matches ? MOST_LANES_NARROW : MOST_LANES
    const workers = [...(this.#current?.workers ?? [])]
    if (workers.length > most) {
      const counts = this.#recent.counts()
      const before = new Set(this.#shown.map(({ worker }) => worker))
      // A worker keeps its lane, unless another worker gives twice as many answers.
      const rank = ({ worker, state }: WorkerOverview) =>
        (isTroubled(state) ? 1e9 : (counts.get(worker)?.answered ?? 0)) * (before.has(worker) ? 2 : 1)
      workers.sort((a, b) => rank(b) - rank(a))
      workers.length = most
    }
    const names = new Intl.Collator('en', { numeric: true })
    this.#shown = workers.sort((a, b) => names.compare(a.worker, b.worker))
    this.#show()
    this.#lanes.show(this.#shown.map(({ worker }) => worker))
  }

  #ticks = 0

  /** Once a second. */
  #tick(): void {
    this.#recent.forget()
    if (!this.#isLive) return
    const { half, most } = this.#recent.latencies()
    this.#plot.show(half, most)
    this.#ticks++
    if (this.#isOverviewDue || (this.#ticks * NUMBERS_MS) % OVERVIEW_MS === 0) {
      this.#isOverviewDue = false
      this.#renewOverview().catch(() => {}) // the stream ends, too, and says why
    } else this.#show()
  }

  #say(status: string): void {
    this.#status = status
    this.#show()
  }

  #show(): void {
    const view = {
      status: this.#status,
      isLive: this.#isLive,
      asksToken: this.#asksToken,
      hasToken: this.#server.token !== '',
      overview: this.#overview,
      model: this.#current,
      metadata: this.#metadata,
      recent: this.#recent,
      shown: this.#shown,
      canvas: this.#lanes.canvas,
      plot: this.#plot.element,
      copied: this.#copied,
    }
    const actions: Actions = {
      enter: (token) => this.enter(token),
      forgetToken: () => this.forgetToken(),
      choose: (model) => this.choose(model),
      copy: (what, text) => this.copy(what, text),
    }
    render(pageOf(view, actions), document.body)
  }

  /** @param ms  default: until the operator does something */
  #pause(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? 0 : setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

new OperatorView().start()
