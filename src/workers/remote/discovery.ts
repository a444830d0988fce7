/** Discovers servers from a file or a DNS name, as an async iterable of URLs that are added and removed. */

import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, checkText, checkWord, expected, MOST_MS } from '../../base/check'
import { type Clock, systemClock } from '../../base/clock'
import { asError } from '../../base/errors'
import { guarded, toConsole, type Warn } from '../../base/notices'
import { Changes } from './changes'
import { checkUrl, type EndpointChange } from './endpoints'

export interface WatchOptions {
  /** Polling interval in milliseconds. Default 2,000. */
  everyMs?: number
  /** Called with each warning. Default: console.warn. */
  onWarning?: (text: string) => void
  /** The clock, for tests. Default: the system's. */
  clock?: Clock
}

export interface DnsOptions extends WatchOptions {
  /** The port of all servers. */
  port: number
  /** Default 'http'. */
  protocol?: 'http' | 'https'
  /** DNS servers to ask, "address:port". Default: the system's resolver, with its search domains and its hosts file. */
  servers?: readonly string[]
  /** Resolves a name to IP addresses, instead of DNS. */
  resolver?: (name: string) => Promise<readonly string[]>
}

const watchNames = ['everyMs', 'onWarning', 'clock']
/** A longer file is rejected. */
const MOST_BYTES = 1 << 20
/** A changed file is read after this pause without further changes, since files are often written in several steps. */
const QUIET_MS = 50
/** Longest wait for such a pause, since changes of other files in the folder count as well. */
const MOST_WAIT_MS = 1000
const NOT_HERE = 'expected a runtime that has them, such as Node; pass a list of URLs, or an async iterable of your own'

/**
 * Servers listed in a file: a JSON array of URLs, or one URL a line with `#` before comments. It is read when it changes or is replaced
 * (as Kubernetes' ConfigMaps are), and every few seconds. A file that is invalid or empty changes nothing, with a warning. Servers that
 * are no longer listed are drained.
 *
 * @throws Error if the runtime has no files
 */
export function watchFile(path: string, options: WatchOptions = {}): AsyncIterable<EndpointChange> {
  checkText('path', path, 'a path')
  checkNames('', options, watchNames)
  const { watch } = platform
  if (!watch) throw new Error(`watchFile: files: ${NOT_HERE}`)
  const read = async () => {
    const urls = urlsIn(await platform.read(path))
    if (urls.length) return urls
    throw new Error('it lists no server') // a program that rewrites the file may have truncated it first
  }
  return new Watcher(`the list of workers ${path}`, read, options, (changed) => watch(path, changed)).changes
}

/**
 * A server for each address of a DNS name, for instance of a headless service of Kubernetes. IPv6 addresses are used only if the name has
 * no others, so that no machine counts twice. A lookup that fails or finds no address changes nothing, with a warning: health checks tell
 * better whether a server is up. Addresses that disappear are drained.
 *
 * @throws Error if the runtime has no DNS
 */
export function watchDns(name: string, options: DnsOptions): AsyncIterable<EndpointChange> {
  checkText('name', name, 'a DNS name')
  checkNames('', options, [...watchNames, 'port', 'protocol', 'servers', 'resolver'])
  const { protocol = 'http', servers, resolver } = options
  const port = checkInteger('port', options.port, 1, 65_535)
  checkWord('protocol', protocol, ['http', 'https'])
  if (servers !== undefined && !(Array.isArray(servers) && servers.every((server) => typeof server === 'string'))) {
    throw new TypeError(expected('servers', 'an array of addresses', servers))
  }
  const { resolve } = platform
  const lookup = resolver ?? (resolve && (() => resolve(name, servers)))
  if (typeof lookup !== 'function') throw new Error(`watchDns: DNS look-ups: ${NOT_HERE}`)
  const read = async () => {
    const addresses = await lookup(name)
    if (!addresses.length) throw new Error('it has no addresses')
    return addresses.map((address) => `${protocol}://${address.includes(':') ? `[${address}]` : address}:${port}`)
  }
  return new Watcher(`the DNS name ${name}`, read, options).changes
}

function urlsIn(bytes: Uint8Array): string[] {
  if (bytes.byteLength > MOST_BYTES) throw new Error(`it has ${bytes.byteLength} bytes, which is no list of servers`)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  const lines = () => text.split('\n').map((line) => line.replace(/(^|\s)#.*/, '').trim())
  const list: unknown = /^\s*[[{"]/.test(text) ? JSON.parse(text) : lines().filter((line) => line)
  if (!Array.isArray(list)) throw new Error(expected('the file', 'an array of URLs', list))
  return list.map((url, i) => checkUrl(`entry ${i}`, url))
}

type WatcherState =
  /** `changedAt`: time of the first change that has not been read. */
  | { readonly is: 'waiting'; readonly changedAt: number | undefined; readonly cancel: () => void }
  /** `isStale`: the list has changed while it was read. */
  | { readonly is: 'reading'; isStale: boolean }
  | { readonly is: 'stopped' }

/** Polls a list of URLs and reports the changes. */
class Watcher {
  readonly changes = new Changes<EndpointChange>({ onReturn: () => this.#stop() })
  readonly #everyMs: number
  readonly #clock: Clock
  readonly #warn: Warn
  readonly #unwatch: (() => void) | undefined
  #state: WatcherState = { is: 'stopped' }
  #known: ReadonlySet<string> = new Set()
  /** The last error; undefined after a successful read. */
  #failure: string | undefined

  /** @param watch  calls `changed` when the list may have changed; returns a function that stops it */
  constructor(
    private readonly what: string,
    private readonly list: () => Promise<readonly string[]>,
    { everyMs = 2000, onWarning = toConsole, clock = systemClock }: WatchOptions,
    watch?: (changed: () => void) => () => void,
  ) {
    this.#everyMs = checkInteger('everyMs', everyMs, 1, MOST_MS)
    this.#clock = clock
    this.#warn = guarded(checkFunction('onWarning', onWarning))
    this.#unwatch = watch?.(() => this.#changed())
    void this.#read()
  }

  async #read(): Promise<void> {
    const reading: WatcherState = { is: 'reading', isStale: false }
    this.#state = reading
    try {
      const urls = new Set(await this.list())
      if (this.#state !== reading) return
      for (const url of urls) if (!this.#known.has(url)) this.changes.push({ add: url })
      for (const url of this.#known) if (!urls.has(url)) this.changes.push({ drain: url })
      this.#known = urls
      this.#failure = undefined
    } catch (error) {
      if (this.#state === reading) this.#failed(asError(error, 'WORKER').message)
    }
    if (this.#state === reading) this.#wait(reading.isStale ? QUIET_MS : this.#everyMs)
  }

  #wait(ms: number, changedAt?: number): void {
    this.#state = { is: 'waiting', changedAt, cancel: this.#clock.after(ms, () => this.#read(), true) }
  }

  #changed(): void {
    const state = this.#state
    if (state.is === 'reading') state.isStale = true
    if (state.is !== 'waiting') return
    const { changedAt = this.#clock.now() } = state
    if (this.#clock.now() - changedAt >= MOST_WAIT_MS) return
    state.cancel()
    this.#wait(QUIET_MS, changedAt)
  }

  /** Warns about an error, once until the list could be read again. */
  #failed(why: string): void {
    if (this.#failure === why) return
    this.#failure = why
    const kept = this.#known.size ? `; the ${this.#known.size} known workers stay` : ''
    this.#warn(`${this.what} cannot be used: ${why}${kept}`)
  }

  #stop(): void {
    if (this.#state.is === 'waiting') this.#state.cancel()
    this.#state = { is: 'stopped' }
    this.#unwatch?.()
  }
}
