/** Where workers are, as it changes: each source is an async iterable of URLs that come and go. */

import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, checkText, checkWord, expected, MOST_MS } from '../../check'
import { type Clock, systemClock } from '../../clock'
import { asError, withoutPassword } from '../../errors'
import { guarded, type Warn } from '../../notices'
import { Changes } from './changes'

/** A server has come; it has gone; or it is about to go, and gets nothing new. */
export type Whereabouts = { add: string } | { remove: string } | { drain: string }

export interface WatchOptions {
  /** How often to look. Default 2,000 ms. */
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
/** More is no list of servers. */
const MOST_BYTES = 1 << 20
/** A file is often written in several steps, and others may lie in its folder that are written all the time. */
const QUIET_MS = 50
const MOST_UNQUIET_MS = 1000
const NOT_HERE = 'expected a runtime that has them, such as Node; pass a list of URLs, or an async iterable of your own'

/**
 * Servers listed in a file: a JSON array of URLs, or one URL a line with `#` before remarks. It is looked at when it changes, which
 * works for files that are replaced (Kubernetes' ConfigMaps), and every few seconds. One that cannot be read, or not be
 * understood, changes nothing but for a warning. Servers that are no longer listed are drained.
 *
 * @throws Error where the runtime has no files
 */
export function watchFile(path: string, options: WatchOptions = {}): AsyncIterable<Whereabouts> {
  checkText('path', path, 'a path')
  checkNames('', options, watchNames)
  const { watch } = platform
  if (!watch) throw new Error(`watchFile: files: ${NOT_HERE}`)
  const look = async () => urlsIn(await platform.read(path))
  return new Lookout(`the list of workers ${path}`, look, options, (changed) => watch(path, changed)).changes
}

/**
 * Servers that a DNS name stands for, one an address: a headless service of Kubernetes. IPv6 addresses count only where the
 * name has no others, so that no machine is taken for two. A look-up that fails, or finds none, changes nothing but for
 * a warning: which server answers is known better by asking it. Addresses that are gone are drained.
 *
 * @throws Error where the runtime cannot look names up
 */
export function watchDns(name: string, options: DnsOptions): AsyncIterable<Whereabouts> {
  checkText('name', name, 'a DNS name')
  checkNames('', options, [...watchNames, 'port', 'protocol', 'servers', 'resolver'])
  const { protocol = 'http', servers, resolver } = options
  const port = checkInteger('port', options.port, 1, 65_535)
  checkWord('protocol', protocol, ['http', 'https'])
  if (servers !== undefined && !(Array.isArray(servers) && servers.every((server) => typeof server === 'string'))) {
    throw new TypeError(expected('servers', 'an array of addresses', servers))
  }
  const { resolve } = platform
  const lookUp = resolver ?? (resolve && (() => resolve(name, servers)))
  if (typeof lookUp !== 'function') throw new Error(`watchDns: DNS look-ups: ${NOT_HERE}`)
  const look = async () => {
    const addresses = await lookUp(name)
    if (!addresses.length) throw new Error('it has no addresses')
    return addresses.map((address) => `${protocol}://${address.includes(':') ? `[${address}]` : address}:${port}`)
  }
  return new Lookout(`the DNS name ${name}`, look, options).changes
}

/** A server's URL, as it is compared: without slashes at its end. @throws TypeError */
export function checkUrl(field: string, value: unknown): string {
  const what = 'an http or https URL without query, fragment and password (headers take those)'
  const url = typeof value === 'string' || value instanceof URL ? parsed(String(value)) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    const given = value instanceof URL ? value.href : value
    throw new TypeError(expected(field, what, typeof given === 'string' ? withoutPassword(given) : given))
  }
  return url.href.replace(/\/+$/, '')
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {}
}

/** @throws Error for what is no list of URLs */
function urlsIn(bytes: Uint8Array): string[] {
  if (bytes.byteLength > MOST_BYTES) throw new Error(`it has ${bytes.byteLength} bytes, which is no list of servers`)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  const lines = () => text.split('\n').map((line) => line.replace(/(^|\s)#.*/, '').trim())
  const list: unknown = /^\s*[[{"]/.test(text) ? JSON.parse(text) : lines().filter((line) => line)
  if (!Array.isArray(list)) throw new Error(expected('the file', 'an array of URLs', list))
  return list.map((url, i) => checkUrl(`entry ${i}`, url))
}

/** Looks again and again, and tells what has changed. */
class Lookout {
  readonly changes = new Changes<Whereabouts>(() => this.#stop())
  readonly #what: string
  readonly #look: () => Promise<readonly string[]>
  readonly #everyMs: number
  readonly #clock: Clock
  readonly #tell: Warn
  readonly #unwatch: (() => void) | undefined
  #known: ReadonlySet<string> = new Set()
  #told: string | undefined
  #looking = false
  /** It may have changed while it was looked at. */
  #again = false
  #stopped = false
  /** When it was told of a change that it has not looked at. */
  #changedAt: number | undefined
  #cancel = () => {}

  constructor(
    what: string,
    look: () => Promise<readonly string[]>,
    { everyMs = 2000, onWarning = console.warn, clock = systemClock }: WatchOptions,
    watch?: (changed: () => void) => () => void,
  ) {
    this.#everyMs = checkInteger('everyMs', everyMs, 1, MOST_MS)
    this.#what = what
    this.#look = look
    this.#clock = clock
    this.#tell = guarded(checkFunction('onWarning', onWarning))
    this.#unwatch = watch?.(() => this.#changed())
    void this.#see()
  }

  /** Looks in so many ms, at the earliest. */
  #in(ms: number): void {
    this.#cancel()
    if (!this.#stopped) this.#cancel = this.#clock.after(ms, () => this.#see(), true)
  }

  #changed(): void {
    const now = this.#clock.now()
    this.#changedAt ??= now
    if (now - this.#changedAt < MOST_UNQUIET_MS) this.#in(QUIET_MS)
  }

  async #see(): Promise<void> {
    this.#changedAt = undefined
    this.#again = this.#looking
    if (this.#looking || this.#stopped) return
    this.#looking = true
    try {
      const now = new Set(await this.#look())
      if (this.#stopped) return
      for (const url of now) if (!this.#known.has(url)) this.changes.push({ add: url })
      for (const url of this.#known) if (!now.has(url)) this.changes.push({ drain: url })
      this.#known = now
      this.#told = undefined
    } catch (error) {
      this.#warn(asError(error, 'WORKER').message)
    } finally {
      this.#looking = false
      this.#in(this.#again ? QUIET_MS : this.#everyMs)
    }
  }

  /** The same once, until it was well again. */
  #warn(why: string): void {
    if (this.#told === why || this.#stopped) return
    this.#told = why
    const kept = this.#known.size ? `; the ${this.#known.size} known workers stay` : ''
    this.#tell(`${this.#what} cannot be used: ${why}${kept}`)
  }

  #stop(): void {
    this.#stopped = true
    this.#cancel()
    this.#unwatch?.()
  }
}
