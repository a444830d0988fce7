/** Watches files for changes while the server runs. */

import { unwatchFile, watchFile } from 'node:fs'

/** The interval of polling. The system's notifications are faster, but miss changes behind links, bind mounts and network drives. */
const EVERY_MS = 250
/** The delay before a change is reported: programs write a file in several steps. */
const QUIET_MS = 50

/** Reports when a file was written or replaced, also behind a symbolic link: Kubernetes replaces the folder that `..data` points to. */
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
    if (come.length) setTimeout(this.#noticed, EVERY_MS).unref() // a file may have changed after it was read and before the first poll
  }

  #tell(): void {
    this.#timer = undefined
    this.changed()
  }
}
