/** What a memory in a thread of its own costs, for runs in simulated time. */

import process from 'node:process'
import { mean } from '../../src/base/stats'
import { MESSAGES, recallAndTrain } from '../../src/evaluate/memory-costs'
import type { Charges } from '../../src/memory/inline'
import type { ThreadCosts } from '../../src/testing/simulated-thread'
import { dataOf, experienceFor, type ModelName, remember } from './models'

const PAIRS = 1000

/** What lookups and lessons cost here, with 1,000 pairs, in processor time: the least of three means. */
export async function measureCosts(name: ModelName): Promise<ThreadCosts> {
  const data = await dataOf(name)
  const memory = await experienceFor(data)
  remember(memory, data, [...Array(PAIRS).keys()])
  const times: Record<keyof Charges, number[][]> = { lookUp: [], comparing: [], step: [] }
  const timed = <T>(what: keyof Charges, run: () => T): T => {
    const before = process.cpuUsage()
    const result = run()
    const { user, system } = process.cpuUsage(before)
    times[what].at(-1)?.push((user + system) / 1000)
    return result
  }
  for (let round = 0; round < 3; round++) {
    for (const each of Object.values(times)) each.push([])
    for (let i = 0; i < 100; i++) {
      const at = PAIRS + 100 * round + i
      recallAndTrain(memory, { query: data.inputs[at], own: data.answers[at] }, timed)
    }
  }
  const least = (what: keyof Charges) => Math.min(...times[what].map(mean))
  return { lookUp: least('lookUp'), comparing: least('comparing'), step: least('step'), ...MESSAGES }
}
