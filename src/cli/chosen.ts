/** Which of a command's options make a scheme or a codec: these refuse what they do not know. */

import { type CodecOptions, codecOptions } from '../codec/codec'
import { type SchemeOptions, schemeOptions } from '../scheme'

export function chosenScheme(options: SchemeOptions): SchemeOptions {
  return chosen(options, schemeOptions) as unknown as SchemeOptions
}

export function chosenCodec(options: CodecOptions): CodecOptions {
  return chosen(options, codecOptions) as unknown as CodecOptions
}

function chosen(options: object, names: readonly string[]) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name)))
}
