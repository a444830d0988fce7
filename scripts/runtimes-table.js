// The table of runtimes in docs/reference/runtimes.md: what each was tested for in the runs that wrote the file which the variable TOTALS names (see
// totals.js). Exits with 1 where the page says otherwise; with DOCS=write it writes the page. Prints the counts, what failed,
// and the totals alone in the last line. Versions of Node and of browsers are those of the day on which the page was written: only versions that lock files name are
// compared. A count is rounded down, and is wrong where the run has fewer tests or five times as many.
import { readFileSync, writeFileSync } from 'node:fs'
import { SUBJECTS } from './subjects.js'
import { totalsOf } from './totals.js'

const PAGE = 'docs/reference/runtimes.md'
const TABLE = /\| runtime \|[^\n]*\n(\|[^\n]*\n)+/
const LOCKED = ['Deno', 'Bun', 'workerd']
const ORDER = ['Node', ...LOCKED, 'Chromium', 'Firefox', 'WebKitGTK']
const WEBGPU = { answers: '✓', refused: 'refused: a software adapter computes wrongly' }
const HEAD = ['runtime', ...Object.keys(SUBJECTS), 'WebGPU', 'tests']

/** One per runtime, its versions together. @param counts  of totals.js */
export function runtimesOf(counts) {
  return ORDER.flatMap((name) => {
    const own = counts.filter(({ runtime }) => runtime[0] === name)
    if (!own.length) return []
    const subjects = Object.keys(SUBJECTS).map((subject) =>
      own.reduce((sum, each) => sum + (each.subjects[subject] ?? 0), 0),
    )
    const versions = own.map(({ runtime }) => (name === 'Node' ? /\d+/ : /^\d+\.\d+|[\d-]+/).exec(runtime[1])?.[0])
    const webgpu = own.map((each) => each.webgpu).find(Boolean)
    return [{ name, versions: [...new Set(versions)].sort(), subjects, webgpu, tests: own.reduce((sum, each) => sum + each.passed, 0) }] // biome-ignore format: one line
  })
}

/** Rounded down to one digit, as "200+"; below ten as it is. */
function atLeast(count) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(count, 1)))
  return count < 10 ? String(count) : `${(unit * Math.floor(count / unit)).toLocaleString('en')}+`
}

const line = (cells) => `| ${cells.join(' | ')} |`

/** The table as the page has it. */
export function tableOf(runtimes) {
  const rows = runtimes.map(
    ({ name, versions, subjects, webgpu, tests }) =>
    line([`${name} ${versions.join(', ')}`, ...subjects.map((count) => (count ? '✓' : '–')), WEBGPU[webgpu] ?? '–', atLeast(tests)]), // biome-ignore format: one line
  )
  return `${[line(HEAD), line(HEAD.map(() => '---')), ...rows].join('\n')}\n`
}

/** What the page says of each runtime: its cells. */
const saidOf = (table) =>
  table
    .trimEnd()
    .split('\n')
    .slice(2)
    .map((row) => row.split('|').slice(1, -1).map((cell) => cell.trim())) // biome-ignore format: one line

/** What the page says and the run does not show, a sentence each. */
export function wrongOf(table, runtimes) {
  const said = saidOf(table)
  const nameOf = (cells) => cells[0].split(' ')[0]
  const missing = said.map(nameOf).filter((name) => !runtimes.some((own) => own.name === name))
  const wrong = runtimes.flatMap((own) => {
    const cells = said.find((row) => nameOf(row) === own.name)
    if (!cells) return [`${own.name} is not in the table`]
    const [version, ...measured] = saidOf(tableOf([own]))[0]
    const differs = HEAD.slice(1, -1).filter((_, i) => cells[i + 1] !== measured[i])
    const least = Number.parseInt(cells.at(-1).replaceAll(',', ''), 10)
    return [
      ...differs.map((what) => `${own.name}: ${what}`),
      ...(LOCKED.includes(own.name) && cells[0] !== version ? [`it is ${version}, not ${cells[0]}`] : []),
      ...(own.tests < least || own.tests >= 5 * least ? [`${own.name} has ${own.tests} tests`] : []),
    ]
  })
  return [...missing.map((name) => `${name} has no tests`), ...wrong]
}

function main({ counts, failures }) {
  const runtimes = runtimesOf(counts)
  console.log(['runtime', ...Object.keys(SUBJECTS), 'all'].join('\t'))
  for (const { name, subjects, tests } of runtimes) console.log([name, ...subjects, tests].join('\t'))
  const page = readFileSync(PAGE, 'utf8')
  const table = tableOf(runtimes)
  const isWritten = process.env.DOCS === 'write'
  if (isWritten) writeFileSync(PAGE, page.replace(TABLE, table))
  const wrong = isWritten ? [] : wrongOf(TABLE.exec(page)[0], runtimes)
  if (wrong.length) {
    const todo = `DOCS=write TOTALS=${process.env.TOTALS} node scripts/runtimes-table.js puts there`
    console.log(`${PAGE}, the table of runtimes: ${wrong.join('; ')}. ${todo}:\n${table}`)
    process.exitCode = 1
  }
  const all = [...failures, ...(wrong.length ? [`${PAGE}: the table of runtimes`] : [])]
  console.log(totalsOf({ counts, failures: all }).join('\n'))
}

if (process.argv[1]?.endsWith('runtimes-table.js')) main(JSON.parse(readFileSync(process.env.TOTALS, 'utf8')))
