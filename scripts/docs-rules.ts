/** What holds of every page of the documentation: its words are counted, its sentences are short, its links lead somewhere, its figures stand where they were measured. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'

/** Pages of a folder: first those named, in this order, then the others. */
function pagesOf(folder: string, ...first: string[]): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.md'))
  const rank = (name: string) => (first.includes(name.slice(0, -3)) ? first.indexOf(name.slice(0, -3)) : first.length)
  return names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).map((name) => join(folder, name))
}

/** Parts of the documentation, in the order of the site. */
export const PARTS = {
  start: ['docs/index.md', 'docs/start.md'],
  'how to': pagesOf(
    'docs/how-to',
    'p99',
    'triton',
    'embeddings',
    'answers-from-memory',
    'liars',
    'roll-a-model',
    'production',
  ),
  'how it works': pagesOf('docs/how-it-works', 'stack', 'pool', 'memory', 'code', 'error-budget'),
  reference: pagesOf('docs/reference', 'options', 'guarantees', 'events', 'cli', 'serving'),
  appendix: pagesOf('docs/appendix', 'performance', 'accuracy'),
} as const

/** Words that the parts may have together. Tables count, programs do not. */
export const LIMITS: readonly (readonly [parts: readonly (keyof typeof PARTS)[], words: number])[] = [
  [['start', 'how to', 'how it works'], 10_000],
  [['start', 'how to', 'how it works', 'appendix'], 25_000],
]

export const MOST_WORDS = 30

/** Pages that a reader comes to beside the site's. */
export const OTHERS = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...['examples', ...readdirSync('examples').map((name) => join('examples', name))]
    .map((folder) => join(folder, 'README.md'))
    .filter((path) => existsSync(path)),
]

/** All pages that the rules hold for. */
export const PAGES = [...Object.values(PARTS).flat(), ...OTHERS]

export interface Fence {
  language: string
  code: string
}

const FENCE = /^( *)```(\S*)[^\n]*\n([\s\S]*?)^\1```[^\n]*$/gm

/** Programs and other texts between lines of ```. */
export function fences(page: string): Fence[] {
  return [...page.matchAll(FENCE)].map(([, , language, code]) => ({ language, code }))
}

/** Programs that a comment before them names: `<!-- recipe NAME -->`. */
export function recipes(page: string): Record<string, string> {
  const all = page.matchAll(/<!-- recipe (\S+) -->\n```\w+\n(.*?)```/gs)
  return Object.fromEntries([...all].map(([, name, code]) => [name, code]))
}

/** A page without front matter, programs, comments and HTML tags. */
function read(page: string): string {
  return page
    .replace(/^---\n[\s\S]*?\n---\n/, '')
    .replace(FENCE, '')
    .replace(/<!--[\s\S]*?-->/g, '')
    .replace(/<\/?[a-zA-Z][^<>]*>/g, '')
}

/** Its groups: what is shown, and where it leads. */
const LINK = /!?\[((?:[^\][]|\[[^\]]*\])*)\]\(([^)\s]*)\)/g

const plain = (text: string) =>
  text.replace(LINK, '$1').replace(/(?<![\w`])[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}(?![\w`])/g, '')

const isWord = (token: string) => /[\p{L}\p{N}]/u.test(token)
const wordsOf = (text: string) => text.split(/[\s|]+/).filter(isWord)

export function countWords(page: string): number {
  return wordsOf(plain(read(page))).length
}

export function wordsIn(parts: readonly (keyof typeof PARTS)[]): number {
  const words = parts.flatMap((part) => PARTS[part]).map((path) => countWords(readFileSync(path, 'utf8')))
  return words.reduce((sum, count) => sum + count, 0)
}

/** Sentences of paragraphs, headings, list items and cells of tables, each for itself. */
export function sentences(page: string): string[] {
  const blocks: string[] = []
  for (const line of read(page).split('\n')) {
    const bare = line.trim().replace(/^>\s?/, '')
    if (/^\|/.test(bare)) blocks.push(...bare.split(/(?<!\\)\|/))
    else if (!bare || /^(#+|[-*]|\d+\.|:::)\s/.test(bare)) blocks.push(bare.replace(/^(#+|[-*]|\d+\.|:::)\s/, ''))
    else blocks.push(`${blocks.pop() ?? ''} ${bare}`)
    if (/^(#|\|)/.test(bare)) blocks.push('')
  }
  return blocks
    .map((block) => plain(block).replace(/`[^`]*`/g, (code) => code.replace(/[.?!]\s/g, ' ')))
    .flatMap((block) => block.split(/(?<!\b(?:e\.g|i\.e|vs)\.)(?<=[.?!]["')”’*]*)\s+/u))
    .map((sentence) => sentence.trim())
    .filter(isWord)
}

/** An inline program counts as one word: it is read as one name. */
export function longSentences(page: string): string[] {
  return sentences(page).filter((sentence) => wordsOf(sentence.replace(/`[^`]*`/g, 'code')).length > MOST_WORDS)
}

/** The anchor of a heading, as GitHub and the site have it. */
export function slug(heading: string): string {
  return plain(heading)
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

function headings(page: string): string[] {
  return [...page.replace(FENCE, '').matchAll(/^#{1,6} (.*)$/gm)].map(([, heading]) => heading)
}

/** The section of a heading, with all below it; without an anchor the whole page. */
function section(page: string, anchor: string | undefined): string {
  if (!anchor) return page
  const lines = page.split('\n')
  const from = lines.findIndex((line) => /^#{1,6} /.test(line) && slug(line.replace(/^#+ /, '')) === anchor)
  const levelOf = (line = '') => /^#+/.exec(line)?.[0].length ?? 0
  const level = levelOf(lines[from])
  const next = lines.findIndex((line, i) => i > from && /^#{1,6} /.test(line) && levelOf(line) <= level)
  return lines.slice(from, next < 0 ? undefined : next).join('\n')
}

interface Link {
  text: string
  to: string
  anchor: string | undefined
}

function links(path: string, page: string): Link[] {
  // A program within a sentence has no links; one in brackets may be what a link shows.
  const text = page.replace(FENCE, '').replace(/`[^`\n]*`/g, (code, at, all) => (all[at - 1] === '[' ? code : ''))
  return [...text.matchAll(LINK)]
    .filter(([, , to]) => !/^[a-z]+:/.test(to))
    .map(([, shown, to]) => {
      const [file, anchor] = to.split('#')
      return { text: shown, to: file ? join(dirname(path), file) : path, anchor }
    })
}

/** What a program imports to get an entry of the package. */
export const importOf = (entry: string) => (entry === 'index' ? 'approxifer' : `approxifer/${entry}`)

/** Whether a file is made when the site is built. */
export const isBuilt = (path: string) => path.startsWith('docs/reference/api/') || /^docs\/(film|wasm)\//.test(path)

/** Links to files and headings that are not there, as "where: what". */
export function deadLinks(path: string, page: string): string[] {
  return links(path, page).flatMap(({ to, anchor }) => {
    if (isBuilt(to)) return []
    if (!existsSync(to)) return [`${path}: ${to}`]
    if (!anchor || !to.endsWith('.md')) return []
    return headings(readFileSync(to, 'utf8')).some((heading) => slug(heading) === anchor)
      ? []
      : [`${path}: ${to}#${anchor}`]
  })
}

const numbers = (text: string) => (text.replace(/(\d),(?=\d{3})/g, '$1').match(/\d+(\.\d+)?|\.\d+/g) ?? []).map(Number)

const MEASURED = /\d[\d.,]* ?(%|ms\b|µs\b|inferences\b|times\b)/

/** A measured number is a link to the section where it was measured: numbers that no such section has, and numbers without a link, as "where: what". */
export function unsourcedFigures(path: string, page: string): string[] {
  const wrong = links(path, page).flatMap(({ text, to, anchor }) => {
    if (!to.startsWith('docs/appendix/') || !existsSync(to)) return []
    const there = new Set(numbers(section(readFileSync(to, 'utf8'), anchor)))
    const missing = numbers(plain(text)).filter((number) => !there.has(number))
    return missing.length
      ? [`${path}: ${missing.join(', ')} in "${text}", not in ${to}${anchor ? `#${anchor}` : ''}`]
      : []
  })
  if (!/^docs\/(index|start|how)/.test(path)) return wrong
  const bare = read(page)
    .replace(LINK, '')
    .split('\n')
    .map((line) => MEASURED.exec(line.replace(/`[^`]*`/g, ''))?.[0])
    .filter((found) => found !== undefined)
  return [...wrong, ...bare.map((found) => `${path}: "${found}" is no link to where it was measured`)]
}

/** Sections of an appendix with a table of numbers, and without the command that measured them, as "where: heading". */
export function uncommanded(path: string, page: string): string[] {
  const command = /`[^`]*\b(npm (run|test|start)|npx approxifer|node|bench --)[^`]*`|```sh\n/
  const [head, ...sections] = page.split(/\n(?=## )/)
  if (command.test(head)) return []
  return sections
    .filter((text) => /^\|.*\d.*\|$/m.test(read(text)) && !command.test(text))
    .map((text) => `${path}: ${text.split('\n', 1)[0]}`)
}

/** All that is wrong with a page, as "where: what". */
export function faultsOf(path: string, page: string): string[] {
  return [
    ...longSentences(page).map((sentence) => `${path}: more than ${MOST_WORDS} words: ${sentence}`),
    ...deadLinks(path, page).map((link) => `${link} is not there`),
    ...unsourcedFigures(path, page),
    ...(path.startsWith('docs/appendix/') ? uncommanded(path, page).map((where) => `${where}: no command`) : []),
  ]
}
