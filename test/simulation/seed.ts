/** One seed, for a process of its own. */

import { createHash } from 'node:crypto'
import { type Checked, checkedIn } from './checked'
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
  checked: Pick<Checked, 'answers' | 'wrong' | 'expected'>
}

export async function simulate({ seed, queries }: Job): Promise<Outcome> {
  const { found, history } = await tried(drawn(seed, queries))
  const { entries = [] } = history ?? {}
  const { answers, wrong, expected } = checkedIn(entries)
  const hash = history ? createHash('sha256').update(JSON.stringify(entries)).digest('hex') : ''
  return { found, hash, checked: { answers, wrong, expected } }
}
