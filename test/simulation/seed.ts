/** One seed, for a process of its own. */

import { createHash } from 'node:crypto'
import { drawn } from './schedule'
import { tried } from './world'

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
  const { found, history } = await tried(drawn(seed, queries))
  return { found, hash: history ? createHash('sha256').update(JSON.stringify(history.entries)).digest('hex') : '' }
}
