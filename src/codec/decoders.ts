/** Decoders: from a survivor set to the weights that recover the queries. */

import type { Scheme } from '../scheme'

/**
 * Weights of every query over the answers of `have` (ascending coded queries): K rows of |have|.
 * A decoder depends on the survivor set alone, so the codec caches what it returns.
 */
export type Decoder = (scheme: Scheme, have: readonly number[]) => Float64Array[]

export const decoders = {
  /** The paper's: Berrut's interpolant through the survivors' nodes. */
  berrut: (scheme, have) => scheme.decode(have),
} satisfies Record<string, Decoder>

export type DecoderName = keyof typeof decoders

export const decoderNames = Object.keys(decoders) as DecoderName[]
