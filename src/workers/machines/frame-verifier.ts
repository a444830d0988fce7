/** Frames that come for a worker. Where its machine has a key only those count that a gateway has sealed, each once. */

import { keyIn } from '../nats/subjects'
import { type Frame, frameIn } from './frames'
import type { Seals } from './macs'
import { InTurn, soon } from './maybe-promise'
import type { Forgeries } from './options'

/** Gateways of which it is remembered what they sent last; of one that is forgotten old frames would count once more. */
const MOST_GATEWAYS = 4096

export class Arrivals {
  readonly #inTurn = new InTurn()
  /** By gateway the highest number of a frame; the one that was heard last is the last. */
  readonly #heard = new Map<string, number>()

  /** @param subject  the worker's own @param seals  undefined: any frame counts */
  constructor(
    private readonly subject: string,
    private readonly seals: Seals | undefined,
    private readonly forgeries: Forgeries,
    private readonly receive: (frame: Frame, to: string) => void,
  ) {}

  /** @param bytes  any that came @param to  where answers go; in it the gateway says its public key */
  take(bytes: Uint8Array, to: string): void {
    const { seals } = this
    if (!seals) return this.#read(bytes, to)
    const gateway = keyIn(to) as string
    this.#inTurn.take(() =>
      soon(seals.with(gateway), (channel) =>
        soon(channel ? channel.isSealed(this.subject, to, bytes) : false, (isSealed) => {
          if (isSealed) this.#read(bytes, to, gateway)
          else this.forgeries.drop(this.subject)
        }),
      ),
    )
  }

  #read(bytes: Uint8Array, to: string, gateway?: string): void {
    const frame = frameIn(bytes)
    if (frame && (gateway === undefined || this.#isNew(gateway, frame))) this.receive(frame, to)
    else this.forgeries.drop(this.subject)
  }

  /** Whether neither this nor what was sent after it has come before. */
  #isNew(gateway: string, { sequence }: Frame): boolean {
    if (!(sequence > (this.#heard.get(gateway) ?? 0))) return false
    this.#heard.delete(gateway)
    this.#heard.set(gateway, sequence)
    const [first] = this.#heard.keys()
    if (this.#heard.size > MOST_GATEWAYS) this.#heard.delete(first)
    return true
  }
}
