/** Options of NATS workers, and their defaults. */

import { checkInteger, checkNames, checkString, expected, MOST_MS } from '../../check'
import { type Clock, systemClock } from '../../clock'
import { guarded, warnOnce } from '../../notices'
import { checkFleet, subjectsOf } from './subjects'

export interface NatsOptions {
  /** Name of the fleet, as `serveNats` and `approxifer work --fleet` have it: letters, digits, `-` and `_`. */
  fleet: string
  /**
   * The model that workers must have, a path, a URL or its bytes. Default: that of the first worker, and where nobody that is there
   * has it any more, that of most of those that are, with a warning.
   */
  model?: string | URL | Uint8Array
  /** In place of `model`, what the workers say of theirs (`approxifer work` prints it). */
  fingerprint?: string
  /** Heartbeats that may be missed before a worker counts as lost, and its calls go to others. Default 3. */
  missed?: number
  /** After how long without a heartbeat a worker is removed. One that is heard again joins again. Default 10,000 ms. */
  forgetMs?: number
  /** Milliseconds within which an inference must begin at the worker; later nobody wants it. Default 10,000. */
  expireMs?: number
  /** Calls that may wait at a worker behind the one that runs, of this coordinator; none at one that answers several at once. Default 2. */
  maxPending?: number
  /** What answers are addressed to, where the server's permissions ask for a certain prefix. Default '_INBOX'. */
  inboxPrefix?: string
  /** Told once per thing worth knowing: a worker with another model, what the server refuses. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export const natsOptions = [
  ...['fleet', 'model', 'fingerprint', 'missed', 'forgetMs', 'expireMs', 'maxPending', 'inboxPrefix', 'onWarning'],
  'clock',
]

export type NatsSettings = ReturnType<typeof checkNatsOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkNatsOptions(options: NatsOptions) {
  checkNames('', options, natsOptions)
  const { fleet, model, fingerprint, missed = 3, forgetMs = 10_000, expireMs = 10_000, maxPending = 2 } = options
  const { inboxPrefix = '_INBOX', onWarning = console.warn, clock = systemClock } = options
  checkFleet(fleet)
  if (model !== undefined && fingerprint !== undefined) throw new TypeError('fingerprint: expected none beside model')
  if (fingerprint !== undefined) checkString('fingerprint', fingerprint)
  checkInteger('missed', missed, 1)
  checkInteger('forgetMs', forgetMs, 1, MOST_MS)
  checkInteger('expireMs', expireMs, 1, MOST_MS)
  checkInteger('maxPending', maxPending, 0)
  if (!/^[\w-]+(\.[\w-]+)*$/.test(inboxPrefix)) {
    throw new TypeError(expected('inboxPrefix', 'tokens with dots between them', inboxPrefix))
  }
  return {
    ...{ model, fingerprint, missed, forgetMs, expireMs, maxPending, inboxPrefix, clock },
    subjects: subjectsOf(fleet),
    /** The caller says which model it must be: there can be no other. */
    isFixed: model !== undefined || fingerprint !== undefined,
    /** Each text as often as it is given. */
    report: guarded(onWarning),
    /** Each text once. */
    warn: warnOnce(onWarning),
  }
}
