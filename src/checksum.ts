/** Eight bytes that tell some bytes from others: against accidents, not against forgers. */

/**
 * The rounds of MurmurHash3 (Appleby, 2011, public domain) in two lanes, which take the words in turn: words, since a byte at
 * a time takes four times as long, and two lanes, since the rounds of one have to wait for each other.
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
  const rest = new Uint8Array(8)
  rest.set(bytes.subarray(whole))
  const last = new DataView(rest.buffer)
  a = finalMix(round(a, last.getInt32(0, true)))
  b = finalMix(round(b, last.getInt32(4, true)) ^ a)
  return [finalMix(a ^ b), b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}

function round(hash: number, word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  const turned = hash ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0
}

/** Every bit of the result depends on every bit of the hash. */
function finalMix(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35)
  return twice ^ (twice >>> 16)
}
