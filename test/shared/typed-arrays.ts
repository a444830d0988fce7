/** Compares typed arrays by their bytes: vitest does it value by value, which takes 2 us each, seconds for what a memory saves. */

import { expect } from 'vitest'

const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength)

expect.addEqualityTesters([
  function areSameBytes(a: unknown, b: unknown): boolean | undefined {
    if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined
    return Buffer.compare(bytes(a), bytes(b)) === 0 || undefined // of different ones vitest tells the values
  },
])
