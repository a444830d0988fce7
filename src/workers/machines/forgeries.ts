/** What comes in the names of workers or gateways, and has not their signatures or MACs. */

import type { Warn } from '../../base/notices'

export class Forgeries {
  count = 0

  constructor(
    private readonly fleet: string,
    private readonly report: Warn,
    private readonly whose: 'workers' | 'gateways',
  ) {}

  /** @param name  of the worker that it is said to be of, or was sent to; told of the 1st, the 10th, the 100th and so on */
  drop(name: string): void {
    if (!/^10*$/.test(`${++this.count}`)) return
    this.report(
      `fleet ${this.fleet}: ${this.count} dropped that others sent in the names of ${this.whose}, at ${name} the last: see docs/remote.md`,
    )
  }
}
