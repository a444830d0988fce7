/** The documentation: what scripts/docs-rules finds, and on every page its limits, its links and figures, its programs and its commands. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { svg } from '../bench/shared/report'
import { facts } from '../docs/.vitepress/first-page'
import manifest from '../package.json'
import {
  countWords,
  deadLinks,
  faultsOf,
  fences,
  LIMITS,
  longSentences,
  PAGES,
  sentences,
  slug,
  uncommanded,
  unsourcedFigures,
  wordsIn,
} from '../scripts/docs-rules'

const text = (path: string) => readFileSync(path, 'utf8')

describe('the rules', () => {
  it('count cells of tables and inline programs, not links, comments or programs between lines of ```', () => {
    const page =
      '# A title\n\nOne [two](three.md#four) `five`.\n\n| six | 7 |\n|---|---|\n| - | eight |\n\n```js\nnine()\n```\n<!-- ten -->'
    expect(countWords(page)).toBe(8)
  })

  it('end a sentence at a full stop, at the end of an item and of a cell, not in programs or abbreviations', () => {
    const page = 'One ends. Two `a. b` goes\non, e.g. here.\n\n- three\n- four\n\n| five | six. seven |\n|---|---|\n'
    expect(sentences(page)).toEqual([
      'One ends.',
      'Two `a b` goes on, e.g. here.',
      'three',
      'four',
      'five',
      'six.',
      'seven',
    ])
  })

  it('find a sentence of 31 words', () => {
    const words = (count: number) => `${Array.from({ length: count }, () => 'word').join(' ')}.`
    expect(longSentences(`${words(30)} ${words(31)}`)).toEqual([words(31)])
  })

  it('find links to files and headings that are not there', () => {
    const page =
      '[here](glossary.md) [no](nothing.md) [no heading](glossary.md#nothing-at-all) [out](https://example.com)'
    expect(deadLinks('docs/reference/page.md', page)).toEqual([
      'docs/reference/page.md: docs/reference/nothing.md',
      'docs/reference/page.md: docs/reference/glossary.md#nothing-at-all',
    ])
  })

  it('find a dead link of a program, though more programs follow on its line', () => {
    expect(deadLinks('docs/page.md', '[`a`](nothing.md) and `b`, `[c](no-link.md)`')).toEqual([
      'docs/page.md: docs/nothing.md',
    ])
  })

  it('find a figure that is no link, and one that its source does not have', () => {
    const page = 'It takes 12 ms. [99,999.75 ms](../appendix/performance.md). `deadlineMs: 12 ms`'
    expect(unsourcedFigures('docs/how-to/page.md', page)).toEqual([
      'docs/how-to/page.md: 99999.75 in "99,999.75 ms", not in docs/appendix/performance.md',
      'docs/how-to/page.md: "12 ms" is no link to where it was measured',
    ])
  })

  it('find a section of numbers without its command', () => {
    const table = '| a | 1 |\n|---|---|\n| b | 2 |\n'
    const page = `# Page\n\n## Without\n\n${table}\n## With\n\n\`npm run bench -- x\`\n\n${table}`
    expect(uncommanded('page.md', page)).toEqual(['page.md: ## Without'])
  })

  it('name a heading as GitHub does', () => {
    expect(slug('What `exact` means: K, S (and E)')).toBe('what-exact-means-k-s-and-e')
  })
})

it.each(LIMITS)('%s have at most %i words', (parts, most) => {
  expect(wordsIn(parts)).toBeLessThanOrEqual(most)
})

it.each(PAGES)('%s has short sentences, links that lead somewhere, and figures with their source', (path) => {
  expect(faultsOf(path, text(path))).toEqual([])
})

it.each(facts)('the fact "$title" of the first page stands where it was measured, with its command', (fact) => {
  const [path, anchor] = fact.link.slice(1).split('#')
  const source = `${path}.md#${anchor}`
  expect(deadLinks('docs/index.md', `[there](${source})`)).toEqual([])
  expect(unsourcedFigures('docs/index.md', `[${fact.title} ${fact.details}](${source})`)).toEqual([])
  expect(text(`docs/${path}.md`)).toContain(fact.linkText)
})

const pictures = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.svg'))

it.each(pictures)('%s is readable on a dark page', (name) => {
  expect(text(join('docs', name))).toContain('@media(prefers-color-scheme:dark)')
})

it('a plot drawn anew is readable on a dark page as its pages are, once', async () => {
  const drawn = await svg({ data: { values: [{ at: 1 }] }, mark: 'point', encoding: { x: { field: 'at' } } })
  const [style, ...others] = drawn.match(/<style>.*?<\/style>/g) ?? []
  expect(others).toEqual([])
  for (const name of ['appendix/lost.svg', 'appendix/wasm.svg', 'how-it-works/code.svg']) {
    expect(text(join('docs', name)), name).toContain(style)
  }
})

describe('programs', () => {
  const folder = mkdtempSync('build/docs-') // beside node_modules
  afterAll(() => rmSync(folder, { recursive: true }))

  it('compile against the package', () => {
    const globals = join(folder, 'globals.d.ts')
    writeFileSync(
      globals,
      `declare const predictor: import('approxifer').Predictor
declare const query: Float32Array
declare const model: string
declare const trustedTypes: any
declare module 'cloudflare:workers' { class DurableObject { ctx: any; env: any } }
`,
    )
    const where = new Map<string, string>()
    for (const path of PAGES) {
      for (const [i, { language, code }] of fences(text(path)).entries()) {
        if (!/^[mc]?[jt]s$/.test(language)) continue
        const file = join(folder, `${path.replaceAll('/', '-').replace('.md', '')}-${i}.m${language.at(-2)}s`)
        where.set(file, path)
        writeFileSync(file, `${code}\nexport {}\n`)
      }
    }
    const program = ts.createProgram([globals, ...where.keys()], {
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
      module: ts.ModuleKind.NodeNext,
      strict: false,
      allowJs: true,
      checkJs: true,
      skipLibCheck: true,
      noEmit: true,
      types: ['node'],
    })
    const found = ts.getPreEmitDiagnostics(program).flatMap(({ file, start = 0, messageText, code }) => {
      const message = ts.flattenDiagnosticMessageText(messageText, ' ')
      const isOthers = /^Cannot find module '(?!approxifer[^?]*')/.test(message) // installed beside an example, or made by a bundler
      const isUntyped = file?.fileName.endsWith('.mjs') && /Type '(string|boolean)' is not|'unknown'/.test(message) // as JavaScript is
      if (!file || isOthers || isUntyped || code === 7016) return []
      const line = file.text.split('\n')[file.getLineAndCharacterOfPosition(start).line]
      const name = [...where].find(([each]) => file.fileName.endsWith(each))?.[1] ?? file.fileName
      return [`${name}: ${line.trim()}: ${message}`]
    })
    expect(where.size).toBeGreaterThan(20)
    expect(found).toEqual([])
  })

  it('in JSON and YAML can be read', () => {
    for (const path of PAGES) {
      for (const { language, code } of fences(text(path))) {
        if (language === 'json') expect(() => JSON.parse(code), `${path}: ${code}`).not.toThrow()
        if (/^ya?ml$/.test(language)) {
          const errors = parseAllDocuments(code).flatMap((each) => each.errors)
          expect(errors, `${path}: ${code}`).toEqual([])
        }
      }
    }
  })
})

describe('commands', () => {
  const help = new Map<string, string>()
  const helpOf = (command: string) => {
    const known =
      help.get(command) ?? execFileSync(process.execPath, ['dist/cli.js', command, '--help'], { encoding: 'utf8' })
    help.set(command, known)
    return known
  }
  /** Of all pages, also those within sentences. A line that ends with a backslash goes on. */
  const commands = PAGES.flatMap((path) => {
    const page = text(path).replaceAll(/\\\n\s*/g, '')
    return [...page.matchAll(/\b(npx approxifer|npm run(?: --silent)?) ([a-z][\w:-]*)([^\n`#|&;]*)/g)].map(
      ([, program, name, rest]) => ({ path, program, name, rest }),
    )
  })

  it('of the command line exist, with their flags', () => {
    const own = commands.filter(({ program }) => program === 'npx approxifer')
    expect(own.length).toBeGreaterThan(20)
    const wrong = own.flatMap(({ path, name, rest }) => {
      if (!/^(demo|plan|evaluate|learn|serve|work|help)$/.test(name)) return [`${path}: ${name}`]
      const flags = rest.match(/(?<=\s)--?[a-zA-Z][\w-]*/g) ?? []
      return flags
        .filter((flag) => !new RegExp(`(^|[\\s,])${flag}\\b`, 'm').test(helpOf(name)))
        .map((flag) => `${path}: ${name} ${flag}`)
    })
    expect(wrong).toEqual([])
  })

  it('of npm and benches exist', () => {
    const benches = readFileSync('bench/index.ts', 'utf8')
    const scripts: Record<string, string> = manifest.scripts
    const wrong = commands
      .filter(({ program, path }) => program !== 'npx approxifer' && !path.startsWith('examples/'))
      .filter(({ name }) => name !== 'dev') // of a page's own package
      .flatMap(({ path, name, rest }) => {
        const bench = name === 'bench' ? /^ -- ([a-z][\w-]*)/.exec(rest)?.[1] : undefined
        if (!scripts[name]) return [`${path}: npm run ${name}`]
        return bench && !benches.includes(`'${bench}'`) ? [`${path}: npm run bench -- ${bench}`] : []
      })
    expect(wrong).toEqual([])
  })
})
