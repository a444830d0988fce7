/** Many servers as workers that come and go: each joins once it answers, and answers as the others do. */

import { expected } from '../../check'
import { ApproxiferError, asError } from '../../errors'
import { Changes } from '../remote/changes'
import { checkUrl, type Whereabouts } from '../remote/discovery'
import { alike, type Evidence } from '../remote/evidence'
import { nameOf } from '../remote/names'
import { type Sighting, successor } from '../remote/succession'
import type { Change, WorkerChanges } from '../worker'
import { checkHttpOptions, type HttpOptions, type HttpSettings, HttpWorker } from './worker'

/** Servers in a fleet. */
const MOST = 10_000
/** Starts after which whatever else happens has its turn. */
const AT_A_TIME = 20
/** How long the first servers that answer wait for the others, to see what most of them say. */
const AGREE_MS = 5000

/**
 * Workers for a predictor, one a server. All must have one model: that of most of those that answer first, by their metadata and
 * their answers to a probe query; a server with another gets no rows, and a warning tells. Where none that is there has it any more, that
 * of most of those that are is theirs from then on, with a warning. What cannot be reached is tried for ever, and joins when it is there;
 * workers are named by host and port.
 *
 * @param servers  URLs, in front of `/v2`; or where to learn of them, such as `watchFile` or `watchDns`
 * @throws TypeError, RangeError for a wrong option. The iterable throws where no server at all can be used: ApproxiferError MODEL or
 *   PROTOCOL at once where all are wrong, WORKER after `timeoutMs`
 */
export function httpWorkers(
  servers: readonly (string | URL)[] | AsyncIterable<Whereabouts>,
  options: HttpOptions,
): WorkerChanges {
  const settings = checkHttpOptions(options)
  if (Array.isArray(servers)) {
    if (!servers.length) throw new RangeError('servers: expected at least one, got []')
    const urls = servers.map((url, i) => checkUrl(`servers[${i}]`, url))
    return new Fleet(settings, urls).changes
  }
  const source = servers as AsyncIterable<Whereabouts>
  if (typeof source?.[Symbol.asyncIterator] !== 'function') {
    throw new TypeError(expected('servers', 'an array of URLs, or an async iterable of their changes', servers))
  }
  return new Fleet(settings, [], source).changes
}

interface Member {
  url: string
  worker: HttpWorker | undefined
  /** `known` until it answered, `waiting` until it joins, `leaving` until its worker is closed. */
  state: 'known' | 'waiting' | 'joined' | 'leaving'
  /** How its last examination failed, once it was examined. */
  outcome: ApproxiferError | 'well' | undefined
  /** It was told that it could not join. */
  isMissed: boolean
  /** It was added again while it was leaving. */
  again: string | undefined
}

class Fleet {
  readonly changes: Changes<Change>
  readonly #settings: HttpSettings
  readonly #members = new Map<string, Member>()
  readonly #source: AsyncIterator<Whereabouts> | undefined
  /** What all have to answer, once that is agreed on; until then those that answer alike. */
  #agreed: Evidence | undefined
  /** It was told that only models with other inputs or outputs are left. */
  #isStuck = false
  readonly #groups: HttpWorker[][] = []
  readonly #toStart: [string, Member][] = []
  /** Members that were not examined yet, and that have joined. */
  #unheard = 0
  #joined = 0
  #hasJoined = false
  #closed = false
  /** Ends the hold on the process, and the wait for others to agree. */
  readonly #giveUp: () => void
  #unwait: (() => void) | undefined

  constructor(settings: HttpSettings, urls: readonly string[], source?: AsyncIterable<Whereabouts>) {
    this.changes = new Changes(() => this.#close(), source ? undefined : new Set(urls.map(nameOf)).size)
    this.#settings = settings
    const { clock, timeoutMs } = settings
    // The only timer that holds the process: somebody waits for the first workers.
    this.#giveUp = clock.after(timeoutMs, () => this.#late())
    for (const url of urls) this.#add(url)
    this.#source = source?.[Symbol.asyncIterator]()
    if (this.#source) void this.#follow(this.#source)
  }

  async #follow(source: AsyncIterator<Whereabouts>): Promise<void> {
    try {
      for (let next = await source.next(); !next.done && !this.#closed; next = await source.next()) {
        this.#heard(next.value)
      }
    } catch (error) {
      const is = asError(error, 'WORKER', 'the list of workers ended: ')
      if (this.#hasJoined) this.#settings.warn(is.message)
      else this.#fail(is)
    }
  }

  /** What makes no sense changes nothing. */
  #heard(change: Whereabouts): void {
    try {
      const [[what, value], ...rest] = Object.entries(change)
      const url = checkUrl(what, value)
      if (rest.length || !['add', 'remove', 'drain'].includes(what)) {
        throw new TypeError(expected('a change', 'one of add, remove, drain', rest.length ? 'several' : what))
      }
      if (what === 'add') this.#add(url)
      else this.#leave(nameOf(url), what as 'remove' | 'drain')
    } catch (error) {
      this.#settings.warn(`the list of workers: ${asError(error, 'WORKER').message}`)
    }
  }

  #add(url: string): void {
    const name = nameOf(url)
    const known = this.#members.get(name)
    if (known?.state === 'leaving') known.again = url
    if (known) return
    if (this.#members.size >= MOST) return this.#settings.warn(`${name} is one server too many: ${MOST} are known`)
    const rest = { outcome: undefined, isMissed: false, again: undefined }
    const member: Member = { url, worker: undefined, state: 'known', ...rest }
    this.#members.set(name, member)
    this.#unheard++
    if (this.#toStart.push([name, member]) === 1) this.#settings.clock.after(0, () => this.#startSome())
  }

  #startSome(): void {
    for (const [name, member] of this.#toStart.splice(0, AT_A_TIME)) void this.#start(name, member)
    if (this.#toStart.length) this.#settings.clock.after(0, () => this.#startSome())
  }

  async #start(name: string, member: Member): Promise<void> {
    if (this.#members.get(name) !== member || this.#closed) return
    try {
      const worker = await HttpWorker.make(member.url, this.#settings)
      if (this.#members.get(name) !== member || this.#closed) return void worker.close()
      member.worker = worker
      worker.onClosed = () => this.#gone(name, member)
      worker.onExamined = (error) => this.#examined(member, error)
      worker.onFailed = () => this.#reconsider()
      if (this.#agreed) worker.expect(this.#agreed)
      void worker.examine()
    } catch (error) {
      this.#fail(asError(error, 'WORKER')) // nothing speaks HTTP here
    }
  }

  /** Its worker, once it is somebody's, is closed by whoever has it. */
  #leave(name: string, how: 'remove' | 'drain'): void {
    const member = this.#members.get(name)
    if (!member) return
    member.again = undefined
    if (member.state === 'leaving') return
    if (member.state === 'joined') {
      member.state = 'leaving'
      this.changes.push(how === 'drain' ? { drain: name } : { remove: name })
      return this.#reconsider()
    }
    this.#members.delete(name)
    if (!member.outcome) this.#unheard--
    for (const group of this.#groups) remove(group, member.worker)
    void member.worker?.close()
    if (!this.#agreed) this.#agree()
  }

  #gone(name: string, member: Member): void {
    if (this.#members.get(name) !== member) return
    this.#members.delete(name)
    this.#joined--
    if (member.again !== undefined && !this.#closed) this.#add(member.again)
  }

  #examined(member: Member, error: ApproxiferError | undefined): void {
    const { outcome, state } = member
    if (!outcome) this.#unheard--
    member.outcome = error ?? 'well'
    if (state !== 'known') return
    if (error && (outcome === 'well' || outcome?.code !== error.code)) {
      member.isMissed = true
      this.#settings.warn(`${error.message}: it is tried again, and joins when it answers`)
    }
    if (!error) member.state = 'waiting'
    if (this.#agreed) return this.#admit(member, this.#agreed)
    if (!error) this.#vote(member.worker as HttpWorker)
    this.#agree()
  }

  #vote(worker: HttpWorker): void {
    const isLike = ([first]: HttpWorker[]) => first && this.#areAlike(first.evidence as Evidence, worker.evidence as Evidence) // biome-ignore format: one line
    const own = this.#groups.find(isLike)
    if (own) own.push(worker)
    else this.#groups.push([worker])
  }

  /** What most of them answer, of equally many those that came first, is what all have to answer; this is settled once. */
  #agree(isLate = false): void {
    const most = this.#groups.reduce((most, group) => (group.length > most.length ? group : most), [])
    if (!most.length && !this.#unheard) this.#hopeless()
    if (!most.length || this.#agreed) return
    if (this.#unheard && most.length <= this.#members.size / 2 && !isLate) {
      this.#unwait ??= this.#settings.clock.after(AGREE_MS, () => this.#agree(true), true)
      return
    }
    this.#unwait?.()
    this.#agreed = most[0].evidence as Evidence
    for (const member of this.#members.values()) this.#admit(member, this.#agreed)
  }

  readonly #areAlike = (one: Evidence, other: Evidence) => {
    const { probe } = this.#settings
    return alike(one, other, probe ? probe.rounding : Number.POSITIVE_INFINITY)
  }

  /** Where nobody is left with the model that was agreed on, that of most others is: those that were refused join. */
  #reconsider(): void {
    const agreed = this.#agreed
    if (!agreed || this.#closed) return
    const fits = (model: Evidence) => JSON.stringify(model.signature) === JSON.stringify(agreed.signature)
    const next = successor(agreed, this.#seen(fits), this.#areAlike)
    if (!next) return this.#isStuck ? undefined : this.#warnIfStuck(agreed)
    this.#agreed = next
    this.#settings.warn(`no server that is there has the fleet's model any more: its model from here on is that of the others, whose answer to the probe query begins ${beginning(next)} instead of ${beginning(agreed)}`) // biome-ignore format: one line
    // What was learned of the old one is forgotten before the first row is answered by the new one.
    this.changes.push({ model: undefined }, () => {
      for (const member of this.#members.values()) this.#admit(member, next)
    })
  }

  /** What is known of the servers' models; those that were lost for long will not come back as they were. */
  *#seen(counts: (model: Evidence) => boolean): Generator<Sighting<Evidence>> {
    for (const { worker, state } of this.#members.values()) {
      const model = worker?.evidence
      if (!worker || !model || state === 'leaving' || !counts(model)) continue
      if (worker.answers || worker.downMs < this.#settings.timeoutMs) yield { model, there: worker.answers }
    }
  }

  #warnIfStuck(agreed: Evidence): void {
    const next = successor(
      agreed,
      this.#seen(() => true),
      this.#areAlike,
    )
    if (!next) return
    this.#isStuck = true
    this.#settings.warn(`no server that is there has the fleet's model any more, and that of the others has other inputs or outputs (${JSON.stringify(next.signature)}): they are refused, since a predictor's are fixed; start another one for them`) // biome-ignore format: one line
  }

  /** It joins if it is well, and answers as agreed. */
  #admit(member: Member, agreed: Evidence): void {
    const { worker } = member
    if (!worker || member.state === 'leaving') return
    worker.expect(agreed)
    if (member.state === 'joined') return
    if (worker.gone) {
      member.state = 'known'
      return
    }
    member.state = 'joined'
    this.#hasJoined = true
    if (member.isMissed) this.#settings.warn(`${worker.name} has joined`)
    this.changes.push({ add: worker })
    if (++this.#joined === this.#members.size) this.#giveUp()
  }

  /** No server can be used, and to ask again will not help. */
  #hopeless(): void {
    const errors = [...this.#members.values()].map(({ outcome }) => outcome as ApproxiferError)
    if (errors.length && errors.every(({ code }) => code === 'MODEL' || code === 'PROTOCOL')) this.#fail(errors[0])
  }

  #late(): void {
    if (this.#hasJoined) return
    const members = [...this.#members.values()]
    const first = members.map(({ outcome }) => outcome).find((outcome) => outcome instanceof ApproxiferError)
    const which = members.length ? `none of ${members.length} servers can be used` : 'no servers are known'
    const why = first ? `: ${first.message}` : ''
    this.#fail(new ApproxiferError('WORKER', `${which} after ${this.#settings.timeoutMs} ms${why}`))
  }

  #fail(error: ApproxiferError): void {
    this.changes.end(error)
    this.#close()
  }

  /** Those that somebody has taken are his. */
  #close(): void {
    this.#closed = true
    this.#giveUp()
    this.#unwait?.()
    this.#source?.return?.()?.catch(() => {})
    const unread = new Set(this.changes.unread.map((change) => 'add' in change && change.add))
    for (const { worker, state } of this.#members.values()) {
      if (worker && ((state !== 'joined' && state !== 'leaving') || unread.has(worker))) void worker.close()
    }
  }
}

/** The first few values of an answer. */
const beginning = ({ answer }: Evidence) =>
  Array.from(answer.subarray(0, 3), (value) => value.toPrecision(4)).join(', ')

function remove<T>(list: T[], item: T | undefined): void {
  const at = list.indexOf(item as T)
  if (at >= 0) list.splice(at, 1)
}
