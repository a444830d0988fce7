import { expect, it } from 'vitest'
import { type Entry, type Promised, violations } from './history'

const promised: Promised = {
  byzantine: 1,
  preset: false,
  answersIn: Number.POSITIVE_INFINITY,
  hangMs: 50,
  limit: 2,
  minConfidence: 0.98,
  hedges: { burst: 10, share: 0.1 },
  rounding: 0.01,
}
const asked = (query: number, at: number, more = {}): Entry => {
  return { at, what: 'asked', query, dueAt: at + 100, policy: 'recover', gives: false, lively: false, ...more }
}
const given = (query: number, at: number, worker: string): Entry => {
  return { at, what: 'given', query, worker, identity: worker, fits: true }
}
const replied = (query: number, at: number, worker: string, lied = false): Entry => {
  return { at, what: 'replied', query, worker, identity: worker, lied }
}
const answered = (query: number, at: number, more = {}): Entry => {
  return { at, what: 'answered', query, status: 'exact', confidence: 1, workers: ['a'], off: 0, label: true, ...more }
}
const over = (at: number, more = {}): Entry => {
  return { at, what: 'over', ended: 1, timers: 0, running: 0, unended: 0, ...more }
}
const proven = [asked(1, 0), given(1, 0, 'a'), given(1, 0, 'b'), replied(1, 5, 'a'), replied(1, 6, 'b'), answered(1, 6)]

it('a history that keeps all is let pass', () => {
  expect(violations({ promised, entries: [...proven, { at: 6, what: 'hedges', sent: 10 }, over(200)] })).toEqual([])
  const sampled = [asked(1, 0), given(1, 0, 'a'), replied(1, 5, 'a', true), answered(1, 6, audited), over(200)]
  expect(violations({ promised: { ...promised, byzantine: 0, sampled: { rate: 1 } }, entries: sampled })).toEqual([])
})

it('an answer that is let pass is used again, and those of a convict are recalled', () => {
  const equal = [...twice({}), reused(), over(200, { ended: 2 })]
  expect(violations({ promised, entries: equal })).toEqual([])
  const entries = [...wrong(1), ...wrong(2), ...wrong(3), convicted, recalled(1, 2, 3), over(200, { ended: 3 })]
  expect(violations({ promised: { ...promised, ...sampled }, entries })).toEqual([])
})

const sent = (kind: string): Entry => ({ at: 0, what: 'sent', exchange: 1, kind })
const told = (status: number): Entry => ({ at: 1, what: 'told', exchange: 1, status, why: '' })
const loads = (what: string) =>
  ({ at: 0, what, unload: 1, running: 0, version: '2', forgotten: [] }) as unknown as Entry
const UNLOADED = 'a model that is unloaded is not served'
const restart = (more: object): Entry => {
  return { at: 7, what: 'restart', state: 'whole', isRefused: false, ejected: [], forgotten: [], ...more }
}

const audited = { status: 'audited', confidence: undefined, off: 9, label: false }

const twice = (more: object, told: object = {}): Entry[] => [
  asked(1, 0, { like: 1, tenant: 'a' }),
  ...proven.slice(1, -1),
  answered(1, 6, { told: '1,2', ...told }),
  asked(2, 9, { like: 1, tenant: 'a', ...more }),
]
const reused = (more = {}) => answered(2, 9, { reused: true, told: '1,2', ...more })
const EQUAL = 'a reused answer is the answer to an equal query'

/** Some are audited of `a`, who lies; then it is convicted. */
const wrong = (query: number, at = query): Entry[] => {
  return [asked(query, at), given(query, at, 'a'), replied(query, at, 'a', true), answered(query, at, { ...audited, id: query })] // biome-ignore format: one line
}
/** One is refused, comes back alone, and is refused again. */
const back = (i: number): Entry[] => {
  const [at, query] = [100 * i, 2 * i + 10]
  const refused = (query: number, at: number): Entry => ({ at, what: 'failed', query, code: 'OVERLOADED', retryMs: 5 })
  return [asked(query, at), refused(query, at), asked(query + 1, at + 5, { before: query }), refused(query + 1, at + 5)]
}
const convicted: Entry = { at: 50, what: 'verdict', identity: 'a', kind: 'ejected' }
const recalled = (...ids: number[]): Entry => ({ at: 50, what: 'recalled', identity: 'a', ids })
const sampled = { byzantine: 0, sampled: { rate: 1 } }

const forged: [line: string, entries: Entry[], more?: Partial<Promised>][] = [
  ['every promise settles', [...proven, asked(2, 7), over(200, { ended: 2 })]],
  ['every promise settles once', [...proven, answered(1, 7)]],
  ['a query ends by its deadline', [asked(1, 0), { at: 101, what: 'failed', query: 1, code: 'DEADLINE' }]],
  [
    'the error DEADLINE comes at the deadline, not before',
    [asked(1, 0), { at: 50, what: 'failed', query: 1, code: 'DEADLINE' }],
  ],
  ['an abort ends its query at once', [asked(1, 0), { at: 5, what: 'left', query: 1 }, { at: 9, what: 'failed', query: 1, code: 'ABORTED' }]], // biome-ignore format: one line
  [
    'only a caller that aborted its query gets ABORTED',
    [asked(1, 0), { at: 9, what: 'failed', query: 1, code: 'ABORTED' }],
  ],
  ['an `exact` answer is the model’s own answer', [...proven.slice(0, -1), answered(1, 6, { off: 0.02 })]],
  [
    'an `exact` answer is the model’s own answer',
    [...proven.slice(0, -1), answered(1, 6, { off: 1e-9 })],
    { byzantine: 0 },
  ],
  [
    'only sampled verification gives audited answers',
    [asked(1, 0), given(1, 0, 'a'), answered(1, 6, audited)],
    { byzantine: 0 },
  ],
  ['an audited answer is one worker’s', [asked(1, 0), given(1, 0, 'a'), answered(1, 6, { ...audited, confidence: 1 })], { byzantine: 0, sampled: { rate: 1 } }], // biome-ignore format: one line
  ['an ejected worker’s answers are not given', [asked(1, 0), given(1, 0, 'a'), replied(1, 1, 'a', true), { at: 2, what: 'verdict', identity: 'a', kind: 'ejected' }, answered(1, 6, audited)], { byzantine: 0, sampled: { rate: 1 } }], // biome-ignore format: one line
  ['every answer has a status', [...proven.slice(0, -1), answered(1, 6, { status: 'sure' })]],
  ['an exact answer is proven by E + 1 workers', [...proven.slice(0, -2), answered(1, 6)]],
  ['an exact answer is proven by E + 1 workers', [asked(1, 0), given(1, 0, 'a'), replied(1, 5, 'a', true), replied(1, 5, 'b', true), answered(1, 6)]], // biome-ignore format: one line
  ['no honest worker is ejected', [...proven, { at: 7, what: 'verdict', identity: 'a', kind: 'ejected' }]],
  ['an ejected worker’s answer proves nothing', [replied(9, 0, 'a', true), { at: 1, what: 'verdict', identity: 'a', kind: 'ejected' }, ...proven.map((entry) => ({ ...entry, at: entry.at + 2 }))]], // biome-ignore format: one line
  ['the policy retry gives no recovery', [asked(1, 0, { policy: 'retry' }), answered(1, 6, { status: 'recovered', workers: [] })]], // biome-ignore format: one line
  ['the policy auto gives only confident recoveries', [asked(1, 0, { policy: 'auto' }), answered(1, 6, { status: 'recovered', workers: [], confidence: 0.97 })]], // biome-ignore format: one line
  ['a query gets OVERLOADED only beyond the limit, or behind others and before its deadline', [asked(1, 0), { at: 0, what: 'failed', query: 1, code: 'OVERLOADED' }]], // biome-ignore format: one line
  ['a query gets OVERLOADED only beyond the limit, or behind others and before its deadline', [asked(1, 0), asked(2, 0), { at: 101, what: 'failed', query: 1, code: 'OVERLOADED' }]], // biome-ignore format: one line
  ['every query is answered while at most S workers are in trouble', [asked(1, 0), asked(2, 0), { at: 0, what: 'failed', query: 1, code: 'OVERLOADED' }], { answersIn: 50 }], // biome-ignore format: one line
  ['queries in flight stay within the limit', [asked(1, 0), asked(2, 0), asked(3, 0), answered(3, 6, { status: 'recovered', workers: [] })]], // biome-ignore format: one line
  ['a worker gets no more calls than its slots', [asked(1, 0), { ...given(1, 0, 'a'), fits: false } as Entry]],
  ['a hung worker is restarted', [asked(1, 0), given(1, 0, 'a'), { at: 52, what: 'hung', worker: 'a', ms: 52, restarts: true }]], // biome-ignore format: one line
  ['a worker that left gets no calls', [asked(1, 0), { at: 1, what: 'leaves', worker: 'a' }, given(1, 2, 'a')]],
  ['without faults every query is answered', [asked(1, 0, { lively: true }), { at: 9, what: 'failed', query: 1, code: 'WORKER' }]], // biome-ignore format: one line
  ['hedges stay within their budget', [...proven, { at: 7, what: 'hedges', sent: 11 }]],
  ['the counts of stats() add up', [...proven, over(200, { ended: 2 })]],
  ['no timer and no call is left at the end', [...proven, over(200, { timers: 1 })]],
  ['an invalid request gets a status 4xx', [sent('nonsense'), told(500)]],
  ['an invalid request gets a status 4xx', [sent('nonsense'), told(429)]],
  ['a response has the status of its cause', [sent('good'), told(400)]],
  ['a response has the status of its cause', [sent('stopped'), told(200)]],
  ['every request has one response', [...proven, sent('good'), over(200)]],
  ['every request has one response', [sent('good'), told(200), told(200)]],
  [UNLOADED, [loads('unloads'), sent('good'), told(200)]],
  [UNLOADED, [loads('unloads'), loads('loads'), sent('good'), told(404)]],
  [UNLOADED, [loads('unloads'), loads('loaded')]],
  ['a request is answered by the model that was served when it came', [sent('good'), loads('loaded'), { ...told(200), version: '2' } as Entry]], // biome-ignore format: one line
  [
    'no query fails because a model is loaded or unloaded',
    [sent('good'), loads('unloads'), { ...told(503), why: 'closed' } as Entry],
  ],
  ['an unload ends after all requests to its model', [sent('good'), loads('unloads'), loads('unloaded'), told(200)]],
  ['a closed gateway answers no more requests', [sent('good'), loads('closes'), loads('closed'), told(200)]],
  ['no timer and no call is left at the end', [loads('unloads'), { ...loads('unloaded'), running: 1 } as Entry]],
  ['an ejected worker stays ejected', [{ ...loads('loaded'), forgotten: ['a'] } as Entry]],
  [
    'an error has one of the codes for callers',
    [asked(1, 0), { at: 9, what: 'failed', query: 1, code: 'the reply is for another' }],
  ],
  ['a model that was replaced gives no more answers', [...proven.slice(0, -1), answered(1, 6, { model: 1 }), asked(2, 7), answered(2, 8)]], // biome-ignore format: one line
  ['a damaged saved state is refused, with a warning', [restart({ state: 'torn' })]],
  ['an ejected worker stays ejected', [restart({ ejected: ['a'], forgotten: ['a'] })]],
  ['a healthy worker does not go missing', [{ at: 7, what: 'missing', worker: 'a' }]],
  [EQUAL, [...twice({ like: 2 }), reused()]],
  [EQUAL, [...twice({ tenant: 'b' }), reused()]],
  [EQUAL, [...twice({}), reused({ told: '1,3' })]],
  [EQUAL, [...twice({}, { status: 'recovered', workers: [] }), reused({ status: 'recovered', workers: [] })]],
  [EQUAL, [...twice({}), { at: 9, what: 'forgets', tenant: 'a' }, reused()]],
  [EQUAL, [...twice({}), { at: 9, what: 'renews' }, reused()]],
  ['wrong answers of an ejected worker are recalled', [...wrong(1), convicted, over(200)], sampled],
  [
    'wrong answers of an ejected worker are recalled',
    [...wrong(1), ...wrong(2), convicted, recalled(2), over(200)],
    sampled,
  ],
  ['only an ejected worker’s answers are recalled', [...wrong(1), asked(2, 2), given(2, 2, 'b'), answered(2, 3, { ...audited, id: 2, workers: ['b'], off: 0, label: true }), convicted, recalled(1, 2), over(200)], sampled], // biome-ignore format: one line
  [
    'a worker that always lies is ejected',
    [...Array.from({ length: 9 }, (_, i) => wrong(i)).flat(), over(200)],
    sampled,
  ],
  [
    'a refused model does not take over',
    [
      { at: 1, what: 'fares', model: 'new', state: 'refused' },
      { at: 2, what: 'fares', model: 'new', state: 'serving' },
    ],
  ],
  [
    'a query that crashed its workers goes to no other worker',
    [asked(1, 0), ...['a', 'b', 'c'].flatMap((worker, i): Entry[] => [given(1, 2 * i, worker), { at: 2 * i + 1, what: 'killed', query: 1, worker }])], // biome-ignore format: one line
    { kills: 2 },
  ],
  [
    'retryMs is the time until the queue is empty',
    [asked(1, 0), asked(2, 0), { at: 0, what: 'failed', query: 2, code: 'OVERLOADED', retryMs: 101 }],
  ],
  [
    'a caller that comes back after retryMs is admitted',
    [...Array.from({ length: 8 }, (_, i) => back(i)).flat(), over(900)],
    { limit: 100 },
  ],
  [
    'few checked answers are wrong',
    [...Array.from({ length: 9 }, (_, i) => [asked(i, i), answered(i, i, { status: 'checked', confidence: 0.98, label: i < 3 })]).flat(), over(200)], // biome-ignore format: one line
  ],
  ['each query and each attempt has one end event', [...proven, over(200, { unended: 1 })]],
]

it.each(forged)('a forged history breaks "%s"', (line, entries, more = {}) => {
  const broken = violations({ promised: { ...promised, ...more }, entries })
  expect(broken.map((sentence) => sentence.slice(0, sentence.lastIndexOf(', at ')))).toContain(line)
})
