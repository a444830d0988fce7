import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/criterion'
import { agree, agreement, type Equality, first, isLie } from '../../src/query/acceptance'
import { payloadOf } from '../shared/vectors'

/** Numbers without labels: what is within .001 is the same, what is more than .003 off is no rounding. */
const numbers: Equality = { criterion: criterionOf([{ name: 'y', shape: [1] }], {}), rounding: 0.001, deviation: 1 }
/** Logits, of which the largest is the label. */
const labels: Equality = { ...numbers, criterion: criterionOf([{ name: 'y', shape: [2] }], {}) }
const answers = (...values: number[]) => values.map((y) => payloadOf(Float32Array.of(y)))

describe('where nobody lies the first answer will do', () => {
  it('and one is lacking until it has come', () => {
    expect(first.needed).toBe(1)
    expect(first.judge([], numbers)).toEqual({ agreeing: [], isProven: false, lies: [], lacking: 1 })
    const one = { agreeing: [0], isProven: true, lies: [], lacking: 0 }
    expect(first.judge(answers(1), numbers)).toEqual(one)
    expect(first.judge(answers(1, 9), numbers)).toEqual(one)
  })
})

describe('where E may lie E + 1 have to agree', () => {
  it.each([
    [1, [], { agreeing: [], isProven: false, lies: [], lacking: 2 }],
    [1, [5], { agreeing: [0], isProven: false, lies: [], lacking: 1 }],
    [1, [5, 5], { agreeing: [0, 1], isProven: true, lies: [], lacking: 0 }],
    [1, [5, 9], { agreeing: [0], isProven: false, lies: [], lacking: 1 }],
    [1, [9, 5, 5], { agreeing: [1, 2], isProven: true, lies: [0], lacking: 0 }],
    [1, [5, 9, 5, 7], { agreeing: [0, 2], isProven: true, lies: [1, 3], lacking: 0 }],
    [2, [5, 5], { agreeing: [0, 1], isProven: false, lies: [], lacking: 1 }],
    [2, [9, 9, 5, 5, 5], { agreeing: [2, 3, 4], isProven: true, lies: [0, 1], lacking: 0 }],
    [2, [9, 9, 5, 5], { agreeing: [0, 1], isProven: false, lies: [], lacking: 1 }], // who of two lies nobody can say
    [3, [5, 5, 5, 5, 5], { agreeing: [0, 1, 2, 3, 4], isProven: true, lies: [], lacking: 0 }],
  ])('E = %d, answers %j', (liars, values, judgement) => {
    expect(agreement(liars).needed).toBe(liars + 1)
    expect(agreement(liars).judge(answers(...values), numbers)).toEqual(judgement)
  })

  it('all who agree have to do so with one another, not each with the next', () => {
    const { agreeing, isProven } = agreement(2).judge(answers(0, 0.0008, 0.0016), numbers)
    expect([agreeing, isProven]).toEqual([[0, 1], false])
    expect(agreement(2).judge(answers(0.0008, 0, 0.0016), numbers).agreeing).toEqual([0, 1]) // nor each with the first
  })

  it('the largest set counts, wherever it begins', () => {
    expect(agreement(1).judge(answers(1, 2, 3, 3), numbers).agreeing).toEqual([2, 3])
    expect(agreement(1).judge(answers(1, 1, 3, 3), numbers).agreeing).toEqual([0, 1])
  })

  it('an answer that only one of those who agree is far from is no lie, also where no liar is expected', () => {
    const lies = (...values: number[]) => agreement(0).judge(answers(...values), numbers).lies
    expect([lies(0, 0.0009, 0.0035), lies(0, 0.0009, 0.0045)]).toEqual([[], [2]])
  })

  it('what is a little off is neither right nor a lie', () => {
    const { agreeing, lies } = agreement(1).judge(answers(0, 0, 0.002), numbers)
    expect([agreeing, lies]).toEqual([[0, 1], []])
  })
})

describe('two answers are the same', () => {
  const pair = (a: number[], b: number[], equality: Equality) =>
    [agree, isLie].map((is) => is(payloadOf(Float32Array.from(a)), payloadOf(Float32Array.from(b)), equality))

  it('up to rounding, by how much answers differ; far from that one is a lie', () => {
    expect(pair([10], [10.0009], numbers)).toEqual([true, false])
    expect(pair([10], [10.002], numbers)).toEqual([false, false])
    expect(pair([10], [10.0045], numbers)).toEqual([false, true])
    expect(pair([10], [10.0045], { ...numbers, rounding: 0.01 })).toEqual([true, false])
  })

  it('only where their labels are, too', () => {
    expect(pair([1, 1.0004], [1.0004, 1], labels)).toEqual([false, false])
    expect(pair([1, 1.0004], [1, 1.0008], labels)).toEqual([true, false])
  })

  it('by their size where answers hardly differ, as to one query again and again', () => {
    const same = { ...numbers, deviation: 1e-9 }
    expect(pair([10], [10.0009], same)).toEqual([true, false])
    expect(pair([10], [10.1], same)).toEqual([false, true])
  })

  it('by the smaller one’s size: no answer may decide by its own what is the same for others', () => {
    const unknown = { ...labels, deviation: undefined }
    expect(pair([0, 1], [0, 1000], unknown)[0]).toBe(false)
    expect(pair([0, 1000], [0, 1], unknown)[0]).toBe(false)
    const rough = { ...numbers, rounding: 0.5, deviation: undefined }
    expect([pair([1], [1.6], rough)[0], pair([1.6], [1], rough)[0]]).toEqual([false, false]) // half of 1.6 is more
    expect(pair([1], [1.4], rough)[0]).toBe(true)
  })

  it('before it is known how much they differ, only a label makes a lie of what is very far off', () => {
    const unknown = { ...numbers, deviation: undefined }
    expect(pair([1], [1.0005], unknown)).toEqual([true, false])
    expect(pair([1], [100], unknown)).toEqual([false, false])
    const labelled = { ...labels, deviation: undefined }
    expect(pair([0, 1], [0, 1.01], labelled)).toEqual([false, false])
    expect(pair([0, 1], [0, 1.1], labelled)).toEqual([false, true])
  })
})
