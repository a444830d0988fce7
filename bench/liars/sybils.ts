/**
 * npm run bench -- sybils [QUERIES] [--json]: a fleet that anybody may join (`verify: { trust: 'open' }`), in simulated time, with the answers of
 * CIFAR's model: one trusted worker, nine honest ones, and sybils, which know all of each other and tell the same lie. Beside it what an honest
 * fleet of ten costs with `byzantine: 1` and with duplicate and compare. Needs `npm run data`.
 */

import { table } from '../../src/cli/table'
import { dataOf } from '../shared/models'
import { simulate as closed } from './liars-run'
import { type Figures, type Job, type Plan, simulate } from './sybils-run'

const MODEL = 'cifar-resnet8'
const HONEST = 9
const SYBILS = [1, 3, 5, 9, 20]
const INTEGRITY = 0.999
const QUERIES = 100_000

const honest: Plan = { sybils: 0, rejoin: false, honestFor: 0, lying: 0, seen: 'honest' }
const plans: Record<string, Omit<Plan, 'sybils'>> = {
  'stay; 200 rows honest, then lie, silent where it may be a quiz': { rejoin: false, honestFor: 200, lying: 1, seen: 'silent' }, // biome-ignore format: one line
  'new keys each second, lie at once': { rejoin: true, honestFor: 0, lying: 1, seen: 'silent' },
  'stay; 1,200 rows honest, then lie in one of 20': { rejoin: false, honestFor: 1200, lying: 0.05, seen: 'honest' },
  'stay; 1,200 rows honest, then .05 % off in one of two': { rejoin: false, honestFor: 1200, lying: 0.5, seen: 'honest', off: 5e-4 }, // biome-ignore format: one line
  'stay; 1,200 rows honest, then lie where a query is newer than 10 ms': { rejoin: false, honestFor: 1200, lying: 1, seen: 'honest', newerMs: 10 }, // biome-ignore format: one line
  '1,200 rows honest, then lie in one of 20, all of one /24': {
    rejoin: false,
    honestFor: 1200,
    lying: 0.05,
    seen: 'honest',
    origin: '203.0.113.7',
  },
}

export default async function sybils(json: boolean, [queries = `${QUERIES}`]: string[]): Promise<void> {
  const { answers } = await dataOf(MODEL)
  const job = { answers, honest: HONEST, queries: Number(queries), seed: 1 }
  const options: Job['options'] = { verify: { trust: 'open', integrity: INTEGRITY } }
  const alone = await simulate({ ...job, ...honest, options })
  const rows = [{ plan: 'nobody lies', sybils: 0, ...alone }]
  for (const [plan, how] of Object.entries(plans)) {
    for (const sybils of SYBILS) {
      rows.push({ plan, sybils, ...(await simulate({ ...job, ...how, sybils, options })) })
    }
  }
  const [today, twice] = [await closedFleet(), await closedFleet(1)]
  if (json) return console.log(JSON.stringify({ rows, today, twice }))
  console.log(`${job.queries} queries each; one trusted worker, ${HONEST} honest ones`)
  console.log(tableOf(rows, alone))
  console.log(`inferences an answer, nobody lies: open ${three(alone.inferences)} (last fifth ${three(alone.later)}); byzantine: 1 ${three(today)}, with integrity 1 (duplicate and compare) ${three(twice)}; over byzantine: 1 ${(alone.inferences / today).toFixed(2)}`) // biome-ignore format: one line
}

/** What an honest fleet of as many workers costs where one may lie. */
async function closedFleet(integrity?: number): Promise<number> {
  const workers = HONEST + 1
  const options = integrity ? { verify: { integrity }, memory: false as const } : {}
  const usual = { liars: 0, attack: 'none', habit: 'always' as const, memory: 1000, queries: 5000, brief: false }
  return 1 + (await closed({ model: MODEL, workers, ...usual, options, seed: 1 })).extra
}

const three = (value: number) => value.toFixed(3)

function tableOf(rows: (Figures & { plan: string; sybils: number })[], alone: Figures): string {
  const lines = table(['sybils', '', 'wrong of given', 'of what is allowed', 'failed', 'caught', 'honest caught', 'goodput', 'over alone', 'inferences', 'of honest']) // biome-ignore format: one line
  for (const each of rows) {
    const { given, wrong, failed, convicted, honestConvicted, goodput, inferences, honestInferences } = each
    const allowed = wrong / (given * (1 - INTEGRITY))
    lines.push([each.sybils, each.plan, `${wrong} of ${given}`, allowed.toFixed(2), failed, convicted, honestConvicted, `${goodput.toFixed(0)}/s`, (goodput / alone.goodput).toFixed(2), three(inferences), three(honestInferences)]) // biome-ignore format: one line
  }
  return lines.toString()
}
