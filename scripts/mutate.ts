/**
 * npm run mutate -- [COUNT] [--seed SEED] [FOLDER ...]: changes one condition or one sum in a copy of the sources, runs the tests that are about
 * it, and puts it back; so many times (40 unless told otherwise), drawn from the folders (trust, query, pool and memory unless told
 * otherwise). Prints which changes no test noticed, and the share that was noticed by folder. Ends with 1 below 95 %.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { seeded } from '../src/random'
import { copyOf, whileChanged } from './changed-copy'

interface Mutation {
  file: string
  line: number
  from: number
  to: number
  text: string
  instead: string
}

/** What each operator becomes. */
const SWAPS: Record<string, string> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
}
const FOLDERS = ['trust', 'query', 'pool', 'memory']
/** Tests that are about each; simulations tell of all. */
const TESTS: Record<string, string[]> = {
  trust: ['test/trust', 'test/query', 'test/simulation'],
  query: ['test/query', 'test/trust', 'test/group', 'test/simulation'],
  pool: ['test/pool', 'test/query', 'test/simulation'],
  memory: ['test/memory', 'test/query', 'test/evaluate'],
}
/** Of those the ones that start threads, which only what was built has. */
const BUILT = ['test/query/let-go.test.ts', 'test/evaluate/digits.test.ts', 'test/memory/state.test.ts']
const LEAST = 0.95
/** A mutation that loops for ever was noticed. */
const MOST_MS = 300_000

/** All changes that a file's conditions and arithmetic allow. */
function mutationsOf(file: string, text: string): Mutation[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: Mutation[] = []
  const add = (node: ts.Node, instead: string) => {
    const [from, to] = [node.getStart(source), node.getEnd()]
    const line = source.getLineAndCharacterOfPosition(from).line + 1
    found.push({ file, line, from, to, text: text.slice(from, to), instead })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node)) {
      const swap = SWAPS[node.operatorToken.getText(source)]
      const isText = [node.left, node.right].some(
        (side) => ts.isStringLiteralLike(side) || ts.isTemplateExpression(side),
      )
      if (swap && !isText) add(node.operatorToken, swap)
    }
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) {
      add(node, node.operand.getText(source))
    }
    if (ts.isIfStatement(node)) add(node.expression, `!(${node.expression.getText(source)})`)
    if (!ts.isTypeNode(node)) ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function testedCopy(): string {
  const left = ['node_modules', '.git', 'data'] // a few tests start programs, which take what was built
  const folder = copyOf(readdirSync('.').filter((name) => !left.includes(name)))
  const alias = ['', '/codec', '/gateway', '/http', '/nats', '/testing'].map((entry) => {
    const path = join(folder, 'src', `${entry.slice(1) || 'index'}.ts`)
    return `{ find: /^approxifer${entry.replace('/', '\\/')}$/, replacement: ${JSON.stringify(path)} }`
  })
  const config = `export default { resolve: { alias: [${alias}] }, test: { bail: 1, testTimeout: 60000, include: ['test/**/*.test.ts'], exclude: ${JSON.stringify(BUILT)} } }`
  writeFileSync(join(folder, 'mutate.config.ts'), config)
  return folder
}

/** Whether the tests of a folder pass. */
function passes(copy: string, folder: string): boolean {
  const vitest = join('node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--config', 'mutate.config.ts', ...TESTS[folder]]
  const env = { ...process.env, QUERIES: '3000', CI: '' }
  return spawnSync(process.execPath, args, { cwd: copy, env, timeout: MOST_MS, stdio: 'ignore' }).status === 0
}

function main(): void {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: 'string', default: '1' } } }) // biome-ignore format: one line
  const count = Number(positionals.find((word) => /^\d+$/.test(word)) ?? 40)
  const named = positionals.filter((word) => !/^\d+$/.test(word))
  const folders = named.length ? named : FOLDERS
  const copy = testedCopy()
  try {
    for (const folder of folders) if (!passes(copy, folder)) throw new Error(`the tests of ${folder} fail as they are`)
    const all = folders.flatMap((folder) =>
      readdirSync(join(copy, 'src', folder)).flatMap((name) => {
        const file = join('src', folder, name)
        return mutationsOf(file, readFileSync(join(copy, file), 'utf8'))
      }),
    )
    const chosen = seeded(Number(values.seed)).choose(all.length, Math.min(count, all.length))
    report(copy, chosen.map((i) => all[i])) // biome-ignore format: one line
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function report(copy: string, mutations: readonly Mutation[]): void {
  const scores = new Map<string, { noticed: number; all: number }>()
  for (const { file, line, from, to, text, instead } of mutations) {
    const folder = file.split('/')[1]
    const path = join(copy, file)
    const change = (own: string) => own.slice(0, from) + instead + own.slice(to)
    const isNoticed = !whileChanged(path, change, () => passes(copy, folder))
    const score = scores.get(folder) ?? { noticed: 0, all: 0 }
    scores.set(folder, { noticed: score.noticed + Number(isNoticed), all: score.all + 1 })
    if (!isNoticed) console.log(`not noticed: ${file}:${line}  ${text}  ->  ${instead}`)
  }
  for (const [folder, { noticed, all }] of scores) console.log(`${folder}: ${noticed} of ${all} noticed`)
  const [noticed, all] = [...scores.values()].reduce(([a, b], score) => [a + score.noticed, b + score.all], [0, 0])
  console.log(`${noticed} of ${all} noticed`)
  if (noticed < LEAST * all) process.exitCode = 1
}

main()
