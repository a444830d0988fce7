/** A machine's workers in a fleet on NATS. */

import { type MachineService, ServingMachine } from '../machines/machine'
import { checkMachineOptions, type MachineOptions } from '../machines/options'
import { checkServer, NatsLink, type NatsServer } from './connection'
import { subjectsOf } from './subjects'

/**
 * Lets workers answer for a fleet: in Node, in a browser's tab or on the edge, there with a connection of `wsconnect`. Resolves when
 * they can be found. A server that restarts is joined again, under the same names.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError WORKER where no server answers or the client library is missing
 */
export async function serveNats(server: NatsServer, options: MachineOptions): Promise<MachineService> {
  checkServer(server)
  const settings = checkMachineOptions(options)
  return ServingMachine.join(settings, () => NatsLink.open(server, subjectsOf(settings.fleet), settings.warn))
}
