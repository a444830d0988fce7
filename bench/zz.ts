import { clairvoyants, lawBound, OURS, rules, simulateRule } from './overload-rules'
import { simulate } from './overload-run'

const base = { workers: 10, seed: 10 }
const [dev, stop] = [process.argv[2], process.argv[3]]
for (const stops of stop ? [stop === 'y'] : [false, true])
  for (const deviation of dev ? [Number(dev)] : [0.1, 1])
    for (const D of [2, 5, 20]) {
      const out = []
      for (const load of [0.9, 1, 2, 3, 10]) {
        const cell = { ...base, deviation, load, deadlines: [D], stops, queries: 4000 * Math.max(1, load) }
        const run = await simulate({ ...cell, ms: 10 })
        const c = simulateRule(clairvoyants['newest first'](), cell)
        const r = simulateRule(rules[OURS](), cell)
        out.push(
          `${(run.goodput / c.goodput).toFixed(2)} ${(run.goodput / lawBound(cell)).toFixed(2)} (${(r.goodput / lawBound(cell)).toFixed(2)}) w${(100 * run.wasted).toFixed(0)} l${(100 * run.toldLate).toFixed(0)} f${(100 * run.after5).toFixed(0)}`.padEnd(
            30,
          ),
        )
      }
      console.log(stops, deviation, D, '\t', out.join('| '))
    }
