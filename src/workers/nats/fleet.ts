/** Workers behind a NATS server: machines behind routers, browser tabs, edge runtimes. `serveNats` is their end. */

import { expected } from '../../base/check'
import { type MachineChanges, machineWorkers } from '../machines/fleet'
import { checkFleetOptions, type FleetOptions, fleetOptions } from '../machines/options'
import { checkServer, NatsLink, type NatsServer } from './connection'
import { subjectsOf } from './subjects'

export interface NatsOptions extends FleetOptions {
  /** Prefix of reply subjects, if the server's permissions require one. Default '_INBOX'. */
  inboxPrefix?: string
}

export const natsOptions = [...fleetOptions, 'inboxPrefix']

/**
 * The workers of a fleet, for a predictor's option `workers`: they join, drain and leave by their heartbeats. Connects when the first
 * change is read; `return` ends it, and closes the workers and the connection, unless that is the caller's. While the NATS server
 * restarts open calls wait, and are sent again when their workers are back.
 *
 * @throws TypeError or RangeError for a wrong option; the iteration throws ApproxiferError WORKER if no server answers or the client
 *   library is missing, MODEL if the model cannot be read
 */
export function natsWorkers(server: NatsServer, options: NatsOptions): MachineChanges {
  checkServer(server)
  const settings = checkFleetOptions(options, ['inboxPrefix'])
  const { inboxPrefix = '_INBOX' } = options
  if (!/^[\w-]+(\.[\w-]+)*$/.test(inboxPrefix)) {
    throw new TypeError(expected('inboxPrefix', 'tokens with dots between them', inboxPrefix))
  }
  return machineWorkers(settings, () => NatsLink.open(server, subjectsOf(settings.fleet, inboxPrefix), settings.warn))
}
