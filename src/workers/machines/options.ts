/** Options of the two ends of a fleet, whatever carries its messages, and their defaults. What is of one link alone is checked there. */

import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, checkString, expected, MOST_MS } from '../../base/check'
import { type Clock, systemClock } from '../../base/clock'
import { guarded, warnOnce } from '../../base/notices'
import type { KeyPair } from '../../platform/platform'
import type { ModelWorker } from '../worker'
import { Forgeries } from './forgeries'
import { LEAST_EVERY_MS, MOST_SLOTS } from './heartbeat'
import { checkFleet, isKey } from './names'

export interface FleetOptions {
  /** Name of the fleet, as its machines have it (`approxifer work --fleet`): letters, digits, `-` and `_`. */
  fleet: string
  /**
   * The model that workers must have, a path, a URL or its bytes. Default: that of the first worker, and where nobody that is there
   * has it any more, that of most of those that are, with a warning.
   */
  model?: string | URL | Uint8Array
  /** In place of `model`, what the workers say of theirs (`approxifer work` prints it). */
  fingerprint?: string
  /**
   * Keys of machines that are your own, as `approxifer work` prints them, or true for all that have one: what they answer is taken for the
   * model's (see `verify.mode`). Default false.
   */
  trusted?: boolean | readonly string[]
  /**
   * Where a machine comes from, by its key: what owner, say. Where trust is earned only the best of one origin counts. Default: its key.
   */
  origin?: (identity: string) => string
  /** Heartbeats that may be missed before a worker counts as lost, and its calls go to others. Default 3. */
  missed?: number
  /** After how long without a heartbeat a worker is removed. One that is heard again joins again. Default 10,000 ms. */
  forgetMs?: number
  /** Milliseconds within which an inference must begin at the worker; later nobody wants it. Default 10,000. */
  expireMs?: number
  /** Calls that may wait at a worker behind the one that runs, of this gateway; none at one that answers several at once. Default 2. */
  maxPending?: number
  /** Told once per thing worth knowing: a worker with another model, what is refused. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export const fleetOptions = [
  ...['fleet', 'model', 'fingerprint', 'missed', 'forgetMs', 'expireMs', 'maxPending', 'onWarning'],
  ...['trusted', 'origin', 'clock'],
]

export type FleetSettings = ReturnType<typeof checkFleetOptions>

/** @param more  names of options that its link has @throws TypeError or RangeError naming the option, expected and got */
export function checkFleetOptions(options: FleetOptions, more: readonly string[] = []) {
  checkNames('', options, [...fleetOptions, ...more])
  const { fleet, model, fingerprint, missed = 3, forgetMs = 10_000, expireMs = 10_000, maxPending = 2 } = options
  const { origin, trusted = false, onWarning = console.warn, clock = systemClock } = options
  checkFleet(fleet)
  if (model !== undefined && fingerprint !== undefined) throw new TypeError('fingerprint: expected none beside model')
  if (fingerprint !== undefined) checkString('fingerprint', fingerprint)
  if (typeof trusted !== 'boolean' && !(Array.isArray(trusted) && trusted.every(isKey)))
    throw new TypeError(expected('trusted', 'true, false, or keys of machines', trusted))
  if (origin !== undefined) checkFunction('origin', origin, "a function of a machine's key")
  const warn = warnOnce(onWarning)
  return {
    ...{ fleet, model, fingerprint, clock },
    originOf: (identity: string) => origin && said(origin, identity, warn),
    trusts: (identity: string) => trusted === true || (trusted !== false && trusted.includes(identity)),
    missed: checkInteger('missed', missed, 1),
    forgetMs: checkInteger('forgetMs', forgetMs, 1, MOST_MS),
    expireMs: checkInteger('expireMs', expireMs, 1, MOST_MS),
    maxPending: checkInteger('maxPending', maxPending, 0),
    /** The caller says which model it must be: there can be no other. */
    isFixed: model !== undefined || fingerprint !== undefined,
    /** Each text as often as it is given. */
    report: guarded(onWarning),
    /** Each text once. */
    warn,
    forgeries: new Forgeries(fleet, guarded(onWarning), 'workers'),
  }
}

/** What throws, or says no text, costs no worker its place. */
function said(origin: (identity: string) => string, key: string, warn: (text: string) => void): string | undefined {
  try {
    const text = origin(key)
    if (typeof text === 'string') return text
    warn(expected('origin', 'a text', text))
  } catch (error) {
    warn(`origin: ${(error as Error)?.message}`)
  }
}

export interface MachineOptions {
  /** Name of the fleet: letters, digits, `-` and `_`. */
  fleet: string
  /** Workers to answer with, for instance those of `localWorkers`, each as many rows at once as its `slots`; `close` closes them. */
  workers: readonly ModelWorker[]
  /** What this machine is called; the workers' names begin with it. Default: host name and process id. */
  name?: string
  /**
   * This machine's key, which is its identity whatever its name. Its workers share it, and have one vote where liars are expected.
   * A file's path (in browsers a name in IndexedDB), where one is made if there is none; or a pair of your own. False: what it says is
   * not signed, and predictors with `byzantine` take none of its workers. Default: a new one, with which it is a newcomer each time.
   */
  key?: string | KeyPair | false
  /** Milliseconds between two heartbeats. Default 500. */
  beatMs?: number
  /** Calls of all gateways that may wait at a worker behind those that run; more are refused. Default 8. */
  maxPending?: number
  /** How long an inference may take before its worker is restarted. Default 30,000 ms. */
  hangMs?: number
  /** Told once per thing worth knowing: what is refused. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

const machineOptions = ['fleet', 'workers', 'name', 'key', 'beatMs', 'maxPending', 'hangMs', 'onWarning', 'clock']

export type MachineSettings = ReturnType<typeof checkMachineOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkMachineOptions(options: MachineOptions) {
  checkNames('', options, machineOptions)
  const { fleet, workers, key, beatMs = 500, maxPending = 8, hangMs = 30_000, clock = systemClock } = options
  const { name = platform.identity(), onWarning } = options
  checkFleet(fleet)
  if (!Array.isArray(workers) || !workers.length || workers.some((worker) => typeof worker?.infer !== 'function')) {
    throw new TypeError(expected('workers', 'ModelWorkers, one or more', workers))
  }
  for (const [i, { slots = 1 }] of workers.entries()) checkInteger(`workers[${i}].slots`, slots, 1, MOST_SLOTS)
  checkString('name', name)
  if (!isPair(key)) throw new TypeError(expected('key', "a file's path, a pair of keys or false", key))
  return {
    ...{ fleet, workers: workers as readonly ModelWorker[], clock, key },
    name: name.replace(/[^\w-]+/g, '_').slice(0, 100),
    beatMs: checkInteger('beatMs', beatMs, LEAST_EVERY_MS, 60_000),
    maxPending: checkInteger('maxPending', maxPending, 0),
    hangMs: checkInteger('hangMs', hangMs, 1, MOST_MS),
    warn: warnOnce(onWarning),
    forgeries: new Forgeries(fleet, guarded(onWarning ?? console.warn), 'gateways'),
  }
}

function isPair(key: unknown): key is string | KeyPair | false | undefined {
  if (typeof key === 'string') return key !== ''
  return key === undefined || key === false || typeof (key as KeyPair)?.sign === 'function'
}
