/** Bars and images of text: blocks, or ASCII for terminals that show nothing else. */

import { isPlain } from '../terminal'

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
