/** Verifies heartbeats: one with a public key as identity is accepted only if it is signed with that key. */

import { keys } from '#keys'
import { ApproxiferError } from '../../base/errors'
import { decodeHeartbeat, type Heartbeat } from './heartbeat'
import type { Link, LinkMessage } from './link'
import { NameLimit } from './name-limit'
import type { FleetSettings } from './options'
import { isBeatOf, type Verify } from './signed-heartbeat'
import type { MachineWorker } from './worker'

/** Signatures under new names that are checked before other work gets its turn: each takes 100 us or more. */
const AT_A_TIME = 20
/** Heartbeats under new names that may wait for the check. More are dropped; workers send another heartbeat soon. */
const MOST_WAITING = 1000

export class HeartbeatVerifier {
  readonly #names = new NameLimit()
  readonly #waiting: (() => Promise<void>)[] = []
  #isChecking = false

  /** @param known  finds the worker of a name @param believe  called with each verified heartbeat; synchronously if nothing is signed */
  constructor(
    private readonly link: Pick<Link, 'addresses'>,
    private readonly settings: FleetSettings,
    private readonly known: (name: string) => MachineWorker | undefined,
    private readonly believe: (beat: Heartbeat, verify?: Verify) => void,
  ) {}

  hear({ to, bytes }: LinkMessage): void {
    const { addresses } = this.link
    try {
      const beat = decodeHeartbeat(bytes)
      if (addresses.heartbeat(beat) !== to)
        throw new ApproxiferError('PROTOCOL', 'heartbeat: sent to the address of another worker')
      if (!beat.signed) this.believe(beat)
      else if (!this.#isRefused(beat)) this.#check(beat, bytes)
    } catch (error) {
      this.settings.warn(`${to}: ${(error as Error).message}`)
    }
  }

  #check(beat: Heartbeat, bytes: Uint8Array): void {
    const { name, identity } = beat
    const worker = this.known(name)
    const own = worker?.identity === identity ? worker : undefined
    const verify = own?.peer?.verify ?? keys.verifier(identity)
    const check = async () => {
      if (this.#isRefused(beat)) return // it may have become too many names while it waited
      if (await isBeatOf(verify, this.link.addresses.worker(beat), bytes)) this.#accept(beat, verify)
      else this.settings.forgeries.drop(name)
    }
    if (own) own.incoming.run(check)
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

  #accept(beat: Heartbeat, verify: Verify): void {
    const { identity, name, state } = beat
    this.#names.hear(identity, name, this.settings.clock.now())
    this.believe(beat, verify)
    if (state === 'gone') this.#names.forget(identity, name)
  }

  #isRefused({ identity, name }: Heartbeat): boolean {
    const isOver = this.#names.isOver(identity, name)
    if (isOver) {
      this.settings.warn(`the machine ${identity} uses too many worker names: further ones are ignored`)
    }
    return isOver
  }

  sweep(since: number): void {
    this.#names.sweep(since)
  }
}
