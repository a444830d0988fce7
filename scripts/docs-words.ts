/** npm run docs:words: words of each page, with the number of its faults. With names of pages: of these alone, each fault. */

import { readFileSync } from 'node:fs'
import { countWords, faultsOf, PAGES } from './docs-rules'

const named = process.argv.slice(2)
for (const path of named.length ? named : PAGES) {
  const page = readFileSync(path, 'utf8')
  const faults = faultsOf(path, page)
  console.log(`${String(countWords(page)).padStart(6)}  ${path}${faults.length ? `: ${faults.length}` : ''}`)
  if (named.length) for (const fault of faults) console.log(`        ${fault}`)
}
