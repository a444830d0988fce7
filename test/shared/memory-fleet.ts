/** Machines and their gateway at links in memory. */

import { machineWorkers } from '../../src/workers/machines/fleet'
import { ServingMachine } from '../../src/workers/machines/machine'
import {
  checkFleetOptions,
  checkMachineOptions,
  type FleetOptions,
  type MachineOptions,
} from '../../src/workers/machines/options'
import { Hub, type MemoryLink } from './memory-link'

export class MemoryFleet {
  readonly hub = new Hub()

  workers(options: Partial<FleetOptions> = {}) {
    return machineWorkers(checkFleetOptions({ fleet: 'memory', ...options }), async () => this.hub.open())
  }

  async machine(options: Omit<MachineOptions, 'fleet'>): Promise<{ machine: ServingMachine; link: MemoryLink }> {
    let link = undefined as MemoryLink | undefined
    const machine = await ServingMachine.join(checkMachineOptions({ fleet: 'memory', ...options }), async () => {
      link = this.hub.open()
      return link
    })
    return { machine, link: link as MemoryLink }
  }
}
