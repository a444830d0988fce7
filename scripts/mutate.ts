/**
 * npm run mutate -- [COUNT] [--seed SEED] [--seconds SECONDS] [--tests FOLDER,FOLDER] [--skip N] [--only N,N] [FOLDER | FILE ...]: changes
 * one condition or one sum in a copy of the sources, runs the tests that come to it, and puts it back; so many times (200 unless told
 * otherwise), drawn from the folders and files of src (trust, layers, pool, gateway, workers and the memory's confidence unless told otherwise; `.`
 * is all of it). Of the tests the ones in the same folder go first, and no more than take SECONDS (60) together; --tests has only those of these
 * folders of test/ measured and run. --skip leaves out the first N, --only all but these, by the number told of each. Prints which changes no test noticed, and the share that was noticed by folder. Ends with 1 below 95 %.
 *
 * npm run mutate -- known: instead those of known-mutations.ts; ends with 1 where one was not noticed.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seeded } from '../src/base/random'
import { aimedAt, type End, Runner, reachOf, TESTS, testedCopy } from './aimed-tests'
import { changed, filesIn } from './changed-copy'
import { knownMutations } from './known-mutations'
import { type Mutation, mutationsOf } from './mutations'

const CONFIDENCE = ['confidence', 'calibration', 'logistic', 'odds', 'confidence-state']
const PLACES = ['trust', 'layers', 'pool', 'gateway', 'workers', ...CONFIDENCE.map((name) => `memory/${name}.ts`)]
const LEAST = 0.95
/** A change that makes the tests run for ever was noticed: for so long, or twice as long as they take. These are told, since the machine may have been slow. */
const MOST_MS = 100_000

const ends: Record<Exclude<End, 'failed'>, string> = {
  passed: 'not noticed',
  hung: 'noticed by running for ever',
  died: 'noticed: the process that ran the tests died of it, twice',
}

/** Of a folder: how many changes were tried, and how many of these noticed. */
type Scores = Record<string, { noticed: number; all: number }>

async function main(): Promise<void> {
  const number = (value: string) => ({ type: 'string', default: value }) as const
  const options = {
    seed: number('1'),
    seconds: number('60'),
    skip: number('0'),
    only: number(''),
    tests: number(TESTS.join()),
  }
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  const folder = testedCopy()
  process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const runner = new Runner(folder)
  if (positionals[0] === 'known') return known(runner, folder).finally(() => runner.close())
  const count = Number(positionals.find((word) => /^\d+$/.test(word)) ?? 200)
  const named = positionals.filter((word) => !/^\d+$/.test(word))
  const files = (named.length ? named : PLACES).flatMap((place) => filesIn(join('src', place)))
  const byFile = new Map(files.map((file) => [file, mutationsOf(file, readFileSync(file, 'utf8'))] as const))
  const all = [...byFile.values()].flat()
  const chosen = seeded(Number(values.seed)).choose(all.length, Math.min(count, all.length))
  const reach = reachOf(folder, byFile, values.tests.split(','))
  const scores: Scores = {}
  const only = values.only.split(',').filter(Boolean).map(Number)
  const entries = [...chosen.entries()].slice(Number(values.skip))
  for (const [i, number] of entries.filter(([i]) => !only.length || only.includes(i))) {
    const seconds = Number(values.seconds)
    const tests = aimedAt(all[number], number, reach, seconds)
    tell(i, all[number], tests, await tried(runner, folder, all[number], tests, 2000 * seconds), scores)
  }
  runner.close()
  sum(scores)
}

function tried(
  runner: Runner,
  folder: string,
  { file, from, to, instead }: Mutation,
  tests: string[],
  takeMs: number,
): Promise<End> {
  return endedWith(runner, folder, file, (own) => own.slice(0, from) + instead + own.slice(to), tests, takeMs)
}

/** What becomes of tests while a file is changed. */
async function endedWith(
  runner: Runner,
  folder: string,
  file: string,
  change: (own: string) => string,
  tests: string[],
  takeMs = 0,
): Promise<End> {
  // biome-ignore format: one line
  const own = readFileSync(file, 'utf8')
  writeFileSync(join(folder, file), change(own))
  try {
    return tests.length ? await runner.run(file, tests, Math.max(MOST_MS, takeMs)) : 'passed'
  } finally {
    writeFileSync(join(folder, file), own)
  }
}

async function known(runner: Runner, folder: string): Promise<void> {
  const right = new Set<string>()
  for (const { tests, ...mutation } of knownMutations) {
    const path = join('src', mutation.file)
    const own = tests.map((test) => `test/${test}.test.ts`)
    const anew = own.filter((test) => !right.has(test))
    if (anew.length && (await runner.run(path, anew, MOST_MS)) !== 'passed') throw new Error(`${anew} fail as they are`)
    for (const test of anew) right.add(test)
    const end = await endedWith(runner, folder, path, (text) => changed(text, mutation), own)
    console.log(`${end === 'passed' ? 'NOT NOTICED' : 'noticed'}: ${mutation.name}`)
    if (end === 'passed') process.exitCode = 1
  }
}

function tell(i: number, mutation: Mutation, tests: string[], end: End, scores: Scores): void {
  const { file, line, from, to, text, instead, whole } = mutation
  scores[file.split('/')[1]] ??= { noticed: 0, all: 0 }
  const score = scores[file.split('/')[1]]
  score.all++
  score.noticed += Number(end !== 'passed')
  if (end === 'failed') return
  const own = readFileSync(file, 'utf8')
  const before = own.slice(whole.from, whole.to)
  const after = own.slice(whole.from, from) + instead + own.slice(to, whole.to)
  const what = ends[end]
  console.log(`${i}: ${what}, ${tests.length} files: ${file}:${line}  ${text}\n  ${before}\n  ${after}`)
}

function sum(scores: Scores): void {
  for (const [folder, { noticed, all }] of Object.entries(scores)) console.log(`${folder}: ${noticed} of ${all} noticed`) // biome-ignore format: one line
  const [noticed, all] = Object.values(scores).reduce(([a, b], score) => [a + score.noticed, b + score.all], [0, 0])
  console.log(`${noticed} of ${all} noticed`)
  if (noticed < LEAST * all) process.exitCode = 1
}

await main()
