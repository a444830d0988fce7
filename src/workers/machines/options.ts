/** Options of both ends of a fleet that every link has, and their defaults. Each link checks its own options. */

import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, checkString, expected, MOST_MS } from '../../base/check'
import { type Clock, systemClock } from '../../base/clock'
import { guarded, toConsole, warnOnce } from '../../base/notices'
import type { KeyPair } from '../../platform/platform'
import type { ModelWorker } from '../worker'
import { Forgeries } from './forgeries'
import { LEAST_EVERY_MS, MOST_SLOTS } from './heartbeat'
import { checkFleet, isKey } from './names'

export interface FleetOptions {
  /** Name of the fleet, as given to its machines (`approxifer work --fleet`): letters, digits, `-` and `_`. */
  fleet: string
  /**
   * The model that workers must have: a path, a URL or its bytes. Default: the first worker's model; when more machines have another
   * model, that one replaces it, with a warning.
   */
  model?: string | URL | Uint8Array
  /** Instead of `model`: the model's fingerprint (`approxifer work` prints it). */
  fingerprint?: string
  /**
   * Public keys of your own machines, as `approxifer work` prints them, or true for all machines with a key: their answers are taken for
   * the model's (see `verify.mode`). Default false.
   */
  trusted?: boolean | readonly string[]
  /**
   * Maps a machine's key to its origin, for instance its owner. Where trust is earned only the best machine of an origin counts. Default:
   * the key.
   */
  origin?: (identity: string) => string
  /** Heartbeats that may be missed before a worker is taken for lost, and its calls are sent to others. Default 3. */
  missed?: number
  /** A worker is removed after this many milliseconds without a heartbeat, and joins again with its next one. Default 10,000. */
  forgetMs?: number
  /** Milliseconds within which an inference must begin at the worker; later it is dropped. Default 10,000. */
  expireMs?: number
  /** Calls of this gateway that may wait at a worker behind the running one; none at a worker with several slots. Default 2. */
  maxPending?: number
  /** Called with each warning, and the name of the worker if it is about one. Default: console.warn. */
  onWarning?: (text: string, worker?: string) => void
  /** The clock, for tests. Default: the system's. */
  clock?: Clock
}

export const fleetOptions = [
  ...['fleet', 'model', 'fingerprint', 'missed', 'forgetMs', 'expireMs', 'maxPending', 'onWarning'],
  ...['trusted', 'origin', 'clock'],
]

export type FleetSettings = ReturnType<typeof checkFleetOptions>

/** @param more  names of the link's own options @throws TypeError or RangeError naming the option, expected and got */
export function checkFleetOptions(options: FleetOptions, more: readonly string[] = []) {
  checkNames('', options, [...fleetOptions, ...more])
  const { fleet, model, fingerprint, missed = 3, forgetMs = 10_000, expireMs = 10_000, maxPending = 2 } = options
  const { origin, trusted = false, onWarning = toConsole, clock = systemClock } = options
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
    /** Whether the caller has chosen the model, so that it cannot be replaced. */
    isFixed: model !== undefined || fingerprint !== undefined,
    /** Passes on every warning. */
    report: guarded(onWarning),
    /** Passes on each text once. */
    warn,
    forgeries: new Forgeries(fleet, guarded(onWarning), 'workers'),
  }
}

/** Calls the user's function; if it throws or returns no string the machine's origin is unknown, with a warning. */
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
  /** Workers to serve, for instance those of `localWorkers`, each with up to `slots` queries at once; `close` closes them. */
  workers: readonly ModelWorker[]
  /** Name of this machine; its workers' names begin with it. Default: host name and process id. */
  name?: string
  /**
   * This machine's private key, which is its identity whatever its name. Its workers share it, and have one vote where workers may be
   * Byzantine. A file's path (in browsers a name in IndexedDB), where a key is made if there is none; or your own key pair. False:
   * nothing is signed, and predictors with `byzantine` refuse its workers. Default: a new key at each start, without a reputation.
   */
  key?: string | KeyPair | false
  /** Milliseconds between two heartbeats. Default 500. */
  beatMs?: number
  /** Calls of all gateways that may wait at a worker behind the running ones; more are refused. Default 8. */
  maxPending?: number
  /** Milliseconds that an inference may take before its worker is restarted. Default 30,000. */
  hangMs?: number
  /** Called with each warning. Default: console.warn. */
  onWarning?: (text: string) => void
  /** The clock, for tests. Default: the system's. */
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
    forgeries: new Forgeries(fleet, guarded(onWarning ?? toConsole), 'gateways'),
  }
}

function isPair(key: unknown): key is string | KeyPair | false | undefined {
  if (typeof key === 'string') return key !== ''
  return key === undefined || key === false || typeof (key as KeyPair)?.sign === 'function'
}
