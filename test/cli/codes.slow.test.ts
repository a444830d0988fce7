import { expect, it } from 'vitest'
import { lenet, run, runWith, scratch } from '../shared/cli'

const { write } = scratch()
const file = (name: string, text: string) => write(name, new TextEncoder().encode(text))
const few = ['evaluate', ...lenet, '--groups', '20']
const paper = './examples/codes/berrut.js'

it('evaluate --code: a file beside ours and the paper’s, in one table on the same groups', () => {
  const { status, stdout, stderr } = run(
    ...few,
    '--code',
    paper,
    '--code',
    './examples/codes/spline.js',
    '--code',
    'berrut',
  )
  expect([status, stderr]).toEqual([0, expect.stringContaining('measuring K = 8, S = 1, 20 groups')])
  const [title, head, ...rows] = stdout.trim().split('\n')
  expect(title).toMatch(/^mnist-lenet\.onnx: 8 queries, 1 missing; accuracy; the model alone \d+\.\d %; in %/)
  expect(head).toMatch(
    /^code +workers +all, 95 % +minus ours +minus the paper’s +lost only +nothing missing +worst set$/,
  )
  expect(rows.map((row) => row.split(/ {2,}/)[0])).toEqual([
    'ours: systematic, kriging',
    'the paper’s: berrut',
    paper,
    './examples/codes/spline.js',
    '20 groups, the same for all codes; seed 1, '.concat(rows.at(-1)?.split(', ').at(-1) as string),
  ])
  const cells = (row: string) => row.split(/ {2,}/).slice(1)
  const [theirs, mine] = [cells(rows[1]), cells(rows[2])]
  expect(mine.filter((_, i) => i !== 3)).toEqual(theirs) // the paper's own row has no difference to itself
  expect(mine[3]).toBe('+0.00 [+0.00 to +0.00]')
})

it('evaluate --code as JSON has the cells of --preset aaai22, to the digit', () => {
  const { codes } = JSON.parse(run(...few, '--code', paper, '--json').stdout)
  const { accuracy } = JSON.parse(run(...few, '--preset', 'aaai22', '--json').stdout)
  const { base: _, ...cells } = accuracy
  expect(codes.map(({ kind }: { kind: string }) => kind)).toEqual(['ours', 'paper', 'module'])
  expect(codes[2].accuracy).toEqual(cells)
  expect(codes[2].overPaper).toEqual({ mean: 0, ci95: [0, 0] })
})

it('with liars the table says how many were found, or that there is no locator', () => {
  const sizes = ['--queries', '4', '--stragglers', '0', '--byzantine', '1']
  const { stdout } = run(
    ...few,
    ...sizes,
    '--code',
    './examples/codes/median.js',
    '--code',
    './examples/codes/spline.js',
  )
  expect(stdout).toMatch(/liars found: share, all/)
  expect(stdout).toMatch(/median\.js .* \d+\.\d, \d+\.\d\n/)
  expect(stdout).toMatch(/spline\.js .* no locator\n/)
})

it('one name alone is evaluated as before', () => {
  expect(run(...few, '--code', 'systematic').stdout).toMatch(/8 queries on 9 workers .*, code systematic/)
})

const broken = file('broken.js', 'export const workers = (k) => k\nexport const needs = (k => k\n')
const partial = file('partial.mjs', 'export const workers = (k) => k\n')
const odd = file(
  'odd.js',
  'export default { workers: (k) => { throw new Error(`K must be odd`) }, needs: (k) => k, encode() {}, decode() {} }',
)
const text = file('code.txt', '')
const sizes = 'export const workers = (k, s) => k + s\nexport const needs = (k) => k\n'
const syntax = file('syntax.mjs', `${sizes}export function encode(queries, n) {\n  return queries.map((q => q)\n}\n`)
const copies = '  return Array.from({ length: n }, (_, i) => queries[i].slice())\n}\nexport const decode = () => []\n'
const thrower = file('thrower.mjs', `${sizes}export function encode(queries, n) {\n${copies}`)
file('table.mjs', 'const table = undefined\n\ntable.rows.forEach(() => {})\n')
const top = file('top.mjs', `import './table.mjs'\n${sizes}`)
const typed = file(
  'typed.ts',
  'export const workers = (k: number): number => { throw new Error(`${k} is even`) }\nexport const needs = (k: number) => k\nexport const encode = () => []\nexport const decode = () => []\n',
)
const mistyped = file('mistyped.ts', 'export const needs = (k: number) => k +\nexport const decode = () => []\n')

it.each([
  [['--code', './nope.js'], 1, /^approxifer: --code: expected a file, got "\.\/nope\.js": it is not there, seen from /],
  [
    ['--code', 'mine.js'],
    2,
    /Expected one of berrut, systematic, or a file with a \/, such as \.\/mine\.js\.\n\(Did you mean \.\/mine\.js\?\)/,
  ],
  [['--code', 'berut'], 2, /Did you mean berrut/],
  [['--code', text], 2, /--code: expected a file that ends with \.js or \.mjs or \.ts or \.mts, got /],
  [['--code', broken], 1, /broken\.js: it cannot be loaded: Unexpected end of input \(broken\.js:3\)\n/],
  [['--code', syntax], 1, /syntax\.mjs: it cannot be loaded: missing \) after argument list \(syntax\.mjs:4\)\n/],
  [['--code', top], 1, /top\.mjs: it cannot be loaded: Cannot read properties of undefined \(reading 'rows'\) \(table\.mjs:3:7\)\n/], // biome-ignore format: one line
  [['--code', thrower], 1, /thrower\.mjs: encode threw: Cannot read properties of undefined \(reading 'slice'\) \(thrower\.mjs:4:57\)\n/], // biome-ignore format: one line
  [['--code', partial], 2, /partial\.mjs: needs: expected a function, got undefined/],
  [['--code', odd], 1, /odd\.js: workers threw: K must be odd \(odd\.js:1:\d+\)/],
  [['--code', paper, '--decoder', 'kriging'], 2, /decoder: expected none where codes are compared, got one/],
  [['--code', paper, '--grid'], 2, /grid: expected none where codes are compared, got one/],
])('%s: a reason', (args, status, reason) => {
  const result = runWith({ columns: 0 }, ...few, ...args)
  expect([result.status, result.stdout]).toEqual([status, ''])
  expect(result.stderr.replace(/^.*measuring.*\n/m, '')).toMatch(reason)
})

const readsTypes = 'typescript' in process.features && Boolean(process.features.typescript)

it.runIf(readsTypes)('TypeScript: types are stripped, and errors have the place in the file', () => {
  expect(run(...few, '--code', typed).stderr).toMatch(/typed\.ts: workers threw: 8 is even \(typed\.ts:1:55\)\n/)
  expect(run(...few, '--code', mistyped).stderr).toMatch(/mistyped\.ts: it cannot be loaded: .* \(mistyped\.ts:2\)\n/)
})

it.skipIf(readsTypes)('TypeScript on a Node that reads none: which do', () => {
  const { status, stderr } = runWith({ columns: 0 }, ...few, '--code', typed)
  const needed = 'TypeScript needs Node 22.18, 23.6 or later; this is'
  expect([status, stderr]).toEqual([
    2,
    `approxifer: --code: expected .js or .mjs, got "${typed}": ${needed} ${process.version}\n`,
  ])
})
