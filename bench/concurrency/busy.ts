/**
 * npm run bench -- busy [SECONDS [WORD ...]] [--json]: servers that refuse what is beyond their queues. Two gateways with 16 callers before four servers
 * of one inference at a time and three places each, which refuse with 503 and 429, beside a loop by hand that asks the next server 10 ms after a
 * refusal; the same where all servers refuse everything for a second, where each is said to take 16 calls, and with more slots. Answered,
 * failed, workers that counted as gone, and what servers were asked beside queries. Default 12 seconds each; with words only cells whose names have all of them.
 */

import { table } from '../../src/cli/table'
import { type BusyFigures, type BusyPlan, runBusy } from './busy-run'

export default async function busy(json: boolean, [seconds = '12', ...words]: string[]): Promise<void> {
  const durationMs = 1000 * Number(seconds)
  const plans: Record<string, BusyPlan> = {
    503: { status: 503, durationMs },
    429: { status: 429, durationMs },
    '503, Retry-After: 1': { status: 503, retryAfter: 1, durationMs },
    '503, all busy for 1 s': { status: 503, durationMs, busyMs: 1000 },
    '429, all busy for 1 s': { status: 429, durationMs, busyMs: 1000 },
    '503, concurrency 16': { status: 503, durationMs, concurrency: 16 },
    '429, concurrency 16': { status: 429, durationMs, concurrency: 16 },
    '503, 4 slots, 48 callers': { status: 503, durationMs, slots: 4, places: 6, callers: 48 },
    '429, 4 slots, 48 callers': { status: 429, durationMs, slots: 4, places: 6, callers: 48 },
  }
  const found: Record<string, { hand: BusyFigures; own: BusyFigures }> = {}
  for (const [name, plan] of Object.entries(plans)) {
    if (!words.every((word) => name.includes(word))) continue
    found[name] = { hand: await runBusy('by hand', plan), own: await runBusy('gateways', plan) } // together they would share one loop
  }
  if (json) return console.log(JSON.stringify(found, null, 1))
  const text = table([
    '',
    'by hand',
    'answered',
    'of by hand',
    'failed',
    'gone',
    'refused',
    'probes',
    'p50, p99 (by hand)',
  ])
  for (const [name, { hand, own }] of Object.entries(found)) {
    const ms = ({ p50, p99 }: BusyFigures) => `${p50.toFixed(0)}, ${p99.toFixed(0)}`
    const share = (own.answered / hand.answered).toFixed(2)
    const probes = `${(100 * own.probes).toFixed(1)} %`
    const refused = `${own.refused} (${hand.refused})`
    text.push(
      [
        name,
        hand.answered,
        own.answered,
        share,
        own.failed + own.wrong,
        own.gone,
        refused,
        probes,
        `${ms(own)} (${ms(hand)})`,
      ].map(String),
    )
  }
  console.log(text.toString())
  for (const [name, { own }] of Object.entries(found))
    for (const error of own.errors.slice(0, 3)) console.log(`${name}: ${error}`)
}
