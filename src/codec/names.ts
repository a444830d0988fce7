/** Names of codes, decoders and locators, in a file of their own so that flags can be checked without loading the codec. */

export const codeNames = ['berrut', 'systematic'] as const
export const decoderNames = ['berrut', 'least-squares', 'kriging'] as const
export const locatorNames = ['residual', 'vote', 'vote-unit', 'none'] as const

export type CodeName = (typeof codeNames)[number]
export type DecoderName = (typeof decoderNames)[number]
export type LocatorName = (typeof locatorNames)[number]
