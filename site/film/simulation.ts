/** The film, in a worker: the page that shows it stays free whatever the predictor and its memory compute. */

import { approxifer, type Band, Film, type Given, hedgedQueue, plainQueue } from '../../src/film/film'
import type { FilmCall } from '../../src/film/machine'
import { SCRIPT } from '../../src/film/script'
import type { BandReport, MachineReport, NumberedCall, Order, Report } from './messages'
import { unpackDigits } from './packed-digits'

/** Between two looks at which machines are passed over, milliseconds of the film. */
const LOOK_MS = 200

const report = (message: Report) => postMessage(message)

/** What was not reported yet of a band. */
class BandReporter {
  readonly #band: Band
  /** Of calls that have been reported, and have not ended. */
  readonly #open = new Map<FilmCall, number>()
  readonly #reported = new WeakSet<FilmCall | Given>()
  #calls = 0
  #passedOver: readonly number[] = []
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(band: Band) {
    this.#band = band
  }

  report(now: number): BandReport {
    const { calls, given, machines, ejected, slowestMs, wrong, inferences, waiting } = this.#band
    const changed: NumberedCall[] = []
    for (const [call, id] of this.#open) {
      if (call.ended === undefined) continue
      changed.push({ ...call, id })
      this.#open.delete(call)
    }
    for (const call of calls.filter((each) => this.#isNew(each))) {
      const id = this.#calls++
      changed.push({ ...call, id })
      if (call.ended === undefined) this.#open.set(call, id)
    }
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#passedOver = this.#band.passedOver
      this.#lookedAt = now
    }
    const state = (machine: number): MachineReport => ({
      fault: machines[machine].fault,
      isEjected: ejected.has(machine),
      isPassedOver: this.#passedOver.includes(machine),
    })
    return {
      calls: changed,
      given: given.filter((each) => this.#isNew(each)),
      machines: machines.map((_, machine) => state(machine)),
      ...{ slowestMs, wrong, inferences, waiting: waiting.size },
    }
  }

  #isNew(each: FilmCall | Given): boolean {
    if (this.#reported.has(each)) return false
    this.#reported.add(each)
    return true
  }
}

async function load() {
  const response = await fetch(new URL('digits.bin', import.meta.url))
  const { pictures, ...digits } = unpackDigits(new Uint8Array(await response.arrayBuffer()))
  report({ kind: 'pictures', pictures })
  return digits
}

const loading = load()
let film: Film | undefined
let reporters: readonly BandReporter[] = []

async function follow(order: Order): Promise<void> {
  if (order.kind === 'begin') {
    await film?.close()
    film = await Film.of(await loading, [plainQueue, hedgedQueue(), approxifer])
    film.play(SCRIPT)
    reporters = film.bands.map((band) => new BandReporter(band))
    report({ kind: 'begun' })
  } else if (!film) return
  else if (order.kind === 'fault') film.fault(order.machine, order.fault)
  else if (order.kind === 'ask')
    void film.ask(order.image, order.answer).then((given) => report({ kind: 'answered', given }))
  else {
    await film.advance(order.until)
    const { now } = film
    report({ kind: 'advanced', now, bands: reporters.map((reporter) => reporter.report(now)) })
    for (const band of film.bands) band.trim()
  }
}

/** One after another: a film that advances is not replaced. */
let turn = Promise.resolve()
addEventListener('message', ({ data }: MessageEvent<Order>) => {
  turn = turn.then(() => follow(data)).catch((error: Error) => report({ kind: 'failed', message: error.message }))
})
