/** A code with its decoder and locator: how a group of queries becomes coded rows, and how answers to the rows become answers to the queries. */

import { checkNames, checkWord } from '../base/check'
import { Scheme, type SchemeOptions, schemeOptions } from '../base/scheme'
import type { Core } from '../core/core'
import { type CoreOptions, loadCore } from '../core/load'
import { codes } from './codes'
import { type Decoded, type Decoder, decoders, type Survivors } from './decoders'
import { Group } from './group'
import { resultsNeeded } from './locators'
import { type CodeName, codeNames, type DecoderName, decoderNames, type LocatorName, locatorNames } from './names'

export interface CodecOptions extends SchemeOptions {
  /** 'aaai22': the paper's code, decoder and locator, unless the options name others. */
  preset?: 'aaai22' | undefined
  /** The code. Default: 'systematic'; with the preset or byzantine > 0 the paper's 'berrut', since in coded groups a liar can only be located. */
  code?: CodeName | undefined
  /** How missing answers are recovered. Default: 'berrut' with the code of that name, else 'kriging'. */
  decoder?: DecoderName | undefined
  /** How lies are found. Default: 'residual' if byzantine > 0 ('vote' with the preset), else 'none'. */
  locator?: LocatorName | undefined
}

export const codecOptions = [...schemeOptions, 'preset', 'code', 'decoder', 'locator'] as const

/** Survivor sets whose decode weights are cached: all of them for N = 12, S = 3. */
const SETS = 512

/** Group sizes whose weights are cached. */
const SIZES = 64

/** A code with its decoder and locator, which makes groups. It holds no queries and no time. */
export class Codec {
  readonly core: Core
  readonly scheme: Scheme
  readonly code: CodeName
  readonly decoder: DecoderName
  readonly locator: LocatorName
  readonly #schemes = new Map<number, Scheme>()
  readonly #weights = new Map<number, readonly Float64Array[]>()
  readonly #decoded = new Map<string, Decoded>()

  /** @throws RangeError for an option out of range, or if the scheme has too few results for the locator */
  constructor(core: Core, options: CodecOptions) {
    checkNames('', options, codecOptions)
    const { preset, code, decoder: chosen, locator: who, ...scheme } = options
    this.core = core
    this.scheme = new Scheme(scheme)
    if (preset !== undefined) checkWord('preset', preset, ['aaai22'])
    const liars = this.scheme.byzantine > 0
    this.code = checkWord('code', code ?? (preset || liars ? 'berrut' : 'systematic'), codeNames)
    const matching = this.code === 'berrut' ? 'berrut' : 'kriging'
    this.decoder = checkWord('decoder', chosen ?? matching, decoderNames)
    const decoder: Decoder = decoders[this.decoder]
    if (!decoder.codes.includes(this.code)) {
      const others = decoderNames.filter((name) => (decoders[name] as Decoder).codes.includes(this.code))
      throw new RangeError(
        `decoder: expected one for code '${this.code}', ${others.join(' | ')}, got '${this.decoder}'`,
      )
    }
    const fallback = liars ? (preset ? 'vote' : 'residual') : 'none'
    this.locator = checkWord('locator', who ?? fallback, locatorNames)
    if (this.code === 'systematic' && this.locator.startsWith('vote')) {
      throw new RangeError(`locator: expected residual | none for code 'systematic', got '${this.locator}'`)
    }
    const needed = resultsNeeded(this.locator, this.scheme)
    if (this.scheme.quorum < needed) {
      const { quorum } = this.scheme
      throw new RangeError(`locator: '${this.locator}' needs ${needed} results, got a quorum of ${quorum}; set workers`)
    }
    this.weightsFor(this.scheme.queries) // computed now instead of while the first group waits
  }

  static async create(options: CodecOptions & { core?: CoreOptions | undefined }): Promise<Codec> {
    checkNames('', options, [...codecOptions, 'core'])
    const { core, ...rest } = options
    return new Codec(await loadCore(core), rest)
  }

  open(): Group {
    return new Group(this)
  }

  /** The scheme of a group with this number of queries. */
  schemeFor(queries: number): Scheme {
    if (queries === this.scheme.queries) return this.scheme
    const scheme = this.#schemes.get(queries) ?? this.scheme.shorter(queries)
    this.#schemes.set(queries, scheme)
    return scheme
  }

  /** The weights of all rows of a group with this number of queries. Shared: read-only. */
  weightsFor(queries: number): readonly Float64Array[] {
    const weights = this.#weights.get(queries) ?? codes[this.code](this.schemeFor(queries))
    if (this.#weights.size >= SIZES) this.#weights.clear()
    this.#weights.set(queries, weights)
    return weights
  }

  /**
   * Decode weights of a survivor set, cached if they do not depend on the queries. Shared: read-only.
   *
   * @param key  identifies the coded rows and the survivors
   */
  decode(survivors: Survivors, key: string): Decoded {
    const decoder: Decoder = decoders[this.decoder]
    if (decoder.data) return decoder.decode(survivors)
    const decoded = this.#decoded.get(key) ?? decoder.decode(survivors)
    this.#decoded.delete(key) // deleted and set again, so that it is the newest
    const oldest = this.#decoded.keys().next().value
    if (this.#decoded.size >= SETS && oldest !== undefined) this.#decoded.delete(oldest)
    this.#decoded.set(key, decoded)
    return decoded
  }
}
