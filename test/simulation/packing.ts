/** Bodies packed with gzip, by callers and for them. */

import { gunzipSync, gzipSync } from 'node:zlib'
import type { Random } from '../../src/base/random'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import type { Sent } from './requests'

const CODING = 'content-encoding'
const ACCEPTS = 'accept-encoding'
/** And whether it may be packed then. */
const accepts: Record<string, boolean> = { gzip: true, 'br, gzip;q=0.5': true, 'gzip;q=0, identity': false, br: false }

/** The same, packed or not, of a caller who takes such a reply or does not. */
export function packedOr(sent: Sent, random: Random): Sent {
  const names = Object.keys(accepts)
  const accepted = { ...sent.headers, [ACCEPTS]: names[random.below(names.length)] }
  if (random.next() < 0.4) return { ...sent, headers: accepted }
  return { ...sent, headers: { ...accepted, [CODING]: 'gzip' }, body: new Uint8Array(gzipSync(sent.body)) }
}

const wrong: ((packed: Uint8Array, most: number) => Uint8Array)[] = [
  (packed) => packed.subarray(0, packed.length - 9),
  (packed) => packed.map((byte, i) => (i === packed.length - 6 ? byte ^ 1 : byte)), // its checksum
  (packed) => new Uint8Array(gunzipSync(packed)),
  (_, most) => new Uint8Array(gzipSync(new Uint8Array(most + 1))),
]

/** Cut, torn, not packed at all, or far larger than it seems. */
export function wronglyPacked(good: Sent, random: Random, most: number): Sent & { why: string } {
  const i = random.below(wrong.length)
  const body = new Uint8Array(wrong[i](new Uint8Array(gzipSync(good.body)), most))
  return { ...good, headers: { ...good.headers, [CODING]: 'gzip' }, body, why: `gzip ${i}` }
}

/** @throws Error where it is packed, and its reader did not ask for that */
export function unpacked(body: Uint8Array, coding: string | null, sent: Sent): Uint8Array {
  if (coding === null) return body
  if (!accepts[sent.headers[ACCEPTS]]) throw new Error(`the reply is packed: ${coding}`)
  return new Uint8Array(gunzipSync(body))
}

/** Streams that pack and unpack at once: those of the runtime do it on threads, whose time is real. */
export function codingStreams(clock: VirtualClock) {
  const stream = (change: (bytes: Uint8Array) => Uint8Array, done: () => unknown) => {
    const parts: Uint8Array[] = []
    return new TransformStream<Uint8Array, Uint8Array>({
      transform: (part) => void parts.push(part),
      flush(controller) {
        controller.enqueue(new Uint8Array(change(Buffer.concat(parts))))
        done()
      },
    })
  }
  function DecompressionStream() {
    return stream(gunzipSync, () => {})
  }
  /** What it is given is there, in memory that is read in turns. Who only sees whether there is such a stream gives it nothing. */
  function CompressionStream() {
    let release = () => {}
    const { readable, writable } = stream(gzipSync, () => setImmediate(release))
    return {
      readable,
      get writable() {
        release = clock.hold()
        return writable
      },
    }
  }
  return { CompressionStream, DecompressionStream }
}
