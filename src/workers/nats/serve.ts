/** Serves a machine's workers to a fleet over NATS. */

import { type MachineService, ServingMachine } from '../machines/machine'
import { checkMachineOptions, type MachineOptions } from '../machines/options'
import { checkServer, NatsLink, type NatsServer } from './connection'
import { subjectsOf } from './subjects'

/**
 * Lets workers answer queries of a fleet: in Node, in a browser tab or on the edge, there with a connection of `wsconnect`. Resolves when
 * gateways can find the workers. After a restart of the NATS server they join again, with the same names.
 *
 * @throws TypeError or RangeError for a wrong option; ApproxiferError WORKER if no server answers or the client library is missing
 */
export async function serveNats(server: NatsServer, options: MachineOptions): Promise<MachineService> {
  checkServer(server)
  const settings = checkMachineOptions(options)
  return ServingMachine.join(settings, () => NatsLink.open(server, subjectsOf(settings.fleet), settings.warn))
}
