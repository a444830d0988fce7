import { VirtualClock } from '../../src/testing/virtual-clock'

/** Time passes within a turn, too, as it does on real machines: each look at the clock takes a little. */
export class TickingClock extends VirtualClock {
  constructor(private readonly tickMs: number) {
    super()
  }

  override now(): number {
    this.spend(this.tickMs)
    return super.now()
  }
}
