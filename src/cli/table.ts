/** Tables as plain columns, without boxes and colours; on a terminal too narrow for the columns, as lists. */

import Table from 'cli-table3'
import { width, wrap } from './terminal'

type Cell = string | number | undefined

/**
 * @param head  names of the columns; a name may be ''. The first column names each row. Where the second column has no
 *   name, the first column's name is the title of the whole table.
 */
export function table(head: string[]) {
  const rows: Cell[][] = []
  return {
    push: (...more: Cell[][]) => rows.push(...more),
    toString() {
      const whole = columns(head, rows)
      if (widest(whole) <= width()) return whole.join('\n')
      const last = Math.max(...[head, ...rows].map((row) => String(row.at(-1)).length))
      const room = width() - (widest(whole) - last)
      return room >= LEAST_LAST ? columns(head, rows, room).join('\n') : list(head, rows)
    },
  }
}

/** The least width at which the last column is still wrapped; below it the table is printed as a list. */
const LEAST_LAST = 20

const widest = (lines: readonly string[]) => Math.max(...lines.map((line) => line.length))

const parts = ['top', 'bottom', 'left', 'right', 'top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left']
const more = ['bottom-right', 'mid', 'left-mid', 'mid-mid', 'right-mid']
const chars = { ...Object.fromEntries([...parts, ...more].map((part) => [part, ''])), middle: '  ' }

/** @param last  the width to which the cells of the last column are wrapped; undefined: they are not wrapped */
function columns(head: string[], rows: readonly Cell[][], last?: number): string[] {
  const style = { head: [], border: [], 'padding-left': 0, 'padding-right': 0 }
  const colWidths = head.map((_, i) => (i === head.length - 1 && last ? last : null))
  const grid = new Table({ head, chars, style, colWidths, wordWrap: true })
  grid.push(...rows)
  return grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
}

/** Each row as lines "name: value", all but its first line indented. Empty cells are left out. */
function list(head: readonly string[], rows: readonly Cell[][]): string {
  const titled = head[1] === '' && head[0] !== ''
  const empty = (cell: Cell) => cell === undefined || cell === ''
  const entries = rows.map(([first, ...rest]) => {
    const subject = empty(first) || titled || !head[0] ? first : `${head[0]}: ${first}`
    const cells = rest.map((cell, i) => ({ name: head[i + 1], cell })).filter(({ cell }) => !empty(cell))
    const unnamed = cells.filter(({ name }) => !name).map(({ cell }) => cell)
    const named = cells.filter(({ name }) => name).map(({ name, cell }) => `  ${name}: ${cell}`)
    return [[subject, ...unnamed].filter((cell) => !empty(cell)).join(': '), ...named].join('\n')
  })
  return wrap([...(titled ? [head[0]] : []), ...entries].join('\n'), 4)
}
