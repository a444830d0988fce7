/** Every element type, in frames of any size, and in heartbeats. */

import { describe, expect, it } from 'vitest'
import type { Signature } from '../../../src/base/tensor'
import { decode, encodeValues, type Frame } from '../../../src/workers/machines/frames'
import { decodeHeartbeat } from '../../../src/workers/machines/heartbeat'
import { assemblyOf, pack, unpack } from '../../../src/workers/machines/packing'
import { bitsOfAll, everyType, everyValue } from '../../shared/element-values'
import { UP } from '../../shared/heartbeat'

describe('frames', () => {
  it.each([true, false])('of any size carry every type, to the bit (lengths that differ: %s)', (isOpen) => {
    const { inputs } = everyType(isOpen)
    for (const most of [17, 20, 64, 1000, 1e6]) {
      const parts = assemblyOf(inputs)
      const frames = [...encodeValues('row', pack(everyValue(), inputs), most)]
      const read = frames.map((bytes) => parts.add(decode(bytes) as Frame))
      expect(read.slice(0, -1).every((values) => values === undefined)).toBe(true)
      expect(bitsOfAll(unpack(read[read.length - 1] as Uint8Array, inputs))).toEqual(bitsOfAll(everyValue()))
    }
  })

  it('that are cut, too long or of other lengths are refused', () => {
    const specs = [{ name: 'x', shape: [-1], type: 'int64' as const }]
    const bytes = pack([{ data: BigInt64Array.of(1n, 2n), shape: [2], type: 'int64' }], specs) as Uint8Array
    expect(bytes.length).toBe(4 + 4 + 16)
    for (const wrong of [bytes.subarray(0, 3), bytes.subarray(0, 23), new Uint8Array([...bytes, 0])]) {
      expect(() => unpack(wrong, specs)).toThrow(/message: expected \d+ bytes/)
    }
    const other = Uint8Array.from(bytes)
    other[0] = 3
    expect(() => unpack(other, specs)).toThrow('message: expected 3 values, got 16 bytes')
    const [frame] = encodeValues('row', new Uint8Array(64 * 2 ** 20 + 1), 1e6)
    expect(() => assemblyOf(specs).add(decode(frame) as Frame)).toThrow(
      'message: expected 67108864 values, got 67108865',
    )
  })
})

describe('a heartbeat', () => {
  const beat = (signature: unknown) => {
    const said = { ...UP, name: 'w', identity: 'm' }
    return decodeHeartbeat(new TextEncoder().encode(JSON.stringify({ ...said, signature }))).signature
  }

  it('says types, lengths that differ, and whether there is a batch dimension', () => {
    const signature: Signature = { ...everyType(true), batched: false }
    expect(beat(signature)).toEqual(signature)
  })

  it.each([
    ['an unknown type', { ...everyType(true), inputs: [{ name: 'x', shape: [1], type: 'int128' }] }],
    ['a length of 0', { ...everyType(true), inputs: [{ name: 'x', shape: [0] }] }],
    ['a length of -2', { ...everyType(true), inputs: [{ name: 'x', shape: [-2] }] }],
    ['more than fits', { ...everyType(true), inputs: [{ name: 'x', shape: [-1, 2 ** 30] }] }],
    ['batched by a word', { ...everyType(true), batched: 'no' }],
  ])('with %s is none', (_what, signature) => {
    expect(() => beat(signature)).toThrow(/heartbeat: .*(signature|batched)/)
  })
})
