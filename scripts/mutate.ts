/**
 * npm run mutate -- [COUNT] [--seed SEED] [--seconds SECONDS] [FOLDER | FILE ...]: changes one condition or one sum in a copy of the
 * sources, runs the tests that come to it, and puts it back; so many times (200 unless told otherwise), drawn from the folders and files
 * (trust, query, pool and the memory's confidence unless told otherwise). Of the tests the ones in the same folder go first, and no more
 * than take SECONDS (60) together. Prints which changes no test noticed, and the share that was noticed by folder. Ends with 1 below 95 %.
 *
 * npm run mutate -- known: instead those of known-mutations.ts; ends with 1 where one was not noticed.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seeded } from '../src/random'
import { aimedAt, passes, reachOf, testedCopy } from './aimed-tests'
import { filesIn } from './changed-copy'
import { knownMutations } from './known-mutations'
import { type Mutation, mutationsOf } from './mutations'

const CONFIDENCE = ['confidence', 'calibration', 'logistic', 'odds', 'confidence-state']
const PLACES = ['trust', 'query', 'pool', ...CONFIDENCE.map((name) => `memory/${name}.ts`)]
const LEAST = 0.95
/** A change that makes the tests run for ever was noticed. */
const MOST_MS = 5 * 60_000

/** Of a kind of file: how many changes were tried, and how many of these noticed. */
type Scores = Record<string, { noticed: number; all: number }>

async function main(): Promise<void> {
  const options = { seed: { type: 'string', default: '1' }, seconds: { type: 'string', default: '60' } } as const
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  const count = Number(positionals.find((word) => /^\d+$/.test(word)) ?? 200)
  if (positionals[0] === 'known') return known()
  const named = positionals.filter((word) => !/^\d+$/.test(word))
  const files = (named.length ? named : PLACES).flatMap((place) => filesIn(join('src', place)))
  const byFile = new Map(files.map((file) => [file, mutationsOf(file, readFileSync(file, 'utf8'))] as const))
  const all = [...byFile.values()].flat()
  const chosen = seeded(Number(values.seed)).choose(all.length, Math.min(count, all.length))
  const folder = testedCopy()
  try {
    const reach = await reachOf(folder, byFile)
    const scores: Scores = {}
    for (const number of chosen) {
      const mutation = all[number]
      const tests = aimedAt(mutation, number, reach, Number(values.seconds))
      tell(mutation, tests, await isNoticed(folder, mutation, tests), scores)
    }
    sum(scores)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function isNoticed(folder: string, { file, from, to, instead }: Mutation, tests: string[]): Promise<boolean> {
  return isNoticedBy(folder, file, (own) => own.slice(0, from) + instead + own.slice(to), tests)
}

async function isNoticedBy(
  folder: string,
  file: string,
  change: (own: string) => string,
  tests: string[],
): Promise<boolean> {
  // biome-ignore format: one line
  const own = readFileSync(file, 'utf8')
  writeFileSync(join(folder, file), change(own))
  try {
    return tests.length > 0 && !(await passes(folder, tests, {}, MOST_MS))
  } finally {
    writeFileSync(join(folder, file), own)
  }
}

async function known(): Promise<void> {
  const folder = testedCopy()
  try {
    const all = [...new Set(knownMutations.flatMap(({ tests }) => tests))].map(pathOf)
    if (!(await passes(folder, all, {}, MOST_MS))) throw new Error('tests fail as they are')
    for (const { name, file, from, to, tests } of knownMutations) {
      const path = join('src', file)
      if (readFileSync(path, 'utf8').split(from).length !== 2) throw new Error(`${file}: expected once: ${from}`)
      const isFound = await isNoticedBy(folder, path, (own) => own.replace(from, () => to), tests.map(pathOf))
      console.log(`${isFound ? 'noticed' : 'NOT NOTICED'}: ${name}`)
      if (!isFound) process.exitCode = 1
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const pathOf = (test: string) => `test/${test}.test.ts`

function tell(
  { file, line, from, to, text, instead, whole }: Mutation,
  tests: string[],
  noticed: boolean,
  scores: Scores,
): void {
  // biome-ignore format: one line
  const score = (scores[file.split('/')[1]] ??= { noticed: 0, all: 0 })
  score.all++
  score.noticed += Number(noticed)
  if (noticed) return
  const own = readFileSync(file, 'utf8')
  const before = own.slice(whole.from, whole.to)
  const after = own.slice(whole.from, from) + instead + own.slice(to, whole.to)
  console.log(`not noticed by ${tests.length} files: ${file}:${line}  ${text}\n  ${before}\n  ${after}`)
}

function sum(scores: Scores): void {
  for (const [folder, { noticed, all }] of Object.entries(scores)) console.log(`${folder}: ${noticed} of ${all} noticed`) // biome-ignore format: one line
  const [noticed, all] = Object.values(scores).reduce(([a, b], score) => [a + score.noticed, b + score.all], [0, 0])
  console.log(`${noticed} of ${all} noticed`)
  if (noticed < LEAST * all) process.exitCode = 1
}

await main()
