/** Options of `serveNats`, and their defaults. */

import { platform } from '#platform'
import { checkInteger, checkNames, checkString, expected, MOST_MS } from '../../check'
import { type Clock, systemClock } from '../../clock'
import { warnOnce } from '../../notices'
import type { ModelWorker } from '../worker'
import { LEAST_EVERY_MS, MOST_SLOTS } from './heartbeat'
import { checkFleet, isToken, randomToken, subjectsOf } from './subjects'

export interface ServeNatsOptions {
  /** Name of the fleet: letters, digits, `-` and `_`. */
  fleet: string
  /** Workers to answer with, such as those of `localWorkers`, each as many rows at once as its `slots`; `close` closes them. */
  workers: readonly ModelWorker[]
  /** What this machine is called; the workers' names begin with it. Default: host name and process id. */
  name?: string
  /** What tells this machine from others: its workers share it, and have one vote where liars are expected. Default: random. */
  identity?: string
  /** Milliseconds between two heartbeats. Default 500. */
  beatMs?: number
  /** Calls of all coordinators that may wait at a worker behind those that run; more are refused. Default 8. */
  maxPending?: number
  /** How long an inference may take before its worker is restarted. Default 30,000 ms. */
  hangMs?: number
  /** Told once per thing worth knowing: what the server refuses. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

const optionNames = ['fleet', 'workers', 'name', 'identity', 'beatMs', 'maxPending', 'hangMs', 'onWarning', 'clock']

export type ServeSettings = ReturnType<typeof checkServeOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkServeOptions(options: ServeNatsOptions) {
  checkNames('', options, optionNames)
  const { fleet, workers, identity, beatMs = 500, maxPending = 8, hangMs = 30_000, clock = systemClock } = options
  const { name = platform.identity(), onWarning } = options
  checkFleet(fleet)
  if (!Array.isArray(workers) || !workers.length || workers.some((worker) => typeof worker?.infer !== 'function')) {
    throw new TypeError(expected('workers', 'ModelWorkers, one or more', workers))
  }
  for (const [i, { slots = 1 }] of workers.entries()) checkInteger(`workers[${i}].slots`, slots, 1, MOST_SLOTS)
  checkString('name', name)
  if (identity !== undefined && !isToken(identity)) {
    throw new TypeError(expected('identity', 'letters, digits, - and _', identity))
  }
  checkInteger('beatMs', beatMs, LEAST_EVERY_MS, 60_000)
  checkInteger('maxPending', maxPending, 0)
  checkInteger('hangMs', hangMs, 1, MOST_MS)
  const machine = name.replace(/[^\w-]+/g, '_').slice(0, 100)
  return {
    ...{ fleet, workers: workers as readonly ModelWorker[], machine, beatMs, maxPending, hangMs, clock },
    identity: identity ?? `${machine}-${randomToken()}`,
    subjects: subjectsOf(fleet),
    warn: warnOnce(onWarning),
  }
}
