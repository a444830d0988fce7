/** Runs of a bench in a process a core: each is asked for one job at a time, by a module that exports `simulate(job)`. */

import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/**
 * @param batches  jobs that one process should do in a row, since they share what takes long to load
 * @param done     is told each job's figures, in the order in which they come
 */
export async function inProcesses<Job, Figures>(
  module: string,
  batches: readonly (readonly Job[])[],
  done: (job: Job, figures: Figures) => void,
): Promise<void> {
  const waiting = [...batches]
  const work = async () => {
    const child = fork(fileURLToPath(import.meta.url), [module])
    const ask = (job: Job) =>
      new Promise<Figures>((resolve, reject) => {
        child.removeAllListeners()
        child.once('message', (message) => resolve(message as Figures))
        child.once('exit', (code) => reject(new Error(`a process of the bench ended with ${code}`)))
        child.send(job as object)
      })
    for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
      for (const job of batch) done(job, await ask(job))
    }
    child.removeAllListeners()
    child.kill()
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), batches.length) }, work))
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  const { simulate } = await import(process.argv[2])
  process.on('message', async (job) => process.send?.(await simulate(job)))
}
