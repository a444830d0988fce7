import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { AnyOptions, Option } from '../src/base/option'
import { serverOptions } from '../src/cli/serve/options'
import { textOptions } from '../src/gateway/text/options'
import { predictOptions, predictorOptions } from '../src/predictor/option-table'

const REFERENCE = 'docs/reference/options.md'
const GUARANTEES = 'docs/reference/guarantees.md'
const HEAD = '| option | default | |\n|---|---|---|\n'

/** A row an option; those of a group by its name and theirs. */
function rows(options: AnyOptions, group = ''): string {
  const row = (name: string, { check, about, options: own, ...option }: Option) => {
    const words = check.words?.map((word) => `\`'${word}'\``).join(', ')
    const shown = own && option.otherwise === undefined ? '' : defaultOf(option)
    const [what, where] = about.split(/: (?=see \[)/)
    const meaning = words
      ? `${what}. ${check.words?.length === 1 ? 'Value' : 'Values'}: ${words}${where ? `; ${where}` : ''}`
      : about
    return `| \`${group}${name}\` | ${shown} | ${meaning} |\n`
  }
  return Object.entries(options)
    .map(([name, option]) => row(name, option) + (option.options ? rows(option.options, `${name}.`) : ''))
    .join('')
}

function defaultOf({ fallback, otherwise }: Pick<Option, 'fallback' | 'otherwise'>): string {
  if (otherwise !== undefined) return otherwise
  return typeof fallback === 'string'
    ? `\`'${fallback}'\``
    : (fallback as number).toLocaleString('en-US', { maximumFractionDigits: 6 })
}

/** Options that have a flag, by it. */
function flagged(options: AnyOptions): [string, Option][] {
  return Object.values(options).flatMap((option) => [
    ...(option.flags ? [[option.flags.split(' ')[0], option] as [string, Option]] : []),
    ...flagged(option.options ?? {}),
  ])
}

it(`${REFERENCE} has the tables of all options (DOCS=write puts them there)`, () => {
  const { testing: _, ...documented } = predictorOptions
  const ofQuery = Object.fromEntries(Object.entries(predictOptions).filter(([name]) => !(name in documented)))
  const tables = [HEAD + rows(documented), HEAD + rows(ofQuery), HEAD + rows(textOptions, 'text.')]
  const left = [...tables]
  const text = readFileSync(REFERENCE, 'utf8')
  const written = text.replace(/\| option \| default \| \|\n(\|.*\n)+/g, (old) => left.shift() ?? old)
  if (process.env.DOCS === 'write') writeFileSync(REFERENCE, written)
  for (const table of tables) expect(readFileSync(REFERENCE, 'utf8')).toContain(table)
})

it(`${GUARANTEES} has every line that histories are checked for, and every assumption that a test takes away`, () => {
  const table = /\| what is checked \| what it assumes \|\n\|---\|---\|\n((?:\|.*\n)+)/.exec(
    readFileSync(GUARANTEES, 'utf8'),
  )
  const rows = (table?.[1] ?? '').trim().split('\n').map((row) => row.split('|').slice(1, 3).map((cell) => cell.trim().split('; '))) // biome-ignore format: one line
  const lines = rows.flatMap(([checked]) => checked.map((line) => line.replace(/^of an? (gateway|open fleet): /, '')))
  const source = ['history', 'exchanges', 'strangers', 'audited', 'reused', 'returning']
    .map((name) => readFileSync(`test/simulation/${name}.ts`, 'utf8'))
    .join('')
  const checked = [...source.matchAll(/reaks\(\s*[\w.]+,\s*'([^']+)'/g)].map(([, line]) => line)
  expect(lines.sort()).toEqual([...new Set(checked)].filter((line) => line !== 'the history').sort())
  const tests = readFileSync('test/simulation/assumptions.test.ts', 'utf8')
  const taken = [...tests.matchAll(/assumed: '(.+)',\n\s+line: '(.+)'/g)]
  expect(taken.length).toBeGreaterThan(5)
  for (const [, assumed, line] of taken) {
    expect(rows.find(([checked]) => checked.includes(line))?.[1]).toContain(assumed)
  }
})

it('docs/reference/serving.md has every flag with its default', () => {
  const text = readFileSync('docs/reference/serving.md', 'utf8')
  const plain = (shown: string) => shown.replace(/[`',]/g, '').trim()
  for (const [flag, option] of [...flagged(predictorOptions), ...flagged(textOptions), ...flagged(serverOptions)]) {
    const [, shown] = new RegExp(`^\\| \`${flag}\`[^|]*\\|([^|]*)\\|`, 'm').exec(text) ?? []
    expect(plain(shown ?? 'no row'), flag).toBe(plain(defaultOf(option)))
  }
})
