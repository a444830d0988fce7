/**
 * What a worker says is signed with its machine's key, and told from what others say in its name: they may read where answers go.
 * Each statement names the worker's own subject, in which its fleet, its identity and its run are, so that what it said elsewhere, or
 * before, proves nothing here; of an answer also the call, by its address of 128 random bits, and the hash of the row, so that a row
 * that somebody else sends to that address makes it say nothing wrong.
 */

import { keys } from '#keys'
import { joined } from '../../arrays'
import { toRaw } from '../../oip/elements'
import type { KeyPair, Keys } from '../../platform/platform'
import type { NatsLink } from './connection'
import { decode, SIGNATURE, SIGNED } from './frames'

export type Verify = ReturnType<Keys['verifier']>

const text = new TextEncoder()

function statement(what: string, subject: string, to: string, ...parts: Uint8Array[]): Uint8Array {
  return joined([text.encode(`approxifer ${what}\n${subject}\n${to}\n`), ...parts], Uint8Array)
}

/** Whether a signature is its worker's; what is none, or of no key, is nobody's. */
async function isOf(verify: Verify, signed: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    return await verify(signed, signature)
  } catch {
    return false
  }
}

export function hashOf(values: Float32Array | Uint8Array): Promise<Uint8Array> {
  return keys.hash(toRaw(values))
}

/** The first byte of a signed heartbeat; the signature and its JSON follow. */
const SIGNED_BEAT = 1

/** A heartbeat's JSON, and its signature where it has one. */
export function openBeat(bytes: Uint8Array): { json: Uint8Array; signature: Uint8Array | undefined } {
  if (bytes[0] !== SIGNED_BEAT) return { json: bytes, signature: undefined }
  return { json: bytes.subarray(1 + SIGNATURE), signature: bytes.subarray(1, 1 + SIGNATURE) }
}

/** @param subject  the worker's own */
export function isBeatOf(verify: Verify, subject: string, bytes: Uint8Array): Promise<boolean> {
  const { json, signature } = openBeat(bytes)
  return isOf(verify, statement('beat', subject, '', json), signature ?? new Uint8Array())
}

/** Where a frame belongs. */
interface FrameContext {
  /** The worker's own. */
  subject: string
  /** The call's address. */
  to: string
  /** Hash of the call's row, of which an answer must be. */
  row?: Promise<Uint8Array> | undefined
}

export async function isFrameOf(
  verify: Verify,
  { subject, to, row }: FrameContext,
  bytes: Uint8Array,
): Promise<boolean> {
  try {
    const { kind, flags } = decode(bytes)
    if (!(flags & SIGNED)) return false
    const parts = kind === 'answer' ? [(await row) ?? new Uint8Array()] : []
    const signed = statement(kind, subject, to, ...parts, bytes.subarray(0, -SIGNATURE))
    return await isOf(verify, signed, bytes.subarray(-SIGNATURE))
  } catch {
    return false // no frame
  }
}

/** What a worker says, in that order, signed where its machine has a key. */
export class Outbox {
  #said: Promise<void> = Promise.resolve()
  #beats = 0

  constructor(
    private readonly link: Pick<NatsLink, 'most' | 'publish'>,
    private readonly subject: string,
    private readonly key: KeyPair | undefined,
  ) {}

  /** Bytes that a frame may have. */
  get most(): number {
    return this.link.most - (this.key ? SIGNATURE : 0)
  }

  /** What an answer to a row is signed with. */
  hash(row: Float32Array | Uint8Array): Promise<Uint8Array> | undefined {
    return this.key && hashOf(row)
  }

  /** @param row  hash of the row that an answer is to */
  frame(to: string, bytes: Uint8Array, row?: Promise<Uint8Array>): void {
    this.#say(
      to,
      async (key) => {
        bytes[2] |= SIGNED
        const parts = row ? [await row] : []
        return joined([bytes, await key.sign(statement(decode(bytes, false).kind, this.subject, to, ...parts, bytes))], Uint8Array) // biome-ignore format: one line
      },
      bytes,
    )
  }

  beat(to: string, beat: object): void {
    const json = text.encode(JSON.stringify(this.key ? { ...beat, sequence: ++this.#beats } : beat))
    this.#say(to, async (key) => joined([Uint8Array.of(SIGNED_BEAT), await key.sign(statement('beat', this.subject, '', json)), json], Uint8Array), json) // biome-ignore format: one line
  }

  #say(to: string, signed: (key: KeyPair) => Promise<Uint8Array>, unsigned: Uint8Array): void {
    const { key } = this
    if (key) this.#said = this.#said.then(async () => this.#publish(to, await signed(key)))
    else this.#publish(to, unsigned)
  }

  #publish(to: string, bytes: Uint8Array): void {
    try {
      this.link.publish(to, bytes)
    } catch {} // the connection is closed: the coordinator will notice
  }

  /** Resolves when all that was said is on its way. */
  said(): Promise<void> {
    return this.#said
  }
}
