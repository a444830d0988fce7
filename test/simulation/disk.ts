/** A disk of the simulation: slow, full now and then; what is being written when the process is killed is torn, or as it was before. */

import { type Random, seeded } from '../../src/base/random'
import type { Store } from '../../src/gateway/store'
import { saveNothing } from '../../src/memory/experience-state'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { signature } from './model'

export interface DiskTrouble {
  /** A write or a read takes up to so long. */
  mostMs: number
  /** Share of the writes for which there is no room. */
  full: number
  /** Whether it keeps no promise: what was being written at the end of the process is a mixture. */
  tears: boolean
  /** Calls in that time settle at its end. */
  hangs?: { from: number; until: number }
}

/** What is found on the disk at a start. */
export type Found = 'last' | 'old' | 'foreign' | 'flipped' | 'cut'

/** What was read, and who was ejected when it was written. */
export interface Version {
  bytes: Uint8Array
  ejected: readonly string[]
  isWhole: boolean
}

const foreign = { inputs: [{ name: 'x', shape: [3] }], outputs: signature.outputs }

export class Disk implements Store {
  /** What the next read finds. */
  next: Found = 'last'
  lastRead: Version | undefined
  readonly #random: Random
  readonly #versions: Version[] = []
  /** Being written, by the process that lives. */
  readonly #writing = new Set<Version>()
  #process = 0

  /** @param ejected  who is, now */
  constructor(
    private readonly clock: VirtualClock,
    seed: number,
    private readonly trouble: DiskTrouble,
    private readonly ejected: () => readonly string[],
  ) {
    this.#random = seeded(seed)
  }

  async read(_name: string): Promise<Uint8Array | undefined> {
    await this.#wait()
    this.lastRead = this.#found()
    return this.lastRead?.bytes.slice()
  }

  async write(_name: string, bytes: Uint8Array): Promise<void> {
    const version = { bytes: bytes.slice(), ejected: [...this.ejected()], isWhole: true }
    const process = this.#process
    this.#writing.add(version)
    await this.#wait()
    if (process !== this.#process) throw new Error('the process was killed')
    this.#writing.delete(version)
    if (this.#random.next() < this.trouble.full) throw new Error('ENOSPC: no space left on device')
    this.#versions.push(version)
  }

  /** The process ends where it is. */
  kill(): void {
    this.#process++
    for (const { bytes } of this.#writing) {
      if (!this.trouble.tears) continue // it is as it was
      const torn = bytes.map((byte, i) => (i < 0.7 * bytes.length ? byte : (this.#versions.at(-1)?.bytes[i] ?? 0)))
      this.#versions.push({ bytes: torn, ejected: [], isWhole: torn.every((byte, i) => byte === bytes[i]) })
    }
    this.#writing.clear()
  }

  #wait(): Promise<void> {
    const { mostMs, hangs = { from: 0, until: 0 } } = this.trouble
    const now = this.clock.now()
    const hungMs = now >= hangs.from ? Math.max(0, hangs.until - now) : 0
    return new Promise((resolve) => this.clock.after(hungMs + mostMs * this.#random.next(), resolve))
  }

  #found(): Version | undefined {
    const { next } = this
    this.next = 'last'
    const last = this.#versions.at(-1)
    if (next === 'old') return this.#versions[0]
    if (next === 'foreign') {
      const bytes = saveNothing({ ...foreign, fingerprint: null }, { tolerance: 0.1 } as never, undefined)
      return { bytes, ejected: [], isWhole: false }
    }
    if (!last || next === 'last') return last
    const at = this.#random.below(last.bytes.length)
    const bytes = next === 'cut' ? last.bytes.slice(0, at) : last.bytes.map((byte, i) => (i === at ? byte ^ 4 : byte))
    return { bytes, ejected: [], isWhole: false }
  }
}
