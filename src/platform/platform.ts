/** What differs between runtimes. One file here per runtime; an export condition chooses, nothing sniffs. */

import type { Endpoint } from 'comlink'

/** What `onnxruntime-web` exports. */
export type Ort = typeof import('onnxruntime-web')

/** Packages that run models, all with the interface of `onnxruntime-web`. */
export type Runtime = 'onnxruntime-web' | 'onnxruntime-node'

/** A thread or Web Worker. */
export interface Thread {
  readonly endpoint: Endpoint
  /** Stops it, whatever it is doing; resolves when it is gone (or left behind, see `spawn`). */
  terminate(): Promise<void>
  /** Whether it keeps the process alive (where that means anything). Threads start with true. */
  hold(on: boolean): void
}

/** Named bytes that are there again after a restart. */
export interface Files {
  /** What was last written in full; undefined where there is nothing. */
  read(name: string): Promise<Uint8Array | undefined>
  /** All or nothing: whoever reads gets these bytes or, if it fails or is cut off, those from before. */
  write(name: string, bytes: Uint8Array): Promise<void>
}

export interface Platform {
  /** Threads that can run at the same time; undefined where nobody tells. */
  readonly cores: number | undefined
  /** The numerical core, compiled. */
  coreModule(): Promise<WebAssembly.Module>
  /**
   * Starts the bundled worker script, or whatever `create` returns.
   *
   * @param onDeath  called at most once, with a sentence: it threw, exited, or sent what cannot be read
   * @param patient  whether terminating lets the call under way end: native code takes the process with it when it is
   *                 cut off. What does not end in seconds is left behind.
   */
  spawn(create: (() => unknown) | undefined, onDeath: (why: string) => void, patient?: boolean): Thread
  /** Inside a worker: the way to the thread that started it. */
  parent(): Endpoint
  /** A model's bytes, from a path or URL. */
  read(source: string | URL): Promise<Uint8Array>
  /** Files in a folder, if this runtime has any. */
  files(folder: string): Files
  /** The same bytes where several workers can read them without a copy each, if this runtime can. */
  share(bytes: Uint8Array): Uint8Array
  /** What can run models here. */
  readonly runtimes: readonly Runtime[]
  /**
   * A runtime, on first use; it is an optional peer.
   *
   * @param runtime    one of `runtimes`
   * @param providers  the execution providers that it must have
   */
  importOrt(runtime: Runtime, providers: readonly string[]): Promise<Ort>
}
