/** Counts and reports messages in the names of workers or gateways that lack a valid signature or MAC. */

import type { Warn } from '../../base/notices'

export class Forgeries {
  count = 0

  constructor(
    private readonly fleet: string,
    private readonly report: Warn,
    private readonly whose: 'workers' | 'gateways',
  ) {}

  /**
   * Counts a dropped message; the 1st, 10th, 100th and so on are reported. @param name  the worker that the message names as its sender,
   * or was sent to
   */
  drop(name: string): void {
    if (!/^10*$/.test(`${++this.count}`)) return
    this.report(
      `fleet ${this.fleet}: ${this.count} forged or replayed messages in the names of ${this.whose} were dropped, the last one at ${name}: see docs/reference/remote.md`,
    )
  }
}
