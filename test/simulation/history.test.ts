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
  return { at, what: 'over', ended: 1, timers: 0, running: 0, unreported: 0, ...more }
}
const proven = [asked(1, 0), given(1, 0, 'a'), given(1, 0, 'b'), replied(1, 5, 'a'), replied(1, 6, 'b'), answered(1, 6)]

it('a history that keeps all is let pass', () => {
  expect(violations({ promised, entries: [...proven, { at: 6, what: 'hedges', sent: 10 }, over(200)] })).toEqual([])
  const sampled = [asked(1, 0), given(1, 0, 'a'), replied(1, 5, 'a', true), answered(1, 6, audited), over(200)]
  expect(
    violations({ promised: { ...promised, byzantine: 0, sampled: { rate: 1, retention: 2 } }, entries: sampled }),
  ).toEqual([])
})

const sent = (kind: string): Entry => ({ at: 0, what: 'sent', exchange: 1, kind })
const told = (status: number): Entry => ({ at: 1, what: 'told', exchange: 1, status, why: '' })
const restart = (more: object): Entry => {
  return { at: 7, what: 'restart', state: 'whole', isRefused: false, ejected: [], forgotten: [], ...more }
}

const audited = { status: 'audited', confidence: undefined, off: 9, label: false }

const forged: [line: string, entries: Entry[], more?: Partial<Promised>][] = [
  ['every promise settles', [...proven, asked(2, 7), over(200, { ended: 2 })]],
  ['every promise settles once', [...proven, answered(1, 7)]],
  ['a deadline holds', [asked(1, 0), { at: 101, what: 'failed', query: 1, code: 'DEADLINE' }]],
  ['DEADLINE comes at the deadline', [asked(1, 0), { at: 50, what: 'failed', query: 1, code: 'DEADLINE' }]],
  ['an abort ends a query at once', [asked(1, 0), { at: 5, what: 'left', query: 1 }, { at: 9, what: 'failed', query: 1, code: 'ABORTED' }]], // biome-ignore format: one line
  ['ABORTED is for who left', [asked(1, 0), { at: 9, what: 'failed', query: 1, code: 'ABORTED' }]],
  ['exact is the model’s own answer', [...proven.slice(0, -1), answered(1, 6, { off: 0.02 })]],
  ['exact is the model’s own answer', [...proven.slice(0, -1), answered(1, 6, { off: 1e-9 })], { byzantine: 0 }],
  [
    'audited is for answers that are sampled',
    [asked(1, 0), given(1, 0, 'a'), answered(1, 6, audited)],
    { byzantine: 0 },
  ],
  ['audited is one worker’s word', [asked(1, 0), given(1, 0, 'a'), answered(1, 6, { ...audited, confidence: 1 })], { byzantine: 0, sampled: { rate: 1, retention: 2 } }], // biome-ignore format: one line
  ['a convict’s answers are not given', [asked(1, 0), given(1, 0, 'a'), replied(1, 1, 'a', true), { at: 2, what: 'verdict', identity: 'a', kind: 'ejected' }, answered(1, 6, audited)], { byzantine: 0, sampled: { rate: 1, retention: 2 } }], // biome-ignore format: one line
  ['an answer has a status', [...proven.slice(0, -1), answered(1, 6, { status: 'sure' })]],
  ['exact is proven by E + 1', [...proven.slice(0, -2), answered(1, 6)]],
  ['exact is proven by E + 1', [asked(1, 0), given(1, 0, 'a'), replied(1, 5, 'a', true), replied(1, 5, 'b', true), answered(1, 6)]], // biome-ignore format: one line
  ['nobody honest is ejected', [...proven, { at: 7, what: 'verdict', identity: 'a', kind: 'ejected' }]],
  ['who is ejected is not believed', [replied(9, 0, 'a', true), { at: 1, what: 'verdict', identity: 'a', kind: 'ejected' }, ...proven.map((entry) => ({ ...entry, at: entry.at + 2 }))]], // biome-ignore format: one line
  ['retry gives nothing that is recovered', [asked(1, 0, { policy: 'retry' }), answered(1, 6, { status: 'recovered', workers: [] })]], // biome-ignore format: one line
  ['auto gives what is sure', [asked(1, 0, { policy: 'auto' }), answered(1, 6, { status: 'recovered', workers: [], confidence: 0.97 })]], // biome-ignore format: one line
  ['OVERLOADED beyond the limit, or behind others before the deadline', [asked(1, 0), { at: 0, what: 'failed', query: 1, code: 'OVERLOADED' }]], // biome-ignore format: one line
  ['OVERLOADED beyond the limit, or behind others before the deadline', [asked(1, 0), asked(2, 0), { at: 101, what: 'failed', query: 1, code: 'OVERLOADED' }]], // biome-ignore format: one line
  ['every query is answered while at most S workers are in trouble', [asked(1, 0), asked(2, 0), { at: 0, what: 'failed', query: 1, code: 'OVERLOADED' }], { answersIn: 50 }], // biome-ignore format: one line
  ['no more than the limit are under way', [asked(1, 0), asked(2, 0), asked(3, 0), answered(3, 6, { status: 'recovered', workers: [] })]], // biome-ignore format: one line
  ['a worker gets no more than it takes', [asked(1, 0), { ...given(1, 0, 'a'), fits: false } as Entry]],
  ['who hangs is restarted', [asked(1, 0), given(1, 0, 'a'), { at: 52, what: 'hung', worker: 'a', ms: 52, restarts: true }]], // biome-ignore format: one line
  ['who has left gets nothing', [asked(1, 0), { at: 1, what: 'leaves', worker: 'a' }, given(1, 2, 'a')]],
  ['where all is well queries are answered', [asked(1, 0, { lively: true }), { at: 9, what: 'failed', query: 1, code: 'WORKER' }]], // biome-ignore format: one line
  ['hedges keep to their budget', [...proven, { at: 7, what: 'hedges', sent: 11 }]],
  ['stats add up', [...proven, over(200, { ended: 2 })]],
  ['nothing is left', [...proven, over(200, { timers: 1 })]],
  ['nonsense gets a 4xx', [sent('nonsense'), told(500)]],
  ['nonsense gets a 4xx', [sent('nonsense'), told(429)]],
  ['a status says what it means', [sent('good'), told(400)]],
  ['a status says what it means', [sent('stopped'), told(200)]],
  ['every request has one response', [...proven, sent('good'), over(200)]],
  ['every request has one response', [sent('good'), told(200), told(200)]],
  ['errors are what they say', [asked(1, 0), { at: 9, what: 'failed', query: 1, code: 'the reply is for another' }]],
  ['a model that was replaced answers no more', [...proven.slice(0, -1), answered(1, 6, { model: 1 }), asked(2, 7), answered(2, 8)]], // biome-ignore format: one line
  ['a state that is torn is refused, with a warning', [restart({ state: 'torn' })]],
  ['who was ejected stays ejected', [restart({ ejected: ['a'], forgotten: ['a'] })]],
  ['who is well is there', [{ at: 7, what: 'missing', worker: 'a' }]],
  ['every group is reported', [...proven, over(200, { unreported: 1 })]],
]

it.each(forged)('a forged history breaks "%s"', (line, entries, more = {}) => {
  const broken = violations({ promised: { ...promised, ...more }, entries })
  expect(broken.map((sentence) => sentence.slice(0, sentence.lastIndexOf(', at ')))).toContain(line)
})
