/** Files that others write while the server runs. */

import { unwatchFile, watchFile } from 'node:fs'

/** Each is looked at so often: what tells of changes sooner knows nothing of links, bind mounts and network drives. */
const EVERY_MS = 250
/** Many a file is written in several steps. */
const QUIET_MS = 50

/** Tells when one of them was written or replaced, also behind a link: Kubernetes puts another folder behind `..data`. */
export class WatchedFiles {
  #files: readonly string[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #noticed = () => {
    this.#timer ??= setTimeout(() => this.#tell(), QUIET_MS).unref()
  }

  constructor(private readonly changed: () => void) {}

  watch(files: readonly string[]): void {
    const come = files.filter((file) => !this.#files.includes(file))
    for (const file of this.#files) if (!files.includes(file)) unwatchFile(file, this.#noticed)
    for (const file of come) watchFile(file, { interval: EVERY_MS, persistent: false }, this.#noticed)
    this.#files = files
    if (come.length) setTimeout(this.#noticed, EVERY_MS).unref() // written before the first look, and after it was read
  }

  #tell(): void {
    this.#timer = undefined
    this.changed()
  }
}
