/**
 * npm run bench -- verdict [FOLDER ..] [NAME ..] [QUERIES] [--json]: what `evaluate` says of each model, beside what then happens: the recommended predictor answers
 * 10,000 queries in real time, on real threads of this machine, of which as many answers come late as was supposed. A model X.onnx of a folder is asked the
 * queries of X-inputs.npy, or of a file for each input; where these are fewer, again in another order. Without a folder: the models of this package.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { table } from '../../src/cli/table'
import type { Found } from '../../src/cli/verdict'
import { type Happened, happen } from './happened'
import { type Asked, mixer, modelsIn, streamOf } from './streams'

/** Counted queries, and those before: as in a forecast the memory has learned by then. */
const [COUNTED, FIRST] = [10_000, 1000]
/** What p99 and right answers may differ by: shares of what was said. */
const WITHIN = { p99: 0.2, right: 0.02 }
/** Seconds of arrivals: a slow model gets fewer queries. */
const MOST_SECONDS = 300

export interface Said extends Pick<Found, 'verdict' | 'use'> {
  seconds: number
}

export default async function verdict(json: boolean, words: string[]): Promise<void> {
  const folders = words.filter((word) => word.includes('/'))
  const counted = Number(words.find((word) => Number(word)) ?? COUNTED)
  const names = words.filter((word) => !word.includes('/') && !Number(word))
  mkdirSync('build/verdict', { recursive: true })
  const models = [...(folders.length ? folders : ['models/']).flatMap(modelsIn), mixer()]
  const results: { name: string; said: Said; happened: Happened; load: number }[] = []
  const rows = table(['', 'verdict', 'p99 said', 'happened', 'of it', 'right said', 'happened', 'evaluate took'])
  for (const model of models.filter(({ name }) => !names.length || names.includes(name))) {
    const stream = streamOf(model, FIRST + counted)
    const said = ask(stream)
    const happened = await happen(stream, said, { first: FIRST, counted, mostSeconds: MOST_SECONDS })
    results.push({ name: model.name, said, happened, load: loadavg()[0] })
    writeFileSync('build/verdict/results.json', JSON.stringify(results, null, 1))
    const { p99, right } = said.verdict.best.forecast
    const row = [
      model.name,
      said.verdict.worth === 'approxifer' ? said.verdict.best.name : said.verdict.worth,
      p99.toFixed(2),
      happened.p99.toFixed(2),
      (happened.p99 / p99).toFixed(2),
      `${(100 * right.accuracy).toFixed(1)} %`,
      `${(100 * happened.right).toFixed(1)} %`,
      `${said.seconds.toFixed(0)} s`,
    ]
    rows.push(row)
    if (!json)
      console.error(
        `${row.join('  ')}  (${happened.queries} queries, load ${loadavg()[0].toFixed(1)} on ${cpus().length} cores)`,
      )
  }
  if (json) return console.log(JSON.stringify(results, null, 1))
  const isNear = ({ said: { verdict }, happened }: (typeof results)[number]) => {
    const { p99, right } = verdict.best.forecast
    return Math.abs(happened.p99 / p99 - 1) <= WITHIN.p99 && Math.abs(happened.right - right.accuracy) <= WITHIN.right
  }
  console.log(rows.toString())
  console.log(
    `as said (p99 within 20 %, right answers within 2 points): ${results.filter(isNear).length} of ${results.length}`,
  )
}

/** What the command says of a model, as its users run it. */
function ask({ path, inputs, labels }: Asked): Said {
  const since = performance.now()
  const files = Object.entries(inputs).map(([name, file]) => (name ? `${name}=${file}` : file))
  const args = [
    'dist/cli.js',
    'evaluate',
    path,
    '--inputs',
    files.join(','),
    ...(labels ? ['--labels', labels] : []),
    '--json',
  ]
  const said = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 }))
  return { ...said, seconds: (performance.now() - since) / 1000 }
}
