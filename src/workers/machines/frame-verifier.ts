/** Verifies the frames that come for a worker. If its machine has a key, a frame is accepted only with the MAC of a gateway, and only once. */

import type { Forgeries } from './forgeries'
import { decode, type Frame } from './frames'
import type { Addresses } from './link'
import type { Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'

/** Gateways whose last sequence number is remembered. Old frames of a forgotten gateway could be replayed. */
const MOST_GATEWAYS = 4096

export class FrameVerifier {
  readonly #queue = new SerialQueue()
  /** The highest sequence number by gateway, the least recently used gateway first. */
  readonly #lastSequences = new Map<string, number>()

  /** @param worker  the worker's address @param macs  undefined: frames need no MAC */
  constructor(
    private readonly worker: string,
    private readonly addresses: Pick<Addresses, 'gatewayOf'>,
    private readonly macs: Macs | undefined,
    private readonly forgeries: Forgeries,
    private readonly receiver: { receive(frame: Frame, call: string): void },
  ) {}

  /** @param bytes  any message @param call  the address for replies */
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

  /** Whether the sequence number is higher than all before, so that the frame is no replay. */
  #isNew(gateway: string, { sequence }: Frame): boolean {
    if (!(sequence > (this.#lastSequences.get(gateway) ?? 0))) return false
    this.#lastSequences.delete(gateway)
    this.#lastSequences.set(gateway, sequence)
    const [first] = this.#lastSequences.keys()
    if (this.#lastSequences.size > MOST_GATEWAYS) this.#lastSequences.delete(first)
    return true
  }
}
