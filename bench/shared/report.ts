/** Tables in Markdown and plots as SVG, for the pages that benches write. */

import * as vega from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Bin, Interval } from '../../src/evaluate/statistics'

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** A share in %, without the sign. */
export const percent = (share: number | undefined) => (share === undefined ? '-' : (100 * share).toFixed(1))

/** A share in % with its 95 % interval. */
export const within = (share: number | undefined, ci95: Readonly<Interval> | undefined) =>
  ci95 ? `${percent(share)} [${ci95.map(percent).join(' to ')}]` : percent(share)

/**
 * A page with one of its sections replaced. A section begins with its heading `## ...` and ends at the next.
 *
 * @param section  with its heading, which must be in the page
 */
export function withSection(page: string, section: string): string {
  const [heading] = section.split('\n', 1)
  const from = page.indexOf(`\n${heading}\n`) + 1
  if (!from) throw new RangeError(`page: expected a section '${heading}', got none`)
  const next = page.indexOf('\n## ', from)
  return `${page.slice(0, from)}${section.trimEnd()}\n${next < 0 ? '' : page.slice(next)}`
}

/** Stated confidence against the share of right answers, in bins of equal mass. A calibrated confidence lies on the diagonal. */
export function reliabilityPlot(all: readonly { name: string; bins: readonly Bin[] }[]): TopLevelSpec {
  const values = all.flatMap(({ name, bins }) => bins.map((bin) => ({ name, ...bin })))
  const share = { type: 'quantitative' as const, scale: { domain: [0, 1] } }
  return {
    width: 320,
    height: 320,
    layer: [
      {
        data: { values: [0, 1].map((at) => ({ confidence: at, right: at })) },
        mark: { type: 'line', strokeDash: [4, 4], color: 'gray' },
        encoding: { x: { field: 'confidence', ...share }, y: { field: 'right', ...share } },
      },
      {
        data: { values },
        mark: { type: 'line', point: true },
        encoding: {
          x: { field: 'confidence', title: 'stated confidence', ...share },
          y: { field: 'right', title: 'agreement with the model', ...share },
          color: { field: 'name', title: null, type: 'nominal' },
        },
      },
    ],
  }
}

/** Inverts lightness and keeps hues, so that one picture is readable on a page of either kind. */
const DARK = '<style>@media(prefers-color-scheme:dark){svg{filter:invert(.92) hue-rotate(180deg)}}</style>'

/** A picture on white that is dark where its reader prefers dark. The pictures of docs/how-it-works, which are drawn by hand, have the same style. */
export function readableOnDark(picture: string): string {
  return picture.replace(/<svg [^>]*>/, (opening) => opening + DARK)
}

const FONT = 'Helvetica, Arial, sans-serif'

export async function svg(spec: TopLevelSpec): Promise<string> {
  // Pages show plots as images, which are described where they are shown: descriptions of each mark would be a third of the file.
  const config = { aria: false, font: FONT, background: 'white', legend: { labelLimit: 0 }, ...spec.config }
  return readableOnDark(await new vega.View(vega.parse(compile({ ...spec, config }).spec)).toSVG())
}
