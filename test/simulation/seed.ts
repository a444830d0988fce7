/** One seed, for a process of its own. */

import { createHash } from 'node:crypto'
import { violations } from './history'
import { drawn } from './schedule'
import { run } from './world'

export interface Job {
  seed: number
  queries: number
}

export interface Outcome {
  found: string[]
  /** Of all that happened. */
  hash: string
}

export async function simulate({ seed, queries }: Job): Promise<Outcome> {
  try {
    const history = await run(drawn(seed, queries))
    const hash = createHash('sha256').update(JSON.stringify(history.entries)).digest('hex')
    return { found: violations(history), hash }
  } catch (error) {
    return { found: [`the run throws: ${(error as Error).stack}`], hash: '' }
  }
}
