/**
 * Several codes on the same groups: the package's own, the paper's and those that a user names or brings. Codes alone: every recovery is
 * given, and there is no memory.
 */

import { seeded } from '../base/random'
import { Codec, type CodecOptions } from '../codec/codec'
import type { CodeName } from '../codec/names'
import type { Core } from '../core/core'
import type { Coding } from './coding'
import { evaluate } from './evaluate'
import type { EvaluateOptions, EvaluationProgress } from './experiment'
import { ModuleCoding, type NamedModule } from './module-coding'
import type { Evaluation } from './scores'
import { type Difference, type Figure, pairedDifference } from './statistics'

/** A code by its name, or a user's module. */
export type ChosenCode = CodeName | NamedModule

type EvaluateNames = 'model' | 'inputs' | 'own' | 'labels' | 'right' | 'groups' | 'attack' | 'sets'

export interface CompareOptions extends Pick<EvaluateOptions, EvaluateNames> {
  core: Core
  /** K, S and E of all codes; `workers` and `points` of those that are no modules. */
  scheme: Pick<CodecOptions, 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'points'>
  codes: readonly ChosenCode[]
  /** Of groups, losses and lies, and of what modules draw. Default 1. */
  seed?: number | undefined
  /** Called with the name of a code before it is measured. @returns the `onProgress` of its evaluation */
  follow?: (code: string) => ((progress: EvaluationProgress) => void) | undefined
}

/** The figures of one code. */
export interface CodeFigures {
  /** 'ours', 'paper', 'chosen' by its name, or a 'module'. */
  kind: 'ours' | 'paper' | 'chosen' | 'module'
  /** A name with decoder and locator, or the path of a module. */
  code: string
  workers: number
  /** Workers for each query. */
  overhead: number
  accuracy: Omit<Evaluation['accuracy'], 'base'>
  /** With byzantine > 0, if the code has a locator. */
  locator?: Evaluation['locator']
  /** Difference of `accuracy.all` to our code and to the paper's, in pairs. */
  overOurs?: Difference
  overPaper?: Difference
}

export interface CodesCompared {
  /** The model alone. */
  base: number
  tolerance?: number
  codes: CodeFigures[]
}

interface ComparedCode {
  kind: CodeFigures['kind']
  name: string
  coding: Coding
  locates: boolean
}

/** @throws RangeError for sizes that do not fit, TypeError or Error for what a module returns or throws */
export async function compareCodes(options: CompareOptions): Promise<CodesCompared> {
  const { codes, core: _, scheme: __, follow, ...shared } = options
  const entries = entriesOf(options)
  const result: CodesCompared = { base: 0, codes: [] }
  const drawn: Partial<Record<ComparedCode['kind'], Figure[]>> = {}
  for (const { kind, name, coding, locates } of entries) {
    const evaluation = await evaluate({
      ...shared,
      ...{ codec: coding, policy: 'recover', memory: 0, rivals: false },
      onProgress: follow?.(name),
    })
    const { base, ...accuracy } = evaluation.accuracy
    const { all } = evaluation.drawn
    drawn[kind] ??= all
    const { workers, queries } = coding.scheme
    result.base = base
    if (evaluation.tolerance !== undefined) result.tolerance = evaluation.tolerance
    result.codes.push({
      ...{ kind, code: name, workers, overhead: workers / queries, accuracy },
      ...(evaluation.locator && locates && { locator: evaluation.locator }),
      ...(drawn.ours && kind !== 'ours' && { overOurs: pairedDifference(all, drawn.ours) }),
      ...(drawn.paper && kind !== 'paper' && { overPaper: pairedDifference(all, drawn.paper) }),
    })
  }
  const [ours] = result.codes
  if (drawn.ours && drawn.paper) ours.overPaper = pairedDifference(drawn.ours, drawn.paper)
  return result
}

/** Our code and the paper's, then the others; none twice. */
function entriesOf({ core, scheme, codes, seed = 1 }: CompareOptions): ComparedCode[] {
  const entries: ComparedCode[] = []
  const add = (kind: ComparedCode['kind'], options: CodecOptions) => {
    const codec = new Codec(core, options)
    const parts = [codec.code, codec.decoder, ...(codec.scheme.byzantine ? [codec.locator] : [])]
    const name = parts.filter((part, i) => parts.indexOf(part) === i).join(', ')
    if (entries.some((entry) => entry.name === name)) return
    entries.push({ kind, name, coding: codec, locates: codec.locator !== 'none' })
  }
  add('ours', scheme)
  add('paper', { ...scheme, preset: 'aaai22' })
  for (const each of codes) {
    if (typeof each === 'string') add('chosen', { ...scheme, code: each })
    else {
      const coding = new ModuleCoding(core, each, scheme, seeded(seed + 0x3c6ef372))
      entries.push({ kind: 'module', name: each.name, coding, locates: each.code.locate !== undefined })
    }
  }
  return entries
}
