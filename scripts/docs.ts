/** npm run docs: checks the pages, then builds the site, with the API from the docstrings and two live pages beside it, in build/site/. */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'vitepress'
import { faultsOf, importOf, LIMITS, PAGES, wordsIn } from './docs-rules'
import { buildPage as buildFilm } from './film-page'
import { buildPage as buildComparison } from './wasm-page'

const SITE = 'build/site'
const API = 'docs/reference/api'

const faults = PAGES.flatMap((path) => faultsOf(path, readFileSync(path, 'utf8')))
for (const [parts, most] of LIMITS) {
  const words = wordsIn(parts)
  console.log(`${parts.join(', ')}: ${words} words of ${most}`)
  if (words > most) faults.push(`${parts.join(', ')}: expected at most ${most} words, got ${words}`)
}
console.log(`reference: ${wordsIn(['reference'])} words`)
for (const fault of faults) console.error(fault)
if (faults.length) process.exit(1)

rmSync(API, { recursive: true, force: true })
execFileSync('npx', ['typedoc', '--logLevel', 'Error'], { stdio: 'inherit' })
for (const name of readdirSync(API)) nameLikeImports(join(API, name))
await build('docs')
await buildFilm(`${SITE}/film`)
await buildComparison(`${SITE}/wasm`)
console.log(`${SITE}: any static server may serve it`)

/** typedoc calls entries by the names of their files, and the list of all by the package's. */
function nameLikeImports(path: string): void {
  const name = basename(path, '.md')
  const page = readFileSync(path, 'utf8')
  const named =
    name === 'README'
      ? page.replace(/^# .*/, '# API').replace(/\[(\w+)\](?=\(\1\.md\))/g, (_, entry) => `[\`${importOf(entry)}\`]`)
      : page.replace(/^# .*/, `# ${importOf(name)}`)
  writeFileSync(path, named)
}
