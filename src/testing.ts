/** Workers that fail or lie on purpose, and simulated time: for tests and benches only. @module */

export type { Clock } from './base/clock'
export type { Faults } from './testing/faults'
export { FaultyWorker } from './testing/faulty'
export { type ServiceTime, SimulatedWorker } from './testing/simulated-worker'
export { VirtualClock } from './testing/virtual-clock'
