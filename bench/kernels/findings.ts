/** What a comparison says: by case and size, how many times as long JavaScript takes as WASM. */

import { DIGITS, GROUP, PHOTOS, SIZES } from './cases'
import type { Cell, Comparison } from './comparison'
import { panels } from './panels'

/** What is shown by size: all but the two groups of one size. */
export const casesIn = ({ cells }: Comparison): string[] => [
  ...new Set(cells.map(({ name }) => name).filter((name) => name !== DIGITS && name !== PHOTOS)),
]

export const cellsOf = ({ cells }: Comparison, wanted: string): Cell[] => cells.filter(({ name }) => name === wanted)

/** How many times as long JavaScript takes as WASM. */
export const gain = ({ us }: Cell): number => us.JavaScript / us.WASM

export const written = (ratio: number): string => (ratio < 10 ? ratio.toFixed(1) : ratio.toFixed(0))

/** The smallest size from which WASM is faster at all sizes, or undefined. */
export function paysFrom(cells: readonly Cell[]): number | undefined {
  const slower = cells.map((cell) => gain(cell) <= 1).lastIndexOf(true)
  return cells[slower + 1]?.size
}

/** How long what is loaded takes beside JavaScript, for a group of each of these sizes. */
export const LOADED_SIZES = [10, 100, 1000, 100_000]
export const loadedBeside = (comparison: Comparison): number[] =>
  cellsOf(comparison, GROUP)
    .filter(({ size }) => LOADED_SIZES.includes(size))
    .map(({ us }) => us.approxifer / us.JavaScript)

export const HEAD = ['JavaScript’s time / WASM’s', ...SIZES.map((size) => size.toLocaleString('en')), 'WASM pays from']

/** A line for each case: the gain at each size, and the size from which WASM pays. */
export function gainTable(comparison: Comparison): string[][] {
  return casesIn(comparison).map((name) => {
    const cells = cellsOf(comparison, name)
    const gains = SIZES.map((wanted) => {
      const cell = cells.find(({ size }) => size === wanted)
      return cell ? written(gain(cell)) : '–'
    })
    return [name, ...gains, paysFrom(cells)?.toLocaleString('en') ?? 'never']
  })
}

/** What was checked, and what is no matter of size, in sentences. */
export function sentences(comparison: Comparison): string[] {
  const { equal, coldMs } = comparison
  const beside = loadedBeside(comparison).map((ratio) => ratio.toFixed(2))
  return [
    `${equal.toLocaleString('en')} values are equal to the bit in WASM and in JavaScript.`,
    `The first parity takes ${coldMs.WASM.toFixed(1)} ms in WASM, compilation included, and ${coldMs.JavaScript.toFixed(1)} ms in JavaScript.`,
    `approxifer chooses WASM or JavaScript by size: compared with JavaScript alone, a group of ${LOADED_SIZES.slice(
      0,
      beside.length,
    )
      .map((size) => size.toLocaleString('en'))
      .join(', ')} values takes ${beside.join(', ')} times as long.`,
  ]
}

/** Which is faster, and from which size on: a sentence made from what was measured. */
export function verdict(comparison: Comparison): string {
  const cases = casesIn(comparison).map((name) => ({ name, cells: cellsOf(comparison, name) }))
  const from = new Map<string, string[]>()
  for (const { name, cells } of cases) {
    const size = paysFrom(cells)
    const words =
      size === undefined
        ? 'at no size'
        : size === cells[0].size
          ? 'at every size'
          : `from ${size.toLocaleString('en')} values on`
    from.set(words, [...(from.get(words) ?? []), name])
  }
  const groups = [...from].sort(([, a], [, b]) => a.length - b.length)
  const isRest = (i: number) => i > 0 && i === groups.length - 1
  const clauses = groups.map(([words, names], i) => `${words} for ${isRest(i) ? 'all else' : names.join('; ')}`)
  const most = Math.max(...comparison.cells.map(({ size }) => size)).toLocaleString('en')
  return `Here, of sizes up to ${most} values, WASM is faster than JavaScript ${clauses.join(', ')}.`
}

/** The gain by size, a panel a case, a line a runtime. @param across  panels beside each other */
export function picture(all: ReadonlyMap<string, Comparison>, across: number): string {
  const [first] = all.values()
  const parts = casesIn(first).map((title) => ({
    title,
    lines: [...all].map(([name, comparison]) => ({
      name,
      points: cellsOf(comparison, title).map((cell) => [cell.size, gain(cell)] as const),
    })),
  }))
  return panels(parts, { across, x: 'values', y: 'times as fast as JavaScript' })
}
