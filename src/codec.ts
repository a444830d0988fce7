/** The numerical parts, each usable alone: weights, codec, the numerical core, memory. @module */

export type {
  Choice,
  Criterion,
  JudgedOutput,
  Labels,
  OutputCriterion,
  Outputs,
  Ranking,
  Relative,
  Tags,
  Tolerance,
} from './base/criterion'
export type { Right, RightOutput } from './base/output-kind'
export type { Random } from './base/random'
export { type Points, Scheme, type SchemeOptions } from './base/scheme'
export type { CodeModule } from './codec/code-module'
export { Codec, type CodecOptions } from './codec/codec'
export type { CodedRow, Recovery } from './codec/decode'
export type { Group, Suspect } from './codec/group'
export type { CodeName, DecoderName, LocatorName } from './codec/names'
export type { Core } from './core/core'
export { type CoreOptions, loadCore } from './core/load'
export { Confidence } from './memory/confidence'
export type { ConfidenceState } from './memory/confidence-state'
export { type Features, Memory, type MemoryOptions, type Recollection } from './memory/memory'
export { type PatchOptions, patchFeatures } from './memory/patches'
