/** Descriptions of Debian packages as pieces of WordPiece, each as long as it is. */

import { readFileSync } from 'node:fs'
import { openNpy } from '../shared/npy-integers'

/** Pieces of a padded row. */
const PADDED = 40

export function texts(count: number, from = 0) {
  const [ids, mask] = ['input_ids', 'attention_mask'].map((name) =>
    openNpy(readFileSync(new URL(`text/sections-${name}.npy`, import.meta.url))),
  )
  return Array.from({ length: count }, (_, i) => {
    const start = (from + i) * PADDED
    const length = Number(mask.subarray(start, start + PADDED).reduce((sum, one) => sum + one, 0n))
    const part = (all: BigInt64Array) => ({
      data: all.slice(start, start + length),
      shape: [length],
      type: 'int64' as const,
    })
    return { input_ids: part(ids), attention_mask: part(mask) }
  })
}
