import { VirtualClock } from '../../src/testing/virtual-clock'

/** Time passes within a turn, too, as it does on real machines: each look at the clock takes a little. */
export class TickingClock extends VirtualClock {
  /** When the turn began that is under way. */
  turn = 0

  constructor(private readonly tickMs: number) {
    super()
  }

  override now(): number {
    this.spend(this.tickMs)
    return super.now()
  }

  override after(ms: number, f: () => void): () => void {
    return super.after(ms, () => {
      this.turn = super.now()
      f()
    })
  }

  override async run(end?: number): Promise<void> {
    await super.run(end)
    this.turn = super.now()
  }
}
