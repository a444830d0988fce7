/** The option `text`: a model's interface for texts. */

import { checkBoolean, checkObject, expected } from '../../base/check'
import { integer, open, option, type TableOf, words } from '../../base/option'
import type { Tokenizer } from './tokens'

export const poolings = ['mean', 'cls', 'last'] as const

export type Pooling = (typeof poolings)[number]

/** Options of a model's interface for texts. Defaults are in docs/reference/options.md. */
export interface TextOptions {
  /**
   * The folder (or its URL) of `tokenizer.json` and the files of sentence-transformers; or the parsed files by name:
   * `{ 'tokenizer.json': {...}, '1_Pooling/config.json': {...} }`.
   */
  files?: string | URL | Readonly<Record<string, unknown>>
  /** A `Tokenizer` of `@huggingface/tokenizers`, for runtimes where this package cannot import it. */
  tokenizer?: Tokenizer
  pooling?: Pooling
  normalize?: boolean
  maxTokens?: number
  longTexts?: 'refuse' | 'truncate'
  dimensions?: boolean
}

export const textOptions = {
  files: open(
    files,
    '`model`’s folder',
    'the folder of `tokenizer.json`, or the contents of its files by name',
    '--text-files <folder>',
  ),
  tokenizer: open(tokenizer, 'made of `tokenizer.json`', 'a `Tokenizer` of `@huggingface/tokenizers`'),
  pooling: open(
    words(poolings),
    'as the files say, else mean',
    'how token vectors become a text’s vector',
    '--pooling <how>',
  ),
  normalize: open(
    checkBoolean,
    'as the files say, else true for pooled vectors',
    '`true`: a text’s vector is scaled to length 1',
  ),
  maxTokens: open(integer(8), 'as the files say, else 512', 'most tokens that a text may have', '--max-tokens <n>'),
  longTexts: option(
    words(['refuse', 'truncate']),
    'refuse',
    'what happens to texts with more tokens, unless the request says otherwise',
    '--long-texts <what>',
  ),
  dimensions: option(
    checkBoolean,
    false,
    '`true`: requests may ask for only the first values of a vector (Matryoshka embeddings)',
  ),
} satisfies TableOf<TextOptions>

function files(field: string, value: unknown): NonNullable<TextOptions['files']> {
  return typeof value === 'string' ? value : checkObject(field, value, 'a folder, or files by name')
}

function tokenizer(field: string, value: unknown): Tokenizer {
  if (typeof checkObject(field, value).encode === 'function') return value as Tokenizer
  throw new TypeError(expected(field, 'a Tokenizer of @huggingface/tokenizers', value))
}
