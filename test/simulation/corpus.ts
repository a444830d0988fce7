/** Schedules that once found a defect, as small as they could be made: data, so that they stay what they are however schedules are drawn later. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Schedule } from './schedule'

/** A line each. */
const FILE = fileURLToPath(new URL('./corpus.jsonl', import.meta.url))

export interface Kept {
  /** The defect that it found. */
  defect: string
  schedule: Schedule
}

export function corpus(): Kept[] {
  const lines = readFileSync(FILE, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line))
}

/** Instead of what was kept of this defect. */
export function keep(kept: Kept): void {
  const others = corpus().filter(({ defect }) => defect !== kept.defect)
  const all = [...others, kept].sort((a, b) => (a.defect < b.defect ? -1 : 1))
  writeFileSync(FILE, all.map((each) => `${JSON.stringify(each)}\n`).join(''))
}
