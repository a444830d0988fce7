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
        child.once('exit', (code) =>
          reject(new Error(`a process of the bench ended with ${code} at ${JSON.stringify(job)}`)),
        )
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

/** Cells by name: the figures of runs as it was, and of runs with what is measured. */
export type Pairs<Figures> = Map<string, { before: Figures[]; now: Figures[] }>

/** Runs jobs that differ in one thing. @param words  only cells whose names have all of them */
export async function inPairs<Job, Figures>(
  module: string,
  jobs: readonly Job[],
  words: readonly string[],
  cellOf: (job: Job) => string,
  isNow: (job: Job) => boolean,
): Promise<Pairs<Figures>> {
  const cells: Pairs<Figures> = new Map()
  const wanted = jobs.filter((job) => words.every((word) => cellOf(job).includes(word)))
  await inProcesses<Job, Figures>(
    module,
    wanted.map((job) => [job]),
    (job, figures) => {
      const cell = cells.get(cellOf(job)) ?? { before: [], now: [] }
      cell[isNow(job) ? 'now' : 'before'].push(figures)
      cells.set(cellOf(job), cell)
    },
  )
  return new Map([...cells].sort())
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  const { simulate } = await import(process.argv[2])
  process.on('message', async (job) => process.send?.(await simulate(job)))
}
