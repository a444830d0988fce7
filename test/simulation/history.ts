/**
 * A history of what was asked, answered and known, and a checker that knows nothing of the code: it says which lines of "What is
 * guaranteed" (docs/reference/guarantees.md) a history breaks.
 */

import { Audited } from './audited'
import { Checked } from './checked'
import type { Entry, History, Promised } from './entries'
import { Exchanges } from './exchanges'
import { Returning } from './returning'
import { Reused } from './reused'
import { Strangers } from './strangers'

export type { Entry, History, Promised }

/** A clock in floating point. */
const TICK = 1e-6
/** A timer in whole milliseconds. */
const TIMER_MS = 1 // of real ones, twice: also what has passed since the loop looked at its clock

/** Wrong answers of the first span of a ledger, which each further one has twice as many of; and what is too many of them. */
const FIRST_BUDGET = 20
const MUCH = 3

/** Of the limit, from where on a caller may be refused for how many of its queries are under way. */
const CROWDED = 0.9

const STATUSES = new Set(['exact', 'checked', 'recovered', 'remembered', 'unverified', 'audited'])

interface Asking {
  at: number
  dueAt: number
  policy: string
  gives: boolean
  lively: boolean
  /** Whether others were under way. */
  isBehind: boolean
  /** Whether another was equal, which then has the same `replied`. */
  isEqual: boolean
  /** How many were under way with it, but for those that ended in the moment that it came in. */
  underWay: number
  leftAt?: number
  ended?: number
  /** Identities that answered it so far, those of them that lied, and the labels that they told. */
  replied: Map<string, { lied: boolean; says: number | undefined }>
  stranger?: string
}

/** Sentences, one for each break. */
export function violations({ promised, entries }: History): string[] {
  const checker = new Checker(promised)
  for (const entry of entries) checker.take(entry)
  return checker.broken
}

class Checker {
  readonly broken: string[] = []
  readonly #promised: Promised
  readonly #tick: number
  readonly #queries = new Map<number, Asking>()
  /** By name; a name may be another's later. */
  readonly #identities = new Map<string, string>()
  /** Names of those that left, and when. */
  readonly #gone = new Map<string, number>()
  readonly #liars = new Set<string>()
  /** And since when. */
  readonly #ejected = new Map<string, number>()
  readonly #refused = new Set<string>()
  readonly #exchanges = new Exchanges((at, line, why) => this.#breaks(at, line, why))
  /** The newest model whose answer was given as exact, and when first. */
  #newest = { model: 0, at: 0 }
  readonly #reused: Reused
  readonly #audits: Audited
  readonly #strangers = new Strangers((at, line, why) => this.#breaks(at, line, why))
  readonly #checked = new Checked()
  readonly #returning: Returning
  /** Of each query that takes workers down: how many, and when the last that it may. */
  readonly #kills = new Map<number, { count: number; enoughAt: number }>()
  readonly #stalls: { at: number; ms: number }[] = []
  #open = 0
  /** Those that came in this moment, in their order. */
  #latest: Asking[] = []
  /** Answers that no worker gave, of those that were wrong. */
  #wrong = 0

  constructor(promised: Promised) {
    this.#promised = promised
    this.#tick = promised.slackMs ?? promised.turnMs ?? TICK
    const { rounding, sampled } = promised
    const breaks = (at: number, line: string, why: string) => this.#breaks(at, line, why)
    this.#returning = new Returning(this.#tick, promised.hangMs, breaks)
    const { maxError, isRolled = false, turnMs = 0 } = promised
    this.#reused = new Reused({ isRemembered: Boolean(maxError), isCompared: isRolled, turnMs }, breaks)
    this.#audits = new Audited(sampled && { ...sampled, rounding, tick: this.#tick }, breaks)
  }

  take(entry: Entry): void {
    switch (entry.what) {
      case 'asked':
        return this.#asked(entry)
      case 'left':
        return void Object.assign(this.#of(entry.query) ?? {}, { leftAt: entry.at })
      case 'joins':
        return void this.#gone.delete(entry.worker)
      case 'leaves':
        return void this.#gone.set(entry.worker, entry.at)
      case 'given':
        return this.#given(entry)
      case 'replied':
        return this.#replied(entry)
      case 'killed':
        return this.#killed(entry)
      case 'hung':
        return this.#hung(entry)
      case 'answered':
        return this.#answered(entry)
      case 'failed':
        return this.#failed(entry)
      case 'verdict':
        return this.#verdict(entry)
      case 'sent':
      case 'told':
      case 'loads':
      case 'unloads':
      case 'unloaded':
      case 'closes':
      case 'closed':
        return this.#exchanges.take(entry)
      case 'loaded':
        this.#stayEjected(entry)
        return this.#exchanges.take(entry)
      case 'recalled':
        return this.#audits.recalled(entry)
      case 'forgets':
        return this.#reused.forgets(entry.tenant)
      case 'renews':
        this.#kills.clear() // what is under way is asked again, of another model
        this.#audits.renews()
        return this.#reused.renews()
      case 'missing':
        return this.#breaks(entry.at, 'a healthy worker does not go missing', entry.worker)
      case 'fares':
        return this.#fares(entry)
      case 'restart':
        return this.#restart(entry)
      case 'stalled':
        return void this.#stalls.push(entry)
      case 'hedges':
        return this.#hedges(entry)
      case 'over':
        return this.#over(entry)
    }
  }

  #breaks(at: number, line: string, why: string): void {
    this.broken.push(`${line}, at ${at.toFixed(3)} ms: ${why}`)
  }

  #of(query: number | undefined): Asking | undefined {
    return query === undefined ? undefined : this.#queries.get(query)
  }

  #asked(entry: Entry & { what: 'asked' }): void {
    const { at, query, dueAt, policy, gives, lively, like = query } = entry
    this.#reused.asked(entry)
    this.#returning.asked(entry)
    if (this.#queries.has(query)) this.#breaks(at, 'the history', `query ${query} is asked twice`)
    const isBehind = this.#open > 0
    const replied = this.#of(like)?.replied ?? new Map()
    const asking = { at, dueAt, policy, gives, lively, isBehind, underWay: ++this.#open, isEqual: like !== query, replied } // biome-ignore format: one line
    this.#queries.set(query, asking)
    if (this.#latest[0]?.at !== at) this.#latest = []
    this.#latest.push(asking)
  }

  #given({ at, query, worker, identity, fits }: Entry & { what: 'given' }): void {
    const asking = this.#promised.open?.own === identity ? undefined : this.#of(query)
    if (asking && this.#promised.open && (asking.stranger ??= identity) !== identity) this.#breaks(at, 'a query is seen by one untrusted worker at most', `query ${query}`) // biome-ignore format: one line
    this.#identities.set(worker, identity)
    if (at > (this.#kills.get(query ?? Number.NaN)?.enoughAt ?? at) + this.#tick)
      this.#breaks(at, 'a query that crashed its workers goes to no other worker', `query ${query}, ${worker}`)
    if (!fits) this.#breaks(at, 'a worker gets no more calls than its slots', worker)
    if (at > (this.#gone.get(worker) ?? at) + this.#tick) this.#breaks(at, 'a worker that left gets no calls', worker)
  }

  /** What an ejected one does proves nothing: it is only tried. */
  #killed({ at, query, worker, isLeaving }: Entry & { what: 'killed' }): void {
    if (query === undefined || isLeaving || this.#ejected.has(this.#identities.get(worker) ?? '')) return
    const kills = this.#kills.get(query) ?? { count: 0, enoughAt: Number.POSITIVE_INFINITY }
    this.#kills.set(query, kills)
    if (++kills.count === this.#promised.kills) kills.enoughAt = at
  }

  #replied({ query, identity, lied, isNear, says }: Entry & { what: 'replied' }): void {
    if (lied) this.#liars.add(identity)
    this.#strangers.replied(identity, lied && !isNear)
    const asking = this.#of(query)
    asking?.replied.set(identity, { lied: lied || asking.replied.get(identity)?.lied === true, says })
  }

  #hung({ at, worker, ms, restarts }: Entry & { what: 'hung' }): void {
    const { hangMs, turnMs = 0 } = this.#promised
    if (restarts && ms - this.#awayMs(at - ms) > hangMs + TIMER_MS + turnMs) this.#breaks(at, 'a hung worker is restarted', `${worker} was at it for ${ms.toFixed(3)} ms`) // biome-ignore format: one line
  }

  /** A promise settles once, by its deadline; at once for who leaves. */
  #ends(at: number, query: number): Asking | undefined {
    const asking = this.#of(query)
    if (!asking) this.#breaks(at, 'the history', `query ${query} ends and was never asked`)
    if (!asking) return undefined
    if (asking.ended !== undefined) this.#breaks(at, 'every promise settles once', `query ${query} ends again`)
    const { overtimeMs = 0 } = this.#promised
    if (this.#isLate(at - overtimeMs, asking.dueAt)) this.#breaks(at, 'a query ends by its deadline', `query ${query} was due at ${asking.dueAt.toFixed(3)}`) // biome-ignore format: one line
    if (asking.leftAt !== undefined && this.#isLate(at, asking.leftAt)) {
      this.#breaks(at, 'an abort ends its query at once', `query ${query} was left at ${asking.leftAt.toFixed(3)}`)
    }
    asking.ended = at
    this.#open--
    const first =
      at === asking.at ? this.#latest.indexOf(asking) : this.#latest[0]?.at === at ? -1 : this.#latest.length
    for (const other of this.#latest.slice(first + 1)) other.underWay--
    return asking
  }

  /** Beyond what the machine was away for. */
  #isLate(at: number, due: number): boolean {
    return at > due + this.#awayMs(due) + this.#tick
  }

  /** For how long the machine was away since then. */
  #awayMs(since: number): number {
    let away = 0
    for (let i = this.#stalls.length - 1; i >= 0 && this.#stalls[i].at > since; i--) away += this.#stalls[i].ms
    return away
  }

  /** Of a query that is not refused. Those that fail at once, since nobody can be reached, are heard of after others were let in. */
  #isIn(at: number, query: number, { underWay, at: since }: Asking): void {
    if (underWay > this.#promised.limit && at > since)
      this.#breaks(at, 'queries in flight stay within the limit', `query ${query}`)
  }

  #answered(entry: Entry & { what: 'answered' }): void {
    const { at, query, status, confidence, workers, off, label, model = 0 } = entry
    const asking = this.#ends(at, query)
    if (!asking) return
    this.#isIn(at, query, asking)
    const { byzantine, rounding, minConfidence, preset, maxError = 0, open } = this.#promised
    if (asking.leftAt !== undefined)
      this.#breaks(at, 'an abort ends its query', `query ${query} was left, and answered`)
    if (!STATUSES.has(status)) this.#breaks(at, 'every answer has a status', `query ${query}: ${status}`)
    if (open)
      this.#strangers.answered(entry, this.#identities.get(workers[0]) as string, { ...open, rounding, queries: this.#queries.size }) // biome-ignore format: one line
    else if (status === 'exact' && off > (byzantine ? rounding : 0)) {
      this.#breaks(at, 'an `exact` answer is the model’s own answer', `query ${query} is off by ${off}`)
    }
    if (status === 'exact' && !this.#promised.isRolled) this.#isNew(at, query, asking, model)
    if (status === 'exact' && byzantine && !preset && !entry.reused) this.#proven(at, query, asking)
    if (status === 'recovered' && !preset) this.#recovered(at, query, asking, confidence, minConfidence)
    if (status === 'recovered' && !preset && byzantine && !asking.isEqual) this.#contradicted(entry, asking)
    if (status === 'remembered' || (status === 'recovered' && maxError)) this.#unasked(at, query, label)
    if (status === 'checked' && !byzantine)
      this.#breaks(at, 'checked answers are given only where workers may lie', `query ${query} is`)
    this.#checked.answered(entry)
    this.#reused.answered(entry)
    if (!open) this.#audits.answered(entry, workers.map((name) => this.#identities.get(name) ?? name)) // biome-ignore format: one line
    for (const worker of workers) {
      const identity = this.#identities.get(worker)
      if (identity === undefined) this.#breaks(at, 'every answer comes from workers', `${worker} never had a query`)
      if (status === 'exact' && identity !== undefined && byzantine && this.#isEjected(identity, at)) {
        this.#breaks(at, 'an ejected worker’s answer proves nothing', `query ${query} is answered by ${worker}`)
      }
    }
    if (status === 'exact' && !label && off === 0) this.#breaks(at, 'the history', `query ${query} contradicts itself`)
  }

  /** A coin allows for more in one span of twenty, for so many more in one of ten thousand. */
  #unasked(at: number, query: number, isRight: boolean): void {
    const { maxError = 0, ledgers = 1 } = this.#promised
    this.#wrong += Number(!isRight)
    if (!maxError) this.#breaks(at, 'the memory answers only if that is allowed', `query ${query} is`)
    const [first, answers] = [FIRST_BUDGET / maxError, this.#queries.size]
    const spans = Math.ceil(Math.log2(answers / first + 1))
    const allowed = FIRST_BUDGET * (2 ** Math.max(1, spans) - 1)
    if (this.#wrong > MUCH * ledgers * allowed) this.#breaks(at, 'few answers of the memory are wrong', `${this.#wrong} of ${answers}`) // biome-ignore format: one line
  }

  /** Who asks after the first answer of a new model gets none of an old one. */
  #isNew(at: number, query: number, asking: Asking, model: number): void {
    if (model > this.#newest.model) this.#newest = { model, at }
    else if (model < this.#newest.model && asking.at > this.#newest.at + TICK)
      this.#breaks(
        at,
        'a model that was replaced gives no more answers',
        `query ${query} has an answer of model ${model}`,
      )
  }

  /** An answer that was given at that moment is heard of after the verdict. */
  #isEjected(identity: string, at: number): boolean {
    return at > (this.#ejected.get(identity) ?? at) + this.#tick
  }

  #proven(at: number, query: number, { replied }: Asking): void {
    const { byzantine } = this.#promised
    if (replied.size < byzantine + 1) {
      this.#breaks(at, 'an exact answer is proven by E + 1 workers', `query ${query} was answered by ${replied.size}`)
    }
    if ([...replied.values()].every(({ lied }) => lied)) {
      this.#breaks(at, 'an exact answer is proven by E + 1 workers', `query ${query} was answered by liars alone`)
    }
  }

  #recovered(
    at: number,
    query: number,
    { policy, gives, dueAt }: Asking,
    confidence: number | undefined,
    least: number,
  ): void {
    if (policy === 'retry') this.#breaks(at, 'the policy retry gives no recovery', `query ${query} is`)
    const isSure =
      (confidence ?? 0) >= least || policy === 'recover' || (gives && at >= dueAt - TICK - (this.#promised.turnMs ?? 0))
    if (!isSure)
      this.#breaks(
        at,
        'the policy auto gives only confident recoveries',
        `query ${query} has a confidence of ${confidence}`,
      )
  }

  /** By a worker that is believed. */
  #contradicted({ at, query, says }: Entry & { what: 'answered' }, { replied }: Asking): void {
    for (const [identity, reply] of replied) {
      if (this.#ejected.has(identity) || reply.says === says) continue
      this.#breaks(at, 'a recovery that an answer contradicts is not given', `query ${query}, by ${identity}`)
    }
  }

  #failed(entry: Entry & { what: 'failed' }): void {
    const { at, query, code } = entry
    const open = this.#open
    this.#reused.failed(query)
    const asking = this.#ends(at, query)
    if (!asking) return
    const { limit } = this.#promised
    this.#returning.failed(entry, asking.at, open >= CROWDED * limit)
    if (code !== 'OVERLOADED' && code !== 'ABORTED') this.#isIn(at, query, asking)
    if (asking.lively) this.#breaks(at, 'without faults every query is answered', `query ${query}: ${code}`)
    const isBeyond = open > limit && at <= asking.at + this.#tick
    const isLost = ['QUORUM', 'WORKER', 'DEADLINE'].includes(code) || (code === 'OVERLOADED' && !isBeyond)
    if (isLost && asking.dueAt - asking.at > this.#promised.answersIn - TICK) {
      this.#breaks(at, 'every query is answered while at most S workers are in trouble', `query ${query}: ${code}`)
    }
    const { slackMs, turnMs = 0, overtimeMs = 0 } = this.#promised
    if (code === 'DEADLINE' && at < asking.dueAt - TIMER_MS * (slackMs ? 2 : 1) - turnMs)
      this.#breaks(
        at,
        'the error DEADLINE comes at the deadline, not before',
        `query ${query}, ${(asking.dueAt - at).toFixed(3)} ms before`,
      )
    if (code === 'ABORTED' && asking.leftAt === undefined)
      this.#breaks(at, 'only a caller that aborted its query gets ABORTED', `query ${query}`)
    const isAlone = open < 2 && !asking.isBehind && asking.dueAt - asking.at > this.#promised.hangMs
    if (code === 'OVERLOADED' && !isBeyond && (isAlone || this.#isLate(at - turnMs - overtimeMs, asking.dueAt))) {
      this.#breaks(at, 'a query gets OVERLOADED only beyond the limit, or behind others and before its deadline', `query ${query}, with ${open - 1} others`) // biome-ignore format: one line
    }
    if (code === 'PROTOCOL' || code === 'MODEL' || !/^[A-Z]+$/.test(code))
      this.#breaks(at, 'an error has one of the codes for callers', `query ${query}: ${code}`)
  }

  #verdict({ at, identity, kind }: Entry & { what: 'verdict' }): void {
    if (kind === 'ejected' || kind === 'deviant') {
      this.#ejected.set(identity, at)
      this.#audits.convicted(at, identity)
    }
    if (kind === 'readmitted') this.#ejected.delete(identity)
    if (kind !== 'readmitted' && !this.#liars.has(identity)) {
      this.#breaks(at, 'no honest worker is ejected', `${identity} never lied`)
    }
  }

  #fares({ at, model, state }: Entry & { what: 'fares' }): void {
    if (state === 'refused') this.#refused.add(model)
    if (state === 'gone') this.#refused.delete(model)
    if (state === 'serving' && this.#refused.has(model)) this.#breaks(at, 'a refused model does not take over', model)
  }

  /** Who was ejected when it was saved is ejected still. */
  #restart({ at, state, isRefused, ejected, forgotten }: Entry & { what: 'restart' }): void {
    if (state === 'torn' && !isRefused)
      this.#breaks(at, 'a damaged saved state is refused, with a warning', 'it was taken')
    this.#stayEjected({ at, forgotten })
    this.#ejected.clear()
    this.#reused.renews()
    for (const identity of ejected) this.#ejected.set(identity, at)
  }

  #stayEjected({ at, forgotten }: { at: number; forgotten: readonly string[] }): void {
    for (const identity of forgotten) this.#breaks(at, 'an ejected worker stays ejected', identity)
  }

  #hedges({ at, sent }: Entry & { what: 'hedges' }): void {
    const { burst, share } = this.#promised.hedges
    const most = share ? burst + share * this.#queries.size : 0
    if (sent > most + TICK) this.#breaks(at, 'hedges stay within their budget', `${sent} of ${most}`)
  }

  #over({ at, ended, timers, running, unended }: Entry & { what: 'over' }): void {
    for (const [query, { ended: end }] of this.#queries) {
      if (end === undefined) this.#breaks(at, 'every promise settles', `query ${query} has no end`)
    }
    this.#exchanges.over(at)
    this.#audits.over(at)
    this.#returning.over(at)
    const { wrong, expected, answers, isTooWrong } = this.#checked
    if (isTooWrong) this.#breaks(at, 'few checked answers are wrong', `${wrong} of ${answers}, promised ${expected.toFixed(2)}`) // biome-ignore format: one line
    if (ended !== undefined && ended !== this.#queries.size)
      this.#breaks(at, 'the counts of stats() add up', `${ended} of ${this.#queries.size} queries`)
    if (timers) this.#breaks(at, 'no timer and no call is left at the end', `${timers} timers`)
    if (running) this.#breaks(at, 'no timer and no call is left at the end', `${running} calls`)
    if (unended) this.#breaks(at, 'each query and each attempt has one end event', `${unended} are not`)
  }
}
