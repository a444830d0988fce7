/** A checksum of 64 bits. It protects from accidents, not from forgers. */

/**
 * The rounds of MurmurHash3 (Appleby, 2011, public domain) in two lanes that take words in turn: whole words, since single bytes take four
 * times as long, and two lanes, since the rounds of one lane wait for each other.
 *
 * @returns 16 hexadecimal digits
 */
export function checksum(bytes: Uint8Array): string {
  const { length } = bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const whole = length - (length % 8)
  let [a, b] = [length | 0, ~length]
  for (let at = 0; at < whole; at += 8) {
    a = round(a, view.getInt32(at, true))
    b = round(b, view.getInt32(at + 4, true))
  }
  const rest = [0, 0]
  for (let at = whole; at < length; at++) rest[(at >> 2) & 1] |= bytes[at] << (8 * (at & 3))
  a = finalMix(round(a, rest[0]))
  b = finalMix(round(b, rest[1]) ^ a)
  return hex(finalMix(a ^ b)) + hex(b)
}

const hex = (half: number) => (half >>> 0).toString(16).padStart(8, '0')

function round(hash: number, word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  const turned = hash ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0
}

/** Makes each bit of the result depend on each bit of the hash. */
function finalMix(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35)
  return twice ^ (twice >>> 16)
}
