/** The numerical parts, each usable alone: weights, codec, the core that they compute with, memory. @module */

export { Codec, type CodecOptions, type CodedRow, type Group, type Recovery, type Suspect } from './codec/codec'
export type { CodeName } from './codec/codes'
export type { DecoderName } from './codec/decoders'
export type { LocatorName } from './codec/locators'
export { type Core, type CoreOptions, loadCore } from './core/core'
export type { Criterion, CriterionOptions, LabelAxis, Labels, Tolerance } from './criterion'
export { Confidence as Worth } from './memory/confidence'
export type { ConfidenceState as WorthState } from './memory/confidence-state'
export { type Features, Memory, type MemoryOptions, type Recollection } from './memory/memory'
export { type PatchOptions, patchFeatures } from './memory/patches'
export { type Points, Scheme, type SchemeOptions } from './scheme'
