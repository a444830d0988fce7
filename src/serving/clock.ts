/** Time is told to workers, too, so that it has its place beside tensor.ts. */

export { type Clock, systemClock } from '../clock'
