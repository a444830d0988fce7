/** Subjects of a fleet, and the names in them: what stands between two dots. */

import { expected } from '../../check'

export type Subjects = ReturnType<typeof subjectsOf>

export const subjectsOf = (fleet: string) => ({
  /** Workers tell here that they are there. */
  beats: `approxifer.${fleet}.beat.*`,
  beat: (worker: string) => `approxifer.${fleet}.beat.${worker}`,
  /** A worker's own: no queue group, since each row must reach the worker it was meant for. */
  worker: (worker: string) => `approxifer.${fleet}.worker.${worker}`,
  /** Asks all workers for a heartbeat. */
  rollCall: `approxifer.${fleet}.call`,
})

export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{1,200}$/.test(text)
}

/** @throws TypeError */
export function checkFleet(fleet: unknown): asserts fleet is string {
  if (!isToken(fleet)) throw new TypeError(expected('fleet', 'letters, digits, - and _', fleet))
}

const BYTES = 16
/** Tokens for which random bytes are fetched at a time: each fetch asks the operating system, which takes 2 to 8 us. */
const AHEAD = 64
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const random = new Uint8Array(AHEAD * BYTES)
let used = random.length

/** 128 random bits in hexadecimal: the next cannot be guessed from others. */
export function randomToken(): string {
  if (used === random.length) {
    crypto.getRandomValues(random)
    used = 0
  }
  let token = ''
  for (const end = used + BYTES; used < end; used++) token += HEX[random[used]]
  return token
}
