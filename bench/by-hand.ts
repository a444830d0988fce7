/** A pool without its judgement, as a rival. */

import type { ModelWorker } from 'approxifer'
import type { Clock } from '../src/clock'
import type { Call, PoolOptions } from '../src/pool/pool'
import { type Random, seeded } from '../src/random'

export { ByHand, type ByHandOptions } from '../src/cli/demo/by-hand'

/** Rows to any idle worker, whatever is known of how fast it is. */
export class Blind {
  readonly #workers: readonly ModelWorker[]
  readonly #random: Random = seeded(1)
  readonly #lines: { urgent: Call[]; query: Call[]; extra: Call[] } = { urgent: [], query: [], extra: [] }
  readonly #clock: Clock

  constructor(workers: readonly ModelWorker[], { clock }: PoolOptions) {
    this.#workers = workers
    this.#clock = clock
    for (const worker of workers) worker.onFree = () => this.#dispatch()
  }

  put(call: Call): void {
    this.#lines[call.kind].push(call)
    this.#dispatch()
  }

  cancel(call: Call): void {
    if (call.state === 'waiting') call.state = 'cancelled'
  }

  #dispatch(): void {
    const idle = this.#workers.filter(({ free }) => free)
    for (const i of this.#random.choose(idle.length, idle.length)) {
      for (const line of Object.values(this.#lines)) {
        while (line[0]?.state === 'cancelled') line.shift()
        const at = line.findIndex((call) => call.state === 'waiting' && !call.asker.avoids(call, idle[i]))
        if (at < 0) continue
        const [call] = line.splice(at, 1)
        this.#send(call, idle[i])
        break
      }
    }
  }

  #send(call: Call, worker: ModelWorker): void {
    call.state = 'running'
    call.worker = worker
    call.sentAt = this.#clock.now()
    worker.infer(call.row.data).then((answer) => {
      call.state = 'done'
      call.ms = this.#clock.now() - call.sentAt
      call.answer = answer
      call.asker.spare(call)
      call.asker.heard(call)
    })
    call.asker.sent(call)
  }
}
