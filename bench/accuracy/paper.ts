/**
 * npm run bench -- paper [MODEL ...]: the paper's figures of other networks (K = 10, S = 1; liars) and of noise of other strength, on our three
 * models. Writes their section of docs/appendix/accuracy.md once all three are measured; cells are kept as by bench accuracy. Needs `npm run data`.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import type { Interval } from '../../src/evaluate/statistics'
import { evaluateVerified } from '../../src/evaluate/verified'
import { type ModelName, models, TITLES } from '../shared/models'
import { markdownTable, percent, within, withSection } from '../shared/report'
import { keep, kept, key, lying, openBench, type Results, straggling } from './cells'

/** The paper does not say its K and E of other noise, nor its E of other networks. */
const LIARS = 2
const SIGMAS = [1, 10, 100]
/** `verify.integrity` of a predictor by default. */
const INTEGRITY = 0.95

/** Noise of 10 is that of the other cells. */
const detailOf = (sigma: number) => `byzantine ${LIARS}${sigma === 10 ? '' : ` gauss:${sigma}`}`

/** Measures one model's cells that are not kept. */
export async function paperCells(
  core: Core,
  name: ModelName,
  { model, all, measure }: Pick<Awaited<ReturnType<typeof openBench>>, 'model' | 'all' | 'measure'>,
): Promise<void> {
  await measure('10,1', ...straggling(10, 1))
  for (const sigma of SIGMAS) {
    const attack = `gauss:${sigma}`
    await measure(detailOf(sigma), ...lying(LIARS, attack))
    const of = `${name} ${attack}`
    if (kept().verified?.[of]) continue
    const { levels } = await evaluateVerified({ core, model, inputs: all.inputs, liars: LIARS, attack })
    keep('verified', { ...kept().verified, [of]: levels })
  }
}

/** The paper's CIFAR-10 networks, %: alone; K = 10, S = 1; K = 12 with liars. */
const NETWORKS = [
  ['VGG-16', '94.0', '80.5', '90.0'],
  ['ResNet-34', '93.3', '81.2', '89.3'],
  ['ResNet-50', '93.7', '80.1', '89.9'],
  ['DenseNet-161', '94.1', '81.7', '90.7'],
  ['GoogLeNet', '92.9', '77.0', '88.2'],
]

/** The paper's accuracy by sigma, ResNet-18, %: MNIST, Fashion-MNIST. */
const NOISE: Record<number, readonly string[]> = { 1: ['96.1', '80.1'], 10: ['94.3', '77.2'], 100: ['96.9', '80.4'] }

const NAMES = Object.keys(models) as ModelName[]

/** Tables of networks and of noise. @param share  as a cell has it */
function tablesOf(results: Results, share: (all: number | undefined, ci95: Interval | undefined) => string): string[] {
  const all = (name: string, scheme: 'ours' | 'paper', detail: string) => {
    const accuracy = results[key(name, scheme, detail)]?.accuracy
    return share(accuracy?.all, accuracy?.allCi95)
  }
  const both = (name: string, detail: string) => (['paper', 'ours'] as const).map((scheme) => all(name, scheme, detail))
  const networks = [
    ...NETWORKS.map(([network, alone, late, lied]) => [`${network}, printed`, alone, late, '-', lied, '-']),
    ...NAMES.map((name) => [
      TITLES[name],
      percent(results[key(name, 'ours', '10,1')]?.accuracy.base),
      ...['10,1', detailOf(10)].flatMap((detail) => both(name, detail)),
    ]),
  ]
  const given = (name: string, sigma: number) => {
    const levels = results.verified?.[`${name} gauss:${sigma}`]
    const level = levels?.find(({ integrity }) => integrity === INTEGRITY)
    return level ? `${level.passed} of ${level.lies.toLocaleString('en')}` : '-'
  }
  const noise = SIGMAS.flatMap((sigma) =>
    NAMES.map((name, i) => [
      String(sigma),
      TITLES[name],
      NOISE[sigma][i] ?? '-',
      ...both(name, detailOf(sigma)),
      ...(['paper', 'ours'] as const).map((scheme) =>
        percent(results[key(name, scheme, detailOf(sigma))]?.locator?.found),
      ),
      given(name, sigma),
    ]),
  )
  return [
    markdownTable(['network', 'alone', 'S = 1: paper’s', 'ours', `E = ${LIARS}: paper’s`, 'ours'], networks),
    markdownTable(
      ['sigma', 'model', 'printed', 'paper’s', 'ours', 'found by the vote', 'by `residual`', '`createPredictor`: lies given'], // biome-ignore format: one line
      noise,
    ),
  ]
}

/** The section of docs/appendix/accuracy.md. */
export function paperSection(results: Results): string {
  const [networks, noise] = tablesOf(results, percent)
  return `## Other networks, other noise

\`npm run bench -- paper\` measures the cells of this section, and prints their 95 % intervals. The paper has five more networks on CIFAR-10; here each set of images has one network.
Columns with S = 1 have one missing result, and K = 10. Columns with E = ${LIARS} have two liars, K = 12, N = 2(K + E) - 1, 1,000 groups, and noise of sigma 10 (gauss:10). The paper does not name E for its networks with liars, nor K and E for its strengths of noise.

${networks}

In the next table sigma is the strength of the liars' noise. "Printed" is the accuracy of ResNet-18 in the paper. "-" marks a figure that was not measured or not printed. The last column counts lies with a wrong label that a predictor with \`byzantine: ${LIARS}\` would return as \`checked\` (integrity ${INTEGRITY}). This predictor decodes nothing: it compares the answers of ${LIARS + 1} workers, or one worker's answer with its memory's prediction.

${noise}

At sigma 1 the lies are as small as the errors of the code. The vote and \`residual\` each find only one liar in eight or nine. Instead of the other liars they drop honest answers; those that \`residual\` drops cost more accuracy.

Some figures in the paper contradict each other. At S = 1, the plot for K = 8 has the bars of K = 12. The model alone on Fashion-MNIST has 97 % in one plot, and 93 % in another. On Fashion-MNIST with sigma 10 the accuracy is 77.2 % in the plot over sigma, and 79 to 82 % in the plot over E.

CIFAR-100 and the top five of ImageNet were not measured: there is no trained model for them here. The paper's run on AWS was not repeated.`
}

export default async function paper(_json: boolean, only: string[] = []): Promise<void> {
  const core = await loadCore()
  for (const name of NAMES) {
    if (only.length && !only.includes(name)) continue
    const bench = await openBench(core, name)
    await paperCells(core, name, bench)
    await bench.model.close()
  }
  const results = kept()
  console.log(tablesOf(results, within).join('\n\n'))
  const missing = NAMES.filter((name) => !results.verified?.[`${name} gauss:100`])
  if (missing.length) return console.error(`docs/appendix/accuracy.md not written: ${missing} not measured`)
  const page = 'docs/appendix/accuracy.md'
  writeFileSync(page, withSection(readFileSync(page, 'utf8'), paperSection(results)))
  console.log(page)
}
