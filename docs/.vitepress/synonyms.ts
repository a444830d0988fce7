/** A search finds options by what other systems call them. */

import { synonyms } from '../../src/predictor/synonyms'

const paths = Object.entries(synonyms).flatMap(([path, words]) =>
  words.map((word) => [word.toLowerCase(), path.toLowerCase().split('.')]),
)

/** Words of the index for a word of a search. The site has this function as text, so its table is inside. */
export const withSynonyms = new Function(
  'word',
  `const term = word.toLowerCase(); return [term, ...(new Map(${JSON.stringify(paths)}).get(term) ?? [])]`,
) as (word: string) => string[]
