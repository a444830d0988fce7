/** Tokens that cannot be guessed. */

const BYTES = 16
/** Random bytes are fetched for this many tokens at a time: each fetch is a system call of 2 to 8 us. */
const AHEAD = 64
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const random = new Uint8Array(AHEAD * BYTES)
let used = random.length

/** 128 random bits in hexadecimal, independent of all other tokens. */
export function randomToken(): string {
  if (used === random.length) {
    crypto.getRandomValues(random)
    used = 0
  }
  let token = ''
  for (const end = used + BYTES; used < end; used++) token += HEX[random[used]]
  return token
}
