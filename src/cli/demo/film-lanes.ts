/** The film in the terminal: a lane for each machine, which moves, and what it came to. Where there is no terminal, lines. */

import type { Band, Film } from '../../film/film'
import type { FilmCall } from '../../film/machine'
import { faultWords, LENGTH_MS, SCRIPT, wordsOfAct } from '../../film/script'
import { table } from '../table'
import { isPlain, width, wrap } from '../terminal'

/** Between two frames; and what a column of a lane stands for, milliseconds. */
const [FRAME_MS, COLUMN_MS] = [100, 75]
/** From when on a call is shown as late. */
const LATE_MS = 400
/** Columns beside a lane: the machine's number, and what is wrong with it. */
const BESIDE = 16
const [LEAST_COLUMNS, MOST_COLUMNS] = [60, 110]

export interface FilmedSystem {
  readonly name: string
  readonly band: Band
}

export const filmTitle = 'Simulated: nine machines read digits. One hangs, one lies, one dies.'
const ABOUT = 'approxifer, a library and a server, stands between callers and the machines that run your model.'

/**
 * Plays the film in real time where it has a terminal of enough lines, else lets it pass.
 *
 * @param shown  systems, one above the other; lanes of those between the first and the last only where all have room  @param isSilent  nothing is printed
 */
export async function showFilm(film: Film, shown: readonly FilmedSystem[], isSilent = false): Promise<void> {
  film.play(SCRIPT)
  if (isSilent) return film.advance(LENGTH_MS)
  const room = process.stdout.rows - 1
  const isWhole = frame(shown, 0).length < room
  const lines = frame(shown, 0, isWhole).length
  if (!process.stdout.isTTY || lines >= room || width() < LEAST_COLUMNS) {
    console.log(wrap(`${filmTitle}\n${ABOUT}`))
    for (const act of SCRIPT) console.log(`second ${act.at / 1000}: ${wordsOfAct(act)}`)
    return film.advance(LENGTH_MS)
  }
  const begin = performance.now()
  for (let at = 0; at <= LENGTH_MS; at = Math.max(at + FRAME_MS, performance.now() - begin)) {
    await film.advance(Math.min(at, LENGTH_MS))
    process.stdout.write(
      `${at ? `\x1b[${lines}A` : ''}${frame(shown, at, isWhole)
        .map((line) => `\x1b[2K${line}\n`)
        .join('')}`,
    )
    const next = begin + at + FRAME_MS - performance.now()
    if (next > 0) await new Promise((resolve) => setTimeout(resolve, next))
  }
  await film.advance(LENGTH_MS)
}

/** What each band came to. */
export function filmTable(bands: readonly FilmedSystem[]): string {
  const rows = table(['', 'slowest answer', 'wrong or no answer', 'inferences an answer'])
  for (const { name, band } of bands) rows.push([name, seconds(band.slowestMs), band.wrong, band.inferences.toFixed(1)])
  return rows.toString()
}

export function filmConclusion(plain: Band, hedged: Band, ours: Band): string {
  return `Before a plain queue ${plain.wrong} callers got a wrong answer or none, and one waited for ${seconds(plain.slowestMs)}; before approxifer ${ours.wrong}, and ${seconds(ours.slowestMs)}. A tuned hedge mends what hangs or is dead (${seconds(hedged.slowestMs)}), not what lies (${hedged.wrong} wrong or none).`
}

/** The lines of a moment. @param isWhole  whether each system has its lanes */
function frame(shown: readonly FilmedSystem[], now: number, isWhole = true): string[] {
  const columns = Math.min(MOST_COLUMNS, width()) - BESIDE
  const act = SCRIPT.findLast(({ at }) => at <= now)
  return [
    paint('bold', filmTitle),
    ...wrap(ABOUT).split('\n'),
    `second ${Math.floor(now / 1000)}${act ? `: ${wordsOfAct(act)}` : ''}`,
    ...shown.flatMap(({ name, band }, i) => [
      '',
      `${paint('bold', name)}: slowest answer ${seconds(band.slowestMs)}, ${paint(band.wrong ? 'red' : 'green', `wrong or no answer ${band.wrong}`)}, ${band.inferences.toFixed(1)} inferences an answer`,
      ...(isWhole || i === 0 || i === shown.length - 1 ? band.machines : []).map(
        (_, machine) => `${machine + 1} ${laneOf(band, machine, now, columns)} ${stateOf(band, machine)}`,
      ),
    ]),
    '',
    `${mark('green', 'call', '7')} a machine reads a 7   ${mark('dim', 'call', '')} at work, or on trial after a lie`,
    `${mark('red', 'call', '7')} a lie   ${mark('yellow', 'late', 'x')} late, given up or refused`,
  ]
}

function stateOf({ machines, ejected }: Band, machine: number): string {
  if (ejected.has(machine)) return paint('red', 'lied: out')
  const { fault } = machines[machine]
  if (!fault) return ''
  return paint(fault === 'lying' ? 'red' : 'yellow', faultWords[fault])
}

type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'
const CODES = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 }

function paint(colour: Colour, text: string): string {
  return isPlain() ? text : `\x1b[${CODES[colour]}m${text}\x1b[0m`
}

const SHAPES = { call: { blocks: '▬', ascii: '-' }, late: { blocks: '▒', ascii: '~' } }

function shapeOf(kind: keyof typeof SHAPES): string {
  return SHAPES[kind][isPlain() ? 'ascii' : 'blocks']
}

function mark(colour: Colour, kind: keyof typeof SHAPES, end: string): string {
  return paint(colour, shapeOf(kind).repeat(3) + end)
}

/** The last seconds of a machine, now at the right: a bar for each call, which ends in the label that it gave. */
function laneOf({ calls, ejected }: Band, machine: number, now: number, columns: number): string {
  const cells: string[] = Array(columns).fill(' ')
  const from = now - columns * COLUMN_MS
  for (const call of calls) {
    const { began, ended = now } = call
    if (call.machine !== machine || ended < from) continue
    const [first, last] = [began, ended].map((at) => Math.floor((at - from) / COLUMN_MS))
    const isTrial = began > (ejected.get(machine) ?? Number.POSITIVE_INFINITY)
    const { colour, shape } = isTrial ? { colour: 'dim' as const, shape: shapeOf('call') } : looksOf(call, now)
    for (let at = Math.max(0, first); at < Math.min(last, columns); at++) cells[at] = paint(colour, shape)
    if (call.label !== undefined && last > 0 && last <= columns) cells[last - 1] = paint(colour, String(call.label))
    else if (call.ended !== undefined && last > 0 && last <= columns) cells[last - 1] = paint(colour, 'x')
  }
  return cells.join('')
}

function looksOf({ began, outcome }: FilmCall, now: number): { colour: Colour; shape: string } {
  if (outcome === 'answered') return { colour: 'green', shape: shapeOf('call') }
  if (outcome === 'lie') return { colour: 'red', shape: shapeOf('call') }
  if (outcome || now - began > LATE_MS) return { colour: 'yellow', shape: shapeOf('late') }
  return { colour: 'dim', shape: shapeOf('call') }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
