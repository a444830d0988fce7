/** Small plots beside each other on the same two logarithmic scales, as SVG in the colours of what is around them. */

export interface Panel {
  readonly title: string
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[]
}

/** Okabe and Ito's colours, which colour-blind people can tell apart. */
const COLOURS = ['#0072b2', '#56b4e9', '#009e73', '#e69f00', '#d55e00', '#cc79a7', '#8c8c00', '#7f7f7f']

/** In pixels: a panel's plot, and what is around it. */
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [190, 120, 36, 26, 14, 34]
const LEGEND = 20

const log2 = Math.log2
const powerOfTen = (x: number) => ['1', '10', '100', '1k', '10k', '100k', '1M'][Math.round(Math.log10(x))] ?? String(x)
const place = (value: number) => value.toFixed(1)

/** @param across  number of panels in a line */
export function panels(all: readonly Panel[], { across, x, y }: { across: number; x: string; y: string }): string {
  const points = all.flatMap(({ lines }) => lines.flatMap((line) => line.points))
  const xs = points.map(([at]) => Math.log10(at))
  const [left, right] = [Math.min(...xs), Math.max(...xs)]
  const ys = points.map(([, value]) => log2(value))
  const [low, high] = [Math.min(-1, Math.floor(Math.min(...ys))), Math.max(1, Math.ceil(Math.max(...ys)))]
  const names = [...new Set(all.flatMap(({ lines }) => lines.map(({ name }) => name)))]
  const atX = (value: number) => LEFT + ((Math.log10(value) - left) / (right - left)) * WIDTH
  const atY = (value: number) => TOP + ((high - log2(value)) / (high - low)) * HEIGHT

  const [wide, tall] = [LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM]
  const parts: string[] = []
  for (const [i, { title, lines }] of all.entries()) {
    const own: string[] = [`<text x="${LEFT}" y="16" font-weight="600">${title}</text>`]
    for (let power = low; power <= high; power += high - low > 6 ? 2 : 1) {
      const at = place(atY(2 ** power))
      own.push(
        `<path d="M${LEFT} ${at}h${WIDTH}" stroke="currentColor" stroke-opacity="${power ? 0.15 : 0.7}"/>`,
        `<text x="${LEFT - 5}" y="${at}" dy=".35em" text-anchor="end">${power < 0 ? `1/${2 ** -power}` : 2 ** power}</text>`,
      )
    }
    for (let power = Math.ceil(left); power <= right; power++) {
      const at = place(atX(10 ** power))
      own.push(`<text x="${at}" y="${TOP + HEIGHT + 15}" text-anchor="middle">${powerOfTen(10 ** power)}</text>`)
    }
    for (const { name, points } of lines) {
      const colour = COLOURS[names.indexOf(name) % COLOURS.length]
      const line = points.map(([at, value]) => `${place(atX(at))} ${place(atY(value))}`).join('L')
      own.push(`<path d="M${line}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    }
    own.push(`<text x="${LEFT + WIDTH / 2}" y="${TOP + HEIGHT + 29}" text-anchor="middle">${x}</text>`)
    parts.push(
      `<g transform="translate(${(i % across) * wide} ${Math.floor(i / across) * tall + LEGEND})">${own.join('')}</g>`,
    )
  }
  const bottom = Math.ceil(all.length / across) * tall + LEGEND
  const total = across * wide
  const perLine = Math.max(1, Math.floor(total / 130))
  const legend = names.length > 1 ? names : []
  const keys = legend.map((name, i) => {
    const [at, line] = [LEFT + (i % perLine) * 130, bottom + 14 + 18 * Math.floor(i / perLine)]
    return `<path d="M${at} ${line - 4}h18" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="3"/><text x="${at + 24}" y="${line}">${name}</text>`
  })
  const height = bottom + 18 * Math.ceil(legend.length / perLine) + 8
  const head = `<text x="${LEFT}" y="13">${y}</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="11" fill="currentColor" role="img" aria-label="${y}, by ${x}">${head}${parts.join('')}${keys.join('')}</svg>`
}
