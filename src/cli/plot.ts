/** Plots as SVG, by Vega-Lite; an optional peer, so that who wants no plots need not install it. */

import type { TopLevelSpec } from 'vega-lite'

const FONT = 'Helvetica, Arial, sans-serif'

/** @throws TypeError where vega and vega-lite are not installed */
export async function svg(spec: TopLevelSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error) => {
    throw new TypeError(`plots need Vega: npm install vega vega-lite (${(error as Error).message.split('\n')[0]})`)
  })
  const config = { font: FONT, background: 'white', legend: { labelLimit: 0 }, ...spec.config }
  return new vega.View(vega.parse(compile({ ...spec, config }).spec)).toSVG()
}
