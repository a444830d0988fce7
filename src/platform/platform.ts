/** What differs between runtimes. Each runtime has one file here, chosen by an export condition. */

import type { Endpoint } from 'comlink'
import type { CrossOriginNeeds } from './blocked'

export type Ort = typeof import('onnxruntime-web')

/** Packages that run models; all have the interface of `onnxruntime-web`. */
export type Runtime = 'onnxruntime-web' | 'onnxruntime-node'

/** A thread or Web Worker. */
export interface Thread {
  readonly endpoint: Endpoint
  /** Stops it, whatever it is doing; resolves when it has ended (or was left behind, see `spawn`). */
  terminate(): Promise<void>
  /** Sets whether it keeps the process alive, in Node. Default true. */
  hold(on: boolean): void
}

/** Named files that survive a restart. */
export interface Files {
  /** The last complete contents; undefined if there are none. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Atomic: a reader gets the new bytes or, if the write fails, the old ones. */
  write(name: string, bytes: Uint8Array): Promise<void>
}

/** An abort that costs less than an AbortSignal. */
export interface Stop {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  /** For APIs that accept only AbortSignals. */
  readonly signal: AbortSignal
  /** @returns a function that removes the listener */
  listen(listener: () => void): () => void
}

export interface HttpRequest {
  method: 'GET' | 'POST'
  /** Appended to the server's URL; begins with a slash. */
  path: string
  headers: Readonly<Record<string, string>>
  /** Must not change until the promise has settled. */
  body?: Uint8Array | undefined
  /** Longest body of the reply; a longer one is not read to its end. */
  mostBytes: number
  /** Rejects the request with its reason, and drops the connection so that the server may stop. */
  abort: Stop
}

export interface HttpReply {
  status: number
  header(name: string): string | undefined
  /** The chunks in the order of arrival; undefined if they exceed `mostBytes`. */
  body: readonly Uint8Array[] | undefined
}

/** Keep-alive connections to one HTTP server; idle ones do not keep the process alive. */
export interface Connections {
  /**
   * Sends one request; redirects are not followed.
   *
   * @throws an Error; its property `stale` is true if the server closed a kept-alive connection, perhaps before it saw the request
   */
  request(request: HttpRequest): Promise<HttpReply>
  /** The address and port of the latest connection, "127.0.0.1:8000" or "[::1]:8000", if the runtime tells them. */
  readonly address?: string | undefined
  /**
   * Called when the server has closed a connection, if the runtime tells that; not if the server had announced it, as some do with every
   * reply. One listener.
   *
   * @param isUsual  the server closes nearly every connection after one reply
   */
  onDrop: ((isUsual: boolean) => void) | undefined
  /**
   * Explains why a request failed, where the error does not: only in pages. Sends requests. @param path  of the failed request. @returns
   * a sentence about the server; undefined if it has no explanation
   */
  whyFailed?(path: string, needs: CrossOriginNeeds, signal: AbortSignal): Promise<string | undefined>
  /** Drops all connections and rejects their requests. May be called twice. */
  close(): Promise<void>
}

/** TLS settings, named as in Node's `tls.connect`. */
export interface Tls {
  /** The expected name in the server's certificate, if its URL contains an IP address. */
  servername?: string
  /** Trusted certificates instead of the well-known ones, PEM. */
  ca?: string
  /** The client's own certificate and key, PEM. */
  cert?: string
  key?: string
}

/** A machine's key pair, which proves its identity. */
export interface KeyPair {
  /** The public Ed25519 key: 43 characters of base64url. */
  readonly identity: string
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** One end of an X25519 key agreement. */
export interface SecretPair {
  /** The public key: 43 characters of base64url. */
  readonly own: string
  /**
   * Derives a MAC for each `info` from the secret shared with the other end, by HKDF-SHA-256 (RFC 5869, no salt). Throws or rejects if
   * `other` is not a valid public key.
   */
  agree(other: string, infos: readonly string[]): MaybePromise<Mac[]>
}

/** HMAC-SHA-256 of the concatenated parts: 32 bytes. */
export type Mac = (...parts: readonly Uint8Array[]) => MaybePromise<Uint8Array>

export type MaybePromise<T> = T | Promise<T>

/** Ed25519 signatures and X25519 key agreement. In a file of its own for each runtime, since few applications need keys. */
export interface Keys {
  generate(): Promise<KeyPair>
  /**
   * Loads a stored key pair, or makes and stores a new one. @param where  a file's path; in browsers a name in IndexedDB @param warn
   * called if other users can read the file
   */
  kept(where: string, warn?: (text: string) => void): Promise<KeyPair>
  /** Returns a function that verifies signatures of this identity. It may throw or reject if the identity is no valid key. */
  verifier(identity: string): (signed: Uint8Array, signature: Uint8Array) => Promise<boolean>
  /** Makes a temporary X25519 key pair. Rejects if the runtime has no X25519. */
  secret(): Promise<SecretPair>
  /** Compares in constant time. */
  areEqual(a: Uint8Array, b: Uint8Array): boolean
}

export interface Platform {
  /** Number of threads that can run in parallel; undefined if unknown. */
  readonly cores: number | undefined
  /** Set in web pages, whose cross-origin requests need permission for each non-standard header. */
  readonly isPage?: true
  /** Set in web pages, whose errors of `fetch` have no reason: see `Connections.whyFailed`. */
  readonly whyBlocked?: (url: string, needs: CrossOriginNeeds, signal?: AbortSignal) => Promise<string | undefined>
  coreModule(): Promise<WebAssembly.Module>
  readonly threads: boolean
  /**
   * Starts the bundled worker script, or the worker that `create` returns.
   *
   * @param onDeath  called at most once, with the reason: it threw, exited, or sent an unreadable message; and whether no advice about
   *   its script would help
   * @param patient  terminating waits for the running call, since interrupting native code crashes the process; a call that takes more
   *   than seconds is left behind
   */
  spawn(
    create: (() => unknown) | undefined,
    onDeath: (why: string, isSure?: boolean) => void,
    patient?: boolean,
  ): Thread
  /** Inside a worker: the endpoint of the thread that started it. */
  parent(): Endpoint
  /** Reads a model from a path or URL. */
  read(source: string | URL): Promise<Uint8Array>
  /** Files in a folder, if the runtime has a file system. */
  files?(folder: string): Files
  /** Allocates shared memory; undefined if the runtime has none. */
  memory(bytes: number): SharedArrayBuffer | undefined
  /**
   * Requests that may wait for a reply at a time, all servers together; the runtime holds further ones back. Absent where each server has a
   * limit of its own, or none.
   */
  readonly connections?: number
  /** Packages that can run models on this platform. */
  readonly runtimes: readonly Runtime[]
  /**
   * Imports a model runtime, an optional peer dependency. Throws or rejects with a RangeError if it is installed and cannot work here.
   *
   * @param providers  execution providers that it must have
   */
  importOrt(runtime: Runtime, providers: readonly string[]): Promise<Ort>
  /**
   * Opens connections to a server, with an HTTP client that is an optional peer dependency. Absent where `fetch` is used.
   *
   * @param url  http or https, without a slash at its end
   * @param count  concurrent requests; more wait
   */
  connect?(url: string, count: number, tls: Tls | undefined): Promise<Connections>
  /**
   * Resolves a name to its IPv4 addresses, or its IPv6 addresses if it has no others, so that no machine counts twice.
   *
   * @param servers  DNS servers to ask, "address:port"; default: the system's resolver
   */
  readonly resolve?: (name: string, servers: readonly string[] | undefined) => Promise<string[]>
  /** Calls `changed` when a file may have changed or been replaced; some changes may be missed. @returns a function that stops it */
  readonly watch?: (path: string, changed: () => void) => () => void
  /**
   * Imports the connect function of the NATS client, an optional peer dependency. Absent where bundlers could not resolve it. @param ws
   * over WebSocket
   */
  importNats?(ws: boolean): Promise<(options: object) => Promise<unknown>>
  /** Imports the Tokenizer class, an optional peer dependency. Absent where bundlers could not resolve it. */
  importTokenizer?(): Promise<new (tokenizer: object, config: object) => object>
  /**
   * Only on runtimes that forbid one request to wait for another's I/O: remembers the current request. @returns a function that tells
   * whether the same request is current
   */
  readonly thisRequest?: () => () => boolean
  /** Name of this machine and process: letters, digits and other characters of host names. */
  identity(): string
}
