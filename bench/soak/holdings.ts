/** What the process holds. */

import { existsSync, readdirSync } from 'node:fs'
import { collectGarbage } from '../shared/measure'

const MB = 2 ** 20

/** MB after a garbage collection: of JavaScript, WASM and buffers outside its heap included, and of the whole process. */
export function memory() {
  collectGarbage()
  collectGarbage() // which ends what the first one left to other threads
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: (heapUsed + external) / MB, rss: rss / MB }
}

/** What keeps it alive, by kind and, where the system tells of them, its threads. */
export function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const type of process.getActiveResourcesInfo()) counts[type] = (counts[type] ?? 0) + 1
  const threads = '/proc/self/task'
  return existsSync(threads) ? { ...counts, thread: readdirSync(threads).length } : counts
}
