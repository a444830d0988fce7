/** Frames that come for a worker. Where they have to have MACs only those count that a gateway has made, each once. */

import type { Forgeries } from './forgeries'
import { decode, type Frame } from './frames'
import type { Addresses } from './link'
import type { Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'

/** Gateways of which it is remembered what they sent last; of one that is forgotten old frames would count once more. */
const MOST_GATEWAYS = 4096

export class FrameVerifier {
  readonly #queue = new SerialQueue()
  /** By gateway the highest number of a frame; the one that was heard last is the last. */
  readonly #heard = new Map<string, number>()

  /** @param worker  its address @param macs  undefined: any frame counts */
  constructor(
    private readonly worker: string,
    private readonly addresses: Pick<Addresses, 'gatewayOf'>,
    private readonly macs: Macs | undefined,
    private readonly forgeries: Forgeries,
    private readonly receiver: { receive(frame: Frame, call: string): void },
  ) {}

  /** @param bytes  any that came @param call  where answers go */
  take(bytes: Uint8Array, call: string): void {
    const { macs } = this
    if (!macs) return this.#read(bytes, call)
    const gateway = this.addresses.gatewayOf(call) as string
    this.#queue.run(() =>
      andThen(macs.with(gateway), (channel) =>
        andThen(channel ? channel.verify(this.worker, call, bytes) : false, (isIts) => {
          if (isIts) this.#read(bytes, call, gateway)
          else this.forgeries.drop(this.worker)
        }),
      ),
    )
  }

  #read(bytes: Uint8Array, call: string, gateway?: string): void {
    const frame = decode(bytes)
    if (frame && (gateway === undefined || this.#isNew(gateway, frame))) this.receiver.receive(frame, call)
    else this.forgeries.drop(this.worker)
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
