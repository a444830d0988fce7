/** One predictor on real threads, from its start to its end. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor, localWorkers, type Predictor } from 'approxifer'
import type { Random } from '../../src/base/random'
import { HeardEvents, verdicts as listener, together } from '../../test/shared/heard-events'
import { Callers, isInTime } from './callers'
import { atLeast, type Check, checkCallers, equal, total } from './checks'
import type { Configuration } from './configurations'
import { type Digit, MODEL } from './digits'
import { Trouble } from './trouble'
import { CountingWorker, Verdicts } from './verdicts'

/** Of every predictor, so that memory compares. */
const WORKERS = 12
/** Queries a second, for so many queries: calm, busy, more than the workers can take. */
const RATES = [60, 200, 20_000]
const STRETCH = 100
/** Queries that come at once before an end under load, and after it. */
const BURST = 40
const TOO_LATE = 10
/** After a stall of the loop for longer, queries that should have come meanwhile are left out. */
const STALL_MS = 200
/** How long to wait for what comes by itself. */
const PATIENCE_MS = 10_000

/** What all predictors are asked. */
export interface Load {
  digits: readonly Digit[]
  random: Random
}

/** What became of a predictor's queries. */
export interface Served {
  asked: number
  /** Answers with the label of the bare model. */
  agreed: number
  endings: Record<string, number>
  /** Milliseconds to each answer. */
  times: number[]
  troubles: number
  /** Workers that were shown to lie, each time. */
  ejections: number
  checks: Check[]
}

interface Serving {
  predictor: Predictor
  callers: Callers
  trouble: Trouble
  verdicts: Verdicts
  warnings: string[]
  checks: Check[]
}

export const startWorkers = () => localWorkers({ model: MODEL, workers: WORKERS, onWarning: () => {} })

/** A predictor's life. @param arrived  told of each of the queries, and how many are remembered */
export async function serve(
  configuration: Configuration,
  options: Configuration['predictors'][number],
  load: Load,
  queries: number,
  arrived: (remembered: () => number) => void,
): Promise<Served> {
  const { troubled, liars, closing, agreement } = configuration
  const serving = await start(configuration, options, load.random)
  const { predictor, callers, trouble, verdicts, warnings, checks } = serving
  const wandering = trouble.wander(troubled, liars)
  await arrive(callers, load, queries, () => arrived(() => predictor.stats().memoryPairs))
  if (closing) await closeUnderLoad(serving, load.digits)
  trouble.stop()
  await wandering
  if (!closing) await closeAtRest(serving)
  const stats = predictor.stats()
  verdicts.check(stats, callers.doctored)
  checks.push(
    ...checkCallers(callers, stats, agreement),
    equal('workers that lied less often than was found', '', [...verdicts.wronged].join('; ')),
    equal('warnings that no verdict explains', '', warnings.filter((text) => !verdicts.explains(text)).join('; ')),
  )
  const { asked, agreed, endings, times } = callers
  const { ejected } = verdicts.counts
  return { asked, agreed: total(agreed), endings, times, troubles: trouble.count, ejections: ejected, checks }
}

async function start(
  configuration: Configuration,
  options: Configuration['predictors'][number],
  random: Random,
): Promise<Serving> {
  const workers = (await startWorkers()).map((worker, i) => new CountingWorker(worker, {}, i))
  const verdicts = new Verdicts(workers)
  const warnings: string[] = []
  const heard = new HeardEvents(false)
  const predictor = await createPredictor({
    ...options,
    workers,
    onEvent: together(
      heard.onEvent,
      listener((verdict) => verdicts.hear(verdict)),
    ),
    onWarning: (text) => warnings.push(text),
  })
  const callers = new Callers(predictor, configuration, random, heard)
  const trouble = new Trouble(workers, random, options.scheme !== undefined)
  return { predictor, callers, trouble, verdicts, warnings, checks: [] }
}

/** Queries at random times; resolves when all have ended. */
async function arrive(callers: Callers, { digits, random }: Load, queries: number, arrived: () => void): Promise<void> {
  const asking = new Set<Promise<void>>()
  let next = performance.now()
  for (let i = 0; i < queries; i++) {
    const rate = RATES[Math.floor(i / STRETCH) % RATES.length]
    next = Math.max(next, performance.now() - STALL_MS) - (1000 / rate) * Math.log(1 - random.next())
    const wait = next - performance.now()
    if (wait > 0) await sleep(wait)
    const asked = callers.ask(digits[random.below(digits.length)])
    asking.add(asked)
    void asked.then(() => asking.delete(asked))
    arrived()
  }
  await Promise.all(asking)
}

async function closeUnderLoad({ predictor, callers, checks }: Serving, digits: readonly Digit[]): Promise<void> {
  const asked = digits.slice(0, BURST).map((digit) => callers.ask(digit))
  checks.push(atLeast('queries under way when it is closed', BURST / 2, predictor.stats().open))
  callers.ended = true
  const closing = isInTime(predictor.close(), PATIENCE_MS)
  for (const digit of digits.slice(0, TOO_LATE)) asked.push(callers.ask(digit))
  checks.push(equal('closed in time', 'yes', (await closing) ? 'yes' : 'no'))
  checks.push(equal('promises open when it is closed', 0, callers.open))
  await Promise.all(asked)
}

/** What is under way comes to an end by itself, and then the predictor does. */
async function closeAtRest({ predictor, callers, trouble, checks }: Serving): Promise<void> {
  await until(() => trouble.allUp && !callers.heard.unended)
  checks.push(equal('all workers are up again', 'yes', trouble.allUp ? 'yes' : 'no'))
  checks.push(equal('ends of queries and attempts that were not told by themselves', 0, callers.heard.unended))
  callers.ended = true
  const closed = await isInTime(predictor.close(), PATIENCE_MS)
  checks.push(equal('closed in time', 'yes', closed ? 'yes' : 'no'))
}

/** Waits for something to come true, but not for long. */
export async function until(condition: () => boolean): Promise<void> {
  const start = performance.now()
  while (!condition() && performance.now() - start < PATIENCE_MS) await sleep(10)
}
