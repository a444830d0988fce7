/** What differs between runtimes. One file here per runtime; an export condition chooses, nothing sniffs. */

import type { Endpoint } from 'comlink'

/** What `onnxruntime-web` exports. */
export type Ort = typeof import('onnxruntime-web')

/** A thread or Web Worker. */
export interface Thread {
  readonly endpoint: Endpoint
  /** Stops it, whatever it is doing; resolves when it is gone. */
  terminate(): Promise<void>
  /** Whether it keeps the process alive (where that means anything). Threads start with true. */
  hold(on: boolean): void
}

export interface Platform {
  /** The numerical core, compiled. */
  coreModule(): Promise<WebAssembly.Module>
  /**
   * Starts the bundled worker script, or whatever `create` returns.
   *
   * @param onDeath  called at most once, with a sentence: it threw, exited, or sent what cannot be read
   */
  spawn(create: (() => unknown) | undefined, onDeath: (why: string) => void): Thread
  /** Inside a worker: the way to the thread that started it. */
  parent(): Endpoint
  /** A model's bytes, from a path or URL. */
  read(source: string | URL): Promise<Uint8Array>
  /** The same bytes where several workers can read them without a copy each, if this runtime can. */
  share(bytes: Uint8Array): Uint8Array
  /** onnxruntime-web, on first use; it is an optional peer. */
  importOrt(): Promise<Ort>
}
