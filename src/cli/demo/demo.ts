/** approxifer demo: slow and lying machines in simulated time, beside what else one would do; then a few real answers. */

import type { Status } from '../../base/prediction'
import { percent } from '../../evaluate/statistics'
import { labelOf } from '../../film/digits'
import { approxifer, Film, hedgedQueue, plainQueue } from '../../film/film'
import { createPredictor } from '../../predictor/create'
import { ProgressBar } from '../progress'
import { table } from '../table'
import { isPlain, width, wrap } from '../terminal'
import { loadDigits, MODEL } from './digits'
import { type FilmedSystem, filmConclusion, filmTable, showFilm } from './film-lanes'
import type { Measured, System, World } from './simulation'
import { byHand, KNOWN, learned, predictor, simulate } from './simulation'

interface DemoOptions {
  seed: number
  json?: boolean
}

/** What is tried in a world: a system, on more machines than the others where it says so. */
interface Way {
  name: string
  system: System
  machines?: number
}

/** As the first table of docs/appendix/performance.md. */
const SLOW = { machines: 27, load: 0.6, first: 100, liar: false, runs: 20 }
/** So few queries that even three of each are no trouble. */
const LYING = { machines: 9, load: 0.25, first: 0, liar: true, runs: 8 }
const SHOWN = 4

export async function demo({ seed, json }: DemoOptions): Promise<void> {
  const say = (text: string) => json || console.log(wrap(text))
  const digits = await loadDigits()
  const film = await Film.of(digits, [plainQueue, hedgedQueue(), approxifer])
  const names = ['a plain queue', 'a tuned hedge', 'approxifer']
  const filmed = film.bands.map((band, i) => ({ name: names[i], band }))
  const [plain, hedged, ours] = film.bands
  await showFilm(film, filmed, json)
  say(`\n${filmTable(filmed)}\n\n${filmConclusion(plain, hedged, ours)}\n`)
  const state = await learned(digits)
  const progress = new ProgressBar(!json)
  const tryAll = async (title: string, world: World, ways: readonly Way[]) => {
    const shown: Shown[] = []
    progress.start(title, ways.length * world.runs)
    let done = 0
    for (const { name, system, machines } of ways) {
      const measured = await simulate(system, world, digits, machines, () => progress.update(++done))
      shown.push({ name, ...measured })
    }
    progress.stop()
    return shown
  }
  say(`${PROLOGUE}\n`)
  const [slowly, falsely] = [SLOW, LYING].map((world) => ({ ...world, seed }))
  const slow = await tryAll('slow machines', slowly, slowWays(state))
  say(`\n${slowWorld(slowly)}\n\n${slowTable(slow)}\n\n${overload(slow)}`)
  const lying = await tryAll('a lying machine', falsely, lyingWays(state))
  say(`\n${lyingWorld(falsely)}\n\n${lyingTable(lying)}\n\n${caught(lying, falsely)}\n\n${conclusion(slow, lying)}`)
  const here = await real(digits.images.slice(0, SHOWN))
  say(`\n${HERE}\n\n${gallery(digits.images, here)}`)
  say(`\n${NEXT}`)
  if (json) console.log(JSON.stringify({ film: filmed.map(figures), slow, lying, here }, null, 2))
}

/** Of hedges, which are tuned by these: the best of them counts. */
const PERCENTILES = [0.9, 0.95, 0.99]

const slowWays = (state: Uint8Array): Way[] => [
  { name: 'no redundancy', system: byHand({}) },
  ...PERCENTILES.map((percentile) => ({
    name: `hedges at p${100 * percentile}`,
    system: byHand({ hedges: 0.1, percentile }),
  })),
  { name: 'replication', system: byHand({ copies: 2 }) },
  { name: 'replication on 54', system: byHand({ copies: 2 }), machines: 54 },
  { name: 'approxifer', system: predictor({ policy: 'auto', memory: { state } }) },
]

const lyingWays = (state: Uint8Array): Way[] => [
  { name: 'no check', system: byHand({}) },
  { name: 'replication, a majority', system: byHand({ copies: 3, votes: 2 }) },
  { name: 'duplicate and compare', system: byHand({ copies: 2, votes: 2 }) },
  { name: 'approxifer', system: predictor({ scheme: { queries: 8, byzantine: 1 }, memory: { state } }) },
]

async function real(images: readonly Float32Array[]): Promise<Real[]> {
  const made = await createPredictor({ model: MODEL, workers: 2, deadlineMs: 60_000, onWarning() {} })
  try {
    const predictions = await made.predictAll(images)
    return predictions.map(({ output, status }) => ({
      digit: labelOf(Object.values(output)[0].data as Float32Array),
      status,
    }))
  } finally {
    await made.close()
  }
}

const figures = ({ name, band: { slowestMs, wrong, inferences } }: FilmedSystem) => ({
  name,
  slowestMs,
  wrong,
  inferences,
})

export interface Shown extends Measured {
  name: string
}

interface Real {
  digit: number
  status: Status
}

const PROLOGUE = `Time is simulated, so that the figures are the same wherever this runs. Digits, a LeNet's answers to them, predictor, pool and memory are real. The memory predicts what the model would answer, from its answers to ${KNOWN} other digits; "exact" is the model's own answer.`
const machinesOf = ({ machines, load }: World) =>
  `${machines} machines, ${(100 * load).toFixed(0)} % busy, 10 ms an answer`
const slowWorld = (world: World) => `${machinesOf(world)}; but one answer in fifty takes ten times as long.`
const lyingWorld = (world: World) =>
  `${machinesOf(world)}. One of them lies: it swaps the two likeliest digits of every answer.`
const NEXT =
  'Next, with a model of yours: npx approxifer serve NAME=yours.onnx --workers 2 (or https://github.com/approxifer/approxifer#readme)'
const HERE =
  "Real time: two threads of this computer, the same model, the first digits of MNIST's test set: the model's own answers."

const ms = (value: number) => `${value.toFixed(1)} ms`

/** Columns that the tables need beside their bars. */
const BESIDE = 60
const MOST_BAR = 24
const LEAST_BAR = 8

const columns = () => Math.max(LEAST_BAR, Math.min(MOST_BAR, Math.floor((width() - BESIDE) / 2)))

const cell = (text: string, share: number) => `${text.padStart(8)} ${bar(share, columns())}`

const overloaded = ({ busy }: Shown) => busy > 1

/** As a share of the largest one that a system with enough machines has; 2 where it has not enough, whose queue grows. */
function scaled(shown: readonly Shown[], of: (each: Shown) => number): (each: Shown) => number {
  const most = Math.max(...shown.filter((each) => !overloaded(each)).map(of)) || 1
  return (each) => (overloaded(each) ? 2 : of(each) / most)
}

export function slowTable(shown: readonly Shown[]): string {
  const rows = table(['', 'half within', '99 % within', '99.9 % within', 'inferences'])
  const p99 = scaled(shown, (each) => each.p99)
  for (const each of shown) {
    rows.push([
      each.name,
      ms(each.p50).padStart(8),
      cell(ms(each.p99), p99(each)),
      ms(each.p999).padStart(8),
      each.asked.toFixed(2),
    ])
  }
  return rows.toString()
}

/** Of those that take more than their machines have. */
function overload(shown: readonly Shown[]): string {
  const names = shown.filter(overloaded).map(({ name }) => name)
  return names.length
    ? `>: ${names.join(', ')} asks for more than these machines can do: its queue grows as long as queries come.`
    : ''
}

export function lyingTable(shown: readonly Shown[]): string {
  const rows = table(['', 'wrong', 'inferences a query'])
  const [wrong, asked] = [scaled(shown, (each) => each.wrong), scaled(shown, (each) => each.asked)]
  for (const each of shown) {
    rows.push([each.name, cell(percent(each.wrong), wrong(each)), cell(each.asked.toFixed(2), asked(each))])
  }
  return rows.toString()
}

export function caught(shown: readonly Shown[], { runs }: World): string {
  const { lies, framed } = shown[shown.length - 1]
  const when = lies.length
    ? `, after ${Math.min(...lies)} to ${Math.max(...lies)} of its lies; what it answered afterwards, on trial, was given to nobody`
    : ''
  return `The liar was ejected in ${lies.length} of ${runs} runs${when}; honest machines ejected: ${framed}.`
}

function conclusion(slow: readonly Shown[], lying: readonly Shown[]): string {
  const [nothing, ...others] = slow
  const hedged = others.slice(0, PERCENTILES.length).reduce((best, each) => (each.p99 < best.p99 ? each : best))
  const ours = slow[slow.length - 1]
  const [, majority] = lying
  const proven = lying[lying.length - 1]
  return `On the same machines 99 of 100 answers came within ${ms(ours.p99)} with approxifer, ${ms(hedged.p99)} with the best of the hedges and ${ms(nothing.p99)} with no redundancy; beside a liar an answer took ${proven.asked.toFixed(1)} inferences, where a majority takes ${majority.asked.toFixed(1)}.`
}

const GAP = 4

/** As many as fit, with what was answered below each. */
export function gallery(images: readonly Float32Array[], real: readonly Real[]): string {
  const pictures = real.map((_, i) => picture(images[i]))
  const wide = pictures[0][0].length + GAP
  const fit = Math.max(1, Math.min(real.length, Math.floor((width() + GAP) / wide)))
  const line = (cells: readonly string[]) =>
    cells
      .slice(0, fit)
      .map((each) => each.padEnd(wide))
      .join('')
      .trimEnd()
  const rows = pictures[0].map((_, row) => line(pictures.map((lines) => lines[row])))
  return [...rows, line(real.map(({ digit, status }) => `${digit}, ${status}`))].join('\n')
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
const SHADES = { blocks: ' ░▒▓█', ascii: ' .:*#' }

/** @param share  of the columns; anything above 0 is seen, and beyond 1 an arrow says that there is more */
export function bar(share: number, columns: number, plain = isPlain()): string {
  const full = SHADES[plain ? 'ascii' : 'blocks'][4]
  if (share > 1) return `${full.repeat(columns - 1)}>`
  if (plain) return full.repeat(Math.ceil(share * columns - 0.5))
  const eighths = share > 0 ? Math.max(1, Math.round(8 * share * columns)) : 0
  return full.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]
}

/** Pixels of a square image that become one character. */
const [WIDE, HIGH] = [2, 4]

/** The lines of a square image of values from 0 to 1. */
export function picture(image: Float32Array, plain = isPlain()): string[] {
  const side = Math.sqrt(image.length)
  const shades = SHADES[plain ? 'ascii' : 'blocks']
  const shade = (row: number, column: number) => {
    let sum = 0
    for (let y = 0; y < HIGH; y++) {
      for (let x = 0; x < WIDE; x++) sum += image[(row * HIGH + y) * side + column * WIDE + x]
    }
    return shades[Math.round((sum / WIDE / HIGH) * (shades.length - 1))]
  }
  return Array.from({ length: side / HIGH }, (_, row) =>
    Array.from({ length: side / WIDE }, (_, column) => shade(row, column)).join(''),
  )
}
