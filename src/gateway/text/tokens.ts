/** Turns texts into token ids by the model's tokenizer. Texts that are too long are truncated or refused. */

import { expected, wrongType } from '../../base/check'

/** The part of the interface of `Tokenizer` (`@huggingface/tokenizers`) that is used here. */
export interface Tokenizer {
  encode(text: string, options?: object): { ids: readonly number[]; token_type_ids?: readonly number[] }
  id_to_token(id: number): string | undefined
}

/** The tokens of a text or a pair of texts, with special tokens. */
export interface TokenRow {
  ids: readonly number[]
  /** The token type of each token: 1 for tokens of the second text, else 0. */
  types: readonly number[]
}

/** What happens to a text with too many tokens: it is refused, or truncated on this side. */
export type Overlong = 'refuse' | 'left' | 'right'

export class TooLong extends RangeError {}

/** A longer text counts as too long without tokenizing it: millions of spaces may have few tokens, but would hold the event loop. */
const charactersOf = (most: number) => Math.max(2 ** 16, 64 * most)

export class TextTokens {
  /** @param most  the most tokens of a row */
  constructor(
    private readonly tokenizer: Tokenizer,
    readonly most: number,
  ) {}

  /** Tokenizes a text, or a pair of texts. @throws TypeError for a value that is no text, or empty; TooLong */
  row(field: string, texts: readonly unknown[], overlong: Overlong): TokenRow {
    const most = charactersOf(this.most)
    const read = texts.map((text) => {
      if (typeof text !== 'string' || text === '') throw wrongType(expected(field, 'a text that is not empty', text))
      if (text.length <= most) return text
      if (overlong === 'refuse') throw this.#tooLong(field)
      return overlong === 'left' ? text.slice(-most) : text.slice(0, most)
    })
    const row = this.#encode(read)
    if (!row.ids.length) throw wrongType(expected(field, 'a text with a token of this model', read[0]))
    if (row.ids.length <= this.most) return row
    if (overlong === 'refuse') throw this.#tooLong(field, row.ids.length)
    return this.#cut(row, read, overlong)
  }

  /** A row of token ids that the caller gives; no special tokens are added. @throws TypeError, TooLong */
  given(field: string, list: readonly unknown[], overlong: Overlong): TokenRow {
    if (!list.length) throw wrongType(`${field}: expected a text or tokens, got none`)
    const unknown = list.findIndex(
      (id) => !Number.isInteger(id) || this.tokenizer.id_to_token(id as number) === undefined,
    )
    if (unknown >= 0) throw wrongType(expected(`${field}[${unknown}]`, 'a token id of this model', list[unknown]))
    const all = list as readonly number[]
    if (all.length > this.most && overlong === 'refuse') throw this.#tooLong(field, all.length)
    const ids = overlong === 'left' ? all.slice(-this.most) : all.slice(0, this.most)
    return { ids, types: ids.map(() => 0) }
  }

  #tooLong(field: string, count?: number): TooLong {
    const got = count ?? `more than ${charactersOf(this.most)} characters`
    return new TooLong(`${field}: expected at most ${this.most} tokens, got ${got}; ask for 'truncate' to have it cut`)
  }

  #encode([text, pair]: readonly string[]): TokenRow {
    const options = { return_token_type_ids: true, ...(pair !== undefined && { text_pair: pair }) }
    const { ids, token_type_ids: types = ids.map(() => 0) } = this.tokenizer.encode(text, options)
    return { ids, types }
  }

  /** Truncates a row: removes tokens of the texts, of the longer one first, and keeps special tokens. */
  #cut({ ids, types }: TokenRow, texts: readonly string[], from: 'left' | 'right'): TokenRow {
    const special = this.#special(texts.length)
    const counts = texts.map((text) => this.#bare(text).length)
    const kept = share(counts, this.most - special.reduce((sum, n) => sum + n))
    const stays: boolean[] = []
    counts.forEach((count, i) => {
      for (let n = 0; n < special[i]; n++) stays.push(true)
      for (let n = 0; n < count; n++) stays.push(from === 'right' ? n < kept[i] : n >= count - kept[i])
    })
    const left = (list: readonly number[]) => list.filter((_, i) => stays[i] ?? true).slice(0, this.most)
    return { ids: left(ids), types: left(types) }
  }

  /** The tokens of a text without special tokens. */
  #bare(text: string): readonly number[] {
    return this.tokenizer.encode(text, { add_special_tokens: false }).ids
  }

  /** The number of special tokens before the first text, between two texts, and after the last, counted on texts of one letter. */
  #special(texts: number): number[] {
    const parts = ['a', 'b'].slice(0, texts)
    const { ids } = this.#encode(parts)
    let at = 0
    const before = parts.map((part) => {
      const own = this.#bare(part)
      const from = at
      while (at < ids.length && !own.every((id, i) => ids[at + i] === id)) at++
      at += own.length
      return at - own.length - from
    })
    return [...before, ids.length - at]
  }
}

/** How many tokens of each text remain: half of `most` each; a text with fewer leaves the rest to the other. */
function share([a, b = 0]: readonly number[], most: number): number[] {
  const half = a > b ? Math.ceil(most / 2) : Math.floor(most / 2)
  const first = Math.min(a, Math.max(most - b, half))
  return [first, most - first]
}
