/** How far a measurement is: a bar on stderr where that is a terminal, else nothing. */

import { SingleBar } from 'cli-progress'
import { width } from './terminal'

export class Progress {
  readonly #shown: boolean
  #bar?: SingleBar
  #total = 0
  #since = 0

  constructor(shown: boolean) {
    this.#shown = shown && process.stderr.isTTY
  }

  /** Begins at 0 with something new to count. */
  start(what: string, total: number): void {
    this.stop()
    this.#total = total
    this.#since = performance.now()
    if (!this.#shown) return
    const text = `${what}  ${total}/${total}, 59 min left `.length
    const barsize = Math.max(0, Math.min(40, width(process.stderr) - text))
    this.#bar = new SingleBar({ format: '{what} {bar} {value}/{total}{left}', barsize, clearOnComplete: true })
    this.#bar.start(total, 0, { what, left: '' })
  }

  /** So many are done; the time left is what the others take at the pace so far. */
  update(done: number): void {
    const seconds = ((performance.now() - this.#since) / 1000) * (this.#total / done - 1)
    this.#bar?.update(done, { left: `, ${duration(seconds)} left` })
  }

  /** Clears the line. */
  stop(): void {
    this.#bar?.stop()
  }
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
