/** What differs between runtimes. One file here per runtime; an export condition chooses, nothing sniffs. */

import type { Endpoint } from 'comlink'

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

/** Tells once that something is not wanted any more: what an AbortSignal does, for less. */
export interface Stop {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  /** For what takes nothing else. */
  readonly signal: AbortSignal
  /** @returns takes the listener back */
  listen(listener: () => void): () => void
}

export interface HttpRequest {
  method: 'GET' | 'POST'
  /** Behind the server's URL, from the slash on. */
  path: string
  headers: Readonly<Record<string, string>>
  /** Only read, until the promise has settled. */
  body?: Uint8Array | undefined
  /** Of the reply's body; what is longer is not read to its end. */
  mostBytes: number
  /** Rejects with its reason, and drops the connection so that the server may stop. */
  abort: Stop
}

export interface HttpReply {
  status: number
  header(name: string): string | undefined
  /** In the pieces in which it came; undefined where it is longer than asked for. */
  body: readonly Uint8Array[] | undefined
}

/** Connections to one HTTP server, kept alive; idle ones keep no process alive. */
export interface Connections {
  /**
   * Asks once, and follows no redirect.
   *
   * @throws an Error; its property `stale` is true where the server closed a connection that had been used before, which it
   *   may have done before it saw the request
   */
  request(request: HttpRequest): Promise<HttpReply>
  /** The address and port of the latest connection, "127.0.0.1:8000" or "[::1]:8000", where this runtime tells. */
  readonly address?: string | undefined
  /**
   * Called when the server has closed a connection, where this runtime tells; not where it had announced that, as it does after every
   * reply. One listener.
   *
   * @param isUsual  it closes nearly every connection after one reply
   */
  onDrop: ((isUsual: boolean) => void) | undefined
  /** Drops all connections, and what is under way on them. May be called twice. */
  close(): Promise<void>
}

/** Settings of TLS, in the words of Node's `tls.connect`. */
export interface Tls {
  /** The name that the server's certificate must bear, where its URL has an address. */
  servername?: string
  /** Certificates to trust instead of the well-known ones, PEM. */
  ca?: string
  /** The client's own certificate and key, PEM. */
  cert?: string
  key?: string
}

/** A machine's key: who has it is who it says it is. */
export interface KeyPair {
  /** The public key of Ed25519, 43 letters of base64url. */
  readonly identity: string
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** One end of an agreement on a secret, by X25519. */
export interface SecretPair {
  /** Its public key, 43 letters of base64url. */
  readonly own: string
  /**
   * What the ends of two public keys make of bytes alike, and nobody else can: for each `info` another one, with a key of HKDF-SHA-256
   * (RFC 5869, no salt) from their secret. Throws or rejects where the other one is no key.
   */
  agree(other: string, infos: readonly string[]): MaybePromise<Mac[]>
}

/** HMAC-SHA-256 of the parts, one behind the other: 32 bytes. */
export type Mac = (...parts: readonly Uint8Array[]) => MaybePromise<Uint8Array>

export type MaybePromise<T> = T | Promise<T>

/** Keys and signatures of Ed25519, and secrets. One file per runtime, chosen as the platform is, since few need them. */
export interface Keys {
  generate(): Promise<KeyPair>
  /** One that is there again after a restart, made where there is none. @param where  a file's path; in browsers a name in IndexedDB @param warn  told where others can read it */
  kept(where: string, warn?: (text: string) => void): Promise<KeyPair>
  /** What tells whether a signature is this identity's. What is no key has none, or is refused at once. */
  verifier(identity: string): (signed: Uint8Array, signature: Uint8Array) => Promise<boolean>
  /** For as long as it is used. Rejects where the runtime has no X25519. */
  secret(): Promise<SecretPair>
  /** Whether they are the same; in as much time wherever they differ. */
  areEqual(a: Uint8Array, b: Uint8Array): boolean
}

export interface Platform {
  /** Threads that can run at the same time; undefined where nobody tells. */
  readonly cores: number | undefined
  /** It is a page's: servers of other origins have to allow each header that is not every page's. */
  readonly isPage?: true
  coreModule(): Promise<WebAssembly.Module>
  readonly threads: boolean
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
  files?(folder: string): Files
  /** Memory that workers see alike, if this runtime has such. */
  memory(bytes: number): SharedArrayBuffer | undefined
  /** What can run models here. */
  readonly runtimes: readonly Runtime[]
  /** A runtime, on first use; it is an optional peer. @param providers  the execution providers that it must have */
  importOrt(runtime: Runtime, providers: readonly string[]): Promise<Ort>
  /**
   * Connections to a server. What speaks HTTP is imported on first use; it is an optional peer. Absent where that is `fetch`.
   *
   * @param url    http or https, without a slash at its end
   * @param count  requests at a time; more wait
   */
  connect?(url: string, count: number, tls: Tls | undefined): Promise<Connections>
  /**
   * The addresses that a name stands for: IPv4, and only where it has none IPv6, so that no machine is counted twice.
   *
   * @param servers  DNS servers to ask, "address:port"; default: as the system does
   */
  readonly resolve?: (name: string, servers: readonly string[] | undefined) => Promise<string[]>
  /** Calls `changed` when a file, or what stands in its place, may have changed; it may miss changes. @returns ends that */
  readonly watch?: (path: string, changed: () => void) => () => void
  /** The function of a client library for NATS, an optional peer, that connects. Absent where a bundler would miss it. @param ws  over WebSocket */
  importNats?(ws: boolean): Promise<(options: object) => Promise<unknown>>
  /** The class of tokenizers, of an optional peer. Absent where a bundler would miss it. */
  importTokenizer?(): Promise<new (tokenizer: object, config: object) => object>
  /** Where a request cannot wait for what another one began: remembers this one. @returns whether it is the one under way */
  readonly thisRequest?: () => () => boolean
  /** What to call this machine and process among others: letters, digits and what else a host name has. */
  identity(): string
}
