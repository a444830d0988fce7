/** Heartbeats as they come: those with a key's identity count where they are signed with it. */

import { keys } from '#keys'
import { ApproxiferError } from '../../base/errors'
import type { NatsMessage } from '../nats/connection'
import { decodeHeartbeat, type Heartbeat } from './heartbeat'
import { Names } from './name-limit'
import type { NatsSettings } from './options'
import { isBeatOf, type Verify } from './signed-heartbeat'
import type { NatsWorker } from './worker'

/** Signatures under new names that are checked before whatever else waits has its turn: each takes 100 us or more. */
const AT_A_TIME = 20
/** Heartbeats under new names that wait for that. Others are dropped: who is there is heard again. */
const MOST_WAITING = 1000

export class Hearing {
  readonly #names = new Names()
  readonly #waiting: (() => Promise<void>)[] = []
  #isChecking = false

  /** @param known  the worker of a name. @param believe  a heartbeat is its worker's own; at once where nothing is signed */
  constructor(
    private readonly settings: NatsSettings,
    private readonly known: (name: string) => NatsWorker | undefined,
    private readonly believe: (beat: Heartbeat, verify?: Verify) => void,
  ) {}

  hear({ subject, data }: NatsMessage): void {
    const { subjects, warn } = this.settings
    try {
      const beat = decodeHeartbeat(data)
      if (subjects.beat(beat) !== subject) throw new ApproxiferError('PROTOCOL', 'heartbeat: of another worker')
      if (beat.signed) this.#check(beat, data)
      else this.believe(beat)
    } catch (error) {
      warn(`${subject}: ${(error as Error).message}`)
    }
  }

  #check(beat: Heartbeat, data: Uint8Array): void {
    const { name, identity } = beat
    if (this.#names.areMany(identity, name)) return this.#refuse(identity)
    const worker = this.known(name)
    const own = worker?.identity === identity ? worker : undefined
    const verify = own?.peer?.verify ?? keys.verifier(identity)
    const check = async () => {
      const { clock, subjects, forgeries } = this.settings
      if (this.#names.areMany(identity, name)) return this.#refuse(identity) // since it waited
      if (!(await isBeatOf(verify, subjects.worker(beat), data))) return forgeries.drop(name)
      this.#names.hear(identity, name, clock.now())
      this.believe(beat, verify)
      if (beat.state === 'gone') this.#names.forget(identity, name)
    }
    if (own) own.inTurn.take(check)
    else if (this.#names.has(identity, name)) void check()
    else if (this.#waiting.length < MOST_WAITING) {
      this.#waiting.push(check)
      if (!this.#isChecking) void this.#checkSome()
    }
  }

  async #checkSome(): Promise<void> {
    this.#isChecking = true
    for (let checked = 1; this.#waiting.length; checked++) {
      await this.#waiting.shift()?.()
      if (checked % AT_A_TIME === 0) await new Promise<void>((resolve) => this.settings.clock.after(0, resolve, true))
    }
    this.#isChecking = false
  }

  #refuse(identity: string): void {
    this.settings.warn(
      `the machine ${identity} gives its workers more names than a machine may have: those beyond are ignored`,
    )
  }

  sweep(since: number): void {
    this.#names.sweep(since)
  }
}
