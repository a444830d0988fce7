/**
 * What a worker says is signed with its machine's key, or sealed (`seals.ts`), and told from what others say in its name: they may read
 * where answers go. Each statement names the worker's own subject, in which its fleet, its identity and its run are, so that what it said
 * elsewhere, or before, proves nothing here; of an answer also the call, by its address of 128 random bits, and the hash of the row, so that
 * a row that somebody else sends to that address makes it say nothing wrong.
 */

import { keys } from '#keys'
import { joined } from '../../arrays'
import { toRaw } from '../../oip/elements'
import type { KeyPair, Keys, Seal, Soon } from '../../platform/platform'
import type { NatsLink } from './connection'
import { decode, kindOf, SEALED, SIGNATURE, SIGNED } from './frames'
import type { Seals } from './seals'
import { InTurn, soon } from './soon'
import { keyIn } from './subjects'

export type Verify = ReturnType<Keys['verifier']>

const text = new TextEncoder()

function statement(what: string, subject: string, to: string, ...parts: Uint8Array[]): Uint8Array {
  return joined([text.encode(`approxifer ${what}\n${subject}\n${to}\n`), ...parts], Uint8Array)
}

export function hashOf(values: Float32Array | Uint8Array): Soon<Uint8Array> {
  return keys.hash(toRaw(values))
}

/** The first byte of a signed heartbeat; the signature and its JSON follow. */
const SIGNED_BEAT = 1

/** A heartbeat's JSON, and its signature where it has one. */
export function openBeat(bytes: Uint8Array): { json: Uint8Array; signature: Uint8Array | undefined } {
  if (bytes[0] !== SIGNED_BEAT) return { json: bytes, signature: undefined }
  return { json: bytes.subarray(1 + SIGNATURE), signature: bytes.subarray(1, 1 + SIGNATURE) }
}

/** Whether its signature is its worker's; what is none, or of no key, is nobody's. @param subject  the worker's own */
export async function isBeatOf(verify: Verify, subject: string, bytes: Uint8Array): Promise<boolean> {
  const { json, signature } = openBeat(bytes)
  try {
    return await verify(statement('beat', subject, '', json), signature ?? new Uint8Array())
  } catch {
    return false
  }
}

const NOTHING = new Uint8Array()

/** What tells a worker's own words from those of others. */
export class Voice {
  /** @param subject  the worker's own @param seal  of what it does not sign */
  constructor(
    private readonly subject: string,
    readonly verify: Verify,
    private readonly seal?: Soon<Seal | undefined>,
  ) {}

  /** Whether a frame is its own. @param to  the call's address @param row  hash of the call's row, of which an answer must be */
  said(to: string, bytes: Uint8Array, row: Soon<Uint8Array> = NOTHING): Soon<boolean> {
    try {
      const { kind, flags, proof } = decode(bytes)
      if (!proof.length) return false
      const own = bytes.subarray(0, -proof.length)
      return soon(kind === 'answer' ? row : NOTHING, (hash) => {
        const frame = statement(kind, this.subject, to, hash, own)
        return flags & SEALED ? this.#isSealed(frame, proof) : this.verify(frame, proof).catch(() => false)
      })
    } catch {
      return false // no frame
    }
  }

  #isSealed(frame: Uint8Array, proof: Uint8Array): Soon<boolean> {
    return soon(this.seal, (seal) => seal !== undefined && soon(seal(frame), (own) => areEqual(own, proof)))
  }
}

/** In as much time wherever they differ. */
function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.reduce((bits, byte, i) => bits | (byte ^ b[i]), 0) === 0
}

/** What a worker says, in that order; where its machine has a key answers and errors are sealed if whoever asked has a secret, and all else is signed. */
export class Outbox {
  readonly #inTurn = new InTurn()
  #beats = 0

  constructor(
    private readonly link: Pick<NatsLink, 'most' | 'publish'>,
    private readonly subject: string,
    private readonly key: KeyPair | undefined,
    private readonly seals?: Seals,
  ) {}

  /** Bytes that a frame may have. */
  get most(): number {
    return this.link.most - (this.key ? SIGNATURE : 0)
  }

  /** What an answer to a row is signed with. */
  hash(row: Float32Array | Uint8Array): Soon<Uint8Array> | undefined {
    return this.key && hashOf(row)
  }

  /** @param row  hash of the row that an answer is to */
  frame(to: string, bytes: Uint8Array, row: Soon<Uint8Array> = NOTHING): void {
    this.#say(to, (key) => soon(row, (hash) => this.#proven(key, to, bytes, hash)), bytes)
  }

  #proven(key: KeyPair, to: string, bytes: Uint8Array, row: Uint8Array): Soon<Uint8Array> {
    const kind = kindOf(bytes) as string
    return soon(kind === 'pong' ? undefined : this.seals?.with(keyIn(to)), (seal) => {
      bytes[2] |= seal ? SEALED : SIGNED
      const frame = statement(kind, this.subject, to, row, bytes)
      return soon(seal ? seal(frame) : key.sign(frame), (proof) => joined([bytes, proof], Uint8Array))
    })
  }

  beat(to: string, beat: object): void {
    const own = this.key && { ...beat, secret: this.seals?.own, sequence: ++this.#beats }
    const json = text.encode(JSON.stringify(own ?? beat))
    this.#say(to, async (key) => joined([Uint8Array.of(SIGNED_BEAT), await key.sign(statement('beat', this.subject, '', json)), json], Uint8Array), json) // biome-ignore format: one line
  }

  #say(to: string, signed: (key: KeyPair) => Soon<Uint8Array>, unsigned: Uint8Array): void {
    const { key } = this
    if (key) this.#inTurn.take(() => soon(signed(key), (bytes) => this.#publish(to, bytes)))
    else this.#publish(to, unsigned)
  }

  #publish(to: string, bytes: Uint8Array): void {
    try {
      this.link.publish(to, bytes)
    } catch {} // the connection is closed: the coordinator will notice
  }

  /** Resolves when all that was said is on its way. */
  said(): Promise<void> {
    return this.#inTurn.taken()
  }
}
