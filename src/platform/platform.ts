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
  /**
   * A client library for NATS, on first use; it is an optional peer.
   *
   * @param ws  for servers that are reached over WebSocket
   * @returns   its function that connects
   */
  importNats(ws: boolean): Promise<(options: object) => Promise<unknown>>
  /** What to call this machine and process among others: letters, digits and what else a host name has. */
  identity(): string
}
