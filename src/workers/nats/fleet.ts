/** Workers behind a NATS server: machines behind other people's routers, browser tabs, the edge. `serveNats` answers at the other end. */

import { expected } from '../../base/check'
import { type MachineChanges, machineWorkers } from '../machines/fleet'
import { checkFleetOptions, type FleetOptions, fleetOptions } from '../machines/options'
import { checkServer, NatsLink, type NatsServer } from './connection'
import { subjectsOf } from './subjects'

export interface NatsOptions extends FleetOptions {
  /** What answers are addressed to, where the server's permissions ask for a certain prefix. Default '_INBOX'. */
  inboxPrefix?: string
}

export const natsOptions = [...fleetOptions, 'inboxPrefix']

/**
 * The workers of a fleet, for a predictor's option `workers`: they join, drain and leave as they are heard. Connects when it is
 * first asked; `return` ends it, closes the workers and the connection, if that was made here.
 *
 * A server that restarts costs time: open calls wait, and are asked again when their workers are heard again.
 *
 * @throws TypeError, RangeError for a wrong option; the iteration throws ApproxiferError WORKER where no server answers or the client
 *   library is missing, MODEL where the model cannot be read
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
