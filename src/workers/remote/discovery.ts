/** Where servers are listed: a file or a DNS name, watched, as an async iterable of URLs that come and go. */

import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, checkText, checkWord, expected, MOST_MS } from '../../base/check'
import { type Clock, systemClock } from '../../base/clock'
import { asError } from '../../base/errors'
import { guarded, type Warn } from '../../base/notices'
import { Changes } from './changes'
import { checkUrl, type EndpointChange } from './endpoints'

export interface WatchOptions {
  /** How often the list is read. Default 2,000 ms. */
  everyMs?: number
  /** Told once per thing worth knowing. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export interface DnsOptions extends WatchOptions {
  /** Which port the servers listen at. */
  port: number
  /** Default 'http'. */
  protocol?: 'http' | 'https'
  /** DNS servers to ask, "address:port". Default: as the system does, with its search domains and its hosts file. */
  servers?: readonly string[]
  /** Looks a name up, instead of DNS. */
  resolver?: (name: string) => Promise<readonly string[]>
}

const watchNames = ['everyMs', 'onWarning', 'clock']
/** A longer file is no list of servers. */
const MOST_BYTES = 1 << 20
/** A file is often written in several steps: it is read when nothing has changed for so long. */
const QUIET_MS = 50
/** The longest wait for that: other files in its folder, which count as changes, may be written all the time. */
const MOST_WAIT_MS = 1000
const NOT_HERE = 'expected a runtime that has them, such as Node; pass a list of URLs, or an async iterable of your own'

/**
 * Servers listed in a file: a JSON array of URLs, or one URL a line with `#` before remarks. It is read when it changes, also by being
 * replaced (as Kubernetes' ConfigMaps are), and every few seconds. A file that cannot be read or understood, or lists none, changes nothing, with
 * a warning. Servers that are no longer listed are drained.
 *
 * @throws Error where the runtime has no files
 */
export function watchFile(path: string, options: WatchOptions = {}): AsyncIterable<EndpointChange> {
  checkText('path', path, 'a path')
  checkNames('', options, watchNames)
  const { watch } = platform
  if (!watch) throw new Error(`watchFile: files: ${NOT_HERE}`)
  const read = async () => {
    const urls = urlsIn(await platform.read(path))
    if (urls.length) return urls
    throw new Error('it lists no server') // who writes a file may have emptied it first
  }
  return new Watcher(`the list of workers ${path}`, read, options, (changed) => watch(path, changed)).changes
}

/**
 * Servers that a DNS name stands for, one for each address: a headless service of Kubernetes. IPv6 addresses count only where the
 * name has no others, so that no machine is taken for two. A lookup that fails, or finds no address, changes nothing, with a
 * warning: asking a server tells better whether it is there. Addresses that are gone are drained.
 *
 * @throws Error where the runtime cannot look names up
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
  /** `changedAt`: when a change was first noticed that has not been read. */
  | { readonly is: 'waiting'; readonly changedAt: number | undefined; readonly cancel: () => void }
  /** `isStale`: a change was noticed meanwhile. */
  | { readonly is: 'reading'; isStale: boolean }
  | { readonly is: 'stopped' }

/** Reads a list of URLs again and again, and says what has changed. */
class Watcher {
  readonly changes = new Changes<EndpointChange>({ onReturn: () => this.#stop() })
  readonly #everyMs: number
  readonly #clock: Clock
  readonly #warn: Warn
  readonly #unwatch: (() => void) | undefined
  #state: WatcherState = { is: 'stopped' }
  #known: ReadonlySet<string> = new Set()
  /** Why it could not be read; undefined once it was. */
  #failure: string | undefined

  /** @param watch  calls `changed` when the list may have changed; returns what ends that */
  constructor(
    private readonly what: string,
    private readonly list: () => Promise<readonly string[]>,
    { everyMs = 2000, onWarning = console.warn, clock = systemClock }: WatchOptions,
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

  /** The same is told once, until the list was read again. */
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
