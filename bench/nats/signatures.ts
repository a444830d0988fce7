/** npm run bench -- signatures: what it costs to sign a heartbeat, to see whose it is, and to seal a row or an answer, in each way that there is; in turns. */

import { noble } from '../../src/platform/noble'
import { keys as node } from '../../src/platform/node-keys'
import type { Keys } from '../../src/platform/platform'
import { webCrypto } from '../../src/platform/webcrypto'
import { median } from '../shared/measure'

const ROUNDS = 15
const EACH = 20
const ways: Record<string, Omit<Keys, 'kept'>> = { node, webCrypto, noble }
const rows = { 'MNIST, 3 KB': 784 * 4, 'ImageNet, 600 KB': 150_528 * 4 }

async function timed(f: () => unknown): Promise<number> {
  const start = performance.now()
  for (let i = 0; i < EACH; i++) await f()
  return (1000 * (performance.now() - start)) / EACH
}

export default async function signatures(json: boolean): Promise<void> {
  const result: Record<string, Record<string, Record<string, number>>> = {}
  for (const [size, bytes] of Object.entries(rows)) {
    const [row, answer] = [new Uint8Array(bytes).fill(7), new Uint8Array(250).fill(5)]
    const taken = await Promise.all(
      Object.entries(ways).map(async ([name, way]) => {
        const pair = await way.generate()
        const [verify, signature] = [way.verifier(pair.identity), await pair.sign(answer)]
        const [mac] = await (await way.secret()).agree((await way.secret()).own, ['bench'])
        if (!(await verify(answer, signature))) throw new Error(`${name} does not know its own signature`)
        const steps = {
          sign: () => pair.sign(answer),
          check: () => verify(answer, signature),
          seal: () => mac(answer),
          sealRow: () => mac(row),
        }
        return {
          name,
          steps,
          us: { sign: [] as number[], check: [] as number[], seal: [] as number[], sealRow: [] as number[] },
        }
      }),
    )
    for (let round = 0; round < ROUNDS; round++) {
      for (const { steps, us } of taken) {
        for (const step of ['sign', 'check', 'seal', 'sealRow'] as const) us[step].push(await timed(steps[step]))
      }
    }
    const of = (times: number[]) => Number(median(times).toPrecision(2))
    result[size] = Object.fromEntries(taken.map(({ name, us }) => [name, { sign: of(us.sign), check: of(us.check), seal: of(us.seal), sealRow: of(us.sealRow) }])) // biome-ignore format: one line
  }
  if (json) return console.log(JSON.stringify(result))
  for (const [size, by] of Object.entries(result)) {
    console.log(`\nrow of ${size}; medians in us`)
    console.table(by)
  }
}
