/** npm run docs:words: words of each part and page, and every sentence that is too long. With names of pages: of these alone, with all that their rules find. */

import { readFileSync } from 'node:fs'
import {
  countWords,
  deadLinks,
  LIMITS,
  longSentences,
  MOST_WORDS,
  OTHERS,
  PARTS,
  uncommanded,
  unsourcedFigures,
} from './docs-rules'

const named = process.argv.slice(2)
const text = (path: string) => readFileSync(path, 'utf8')
const pages = named.length ? named : [...Object.values(PARTS).flat(), ...OTHERS]
for (const path of pages) {
  const page = text(path)
  const found = [
    ...longSentences(page).map((sentence) => `more than ${MOST_WORDS} words: ${sentence}`),
    ...[...deadLinks(path, page)].map((link) => `dead link: ${link}`),
    ...unsourcedFigures(path, page),
    ...(path.startsWith('docs/appendix/') ? uncommanded(path, page).map((what) => `no command: ${what}`) : []),
  ]
  console.log(`${String(countWords(page)).padStart(6)}  ${path}${found.length ? `: ${found.length}` : ''}`)
  if (named.length) for (const line of found) console.log(`        ${line}`)
}
if (!named.length) {
  const wordsIn = (parts: readonly (keyof typeof PARTS)[]) =>
    parts.flatMap((part) => PARTS[part]).reduce((sum, path) => sum + countWords(text(path)), 0)
  for (const [parts, most] of LIMITS) console.log(`${wordsIn(parts)} of ${most}: ${parts.join(', ')}`)
  console.log(`${wordsIn(['reference'])}: reference`)
}
