import { Codec, type Core, loadCore } from 'approxifer/codec'
import { describe, expect, it, vi } from 'vitest'

const core = await loadCore()
const row = (...values: number[]) => Float32Array.from(values)

/** A group of 1-dimensional queries, answered by f. */
function answered(codec: Codec, queries: number[], f: (x: number) => number, lost: number[] = []) {
  const group = codec.open()
  for (const query of queries) group.join(row(query))
  const rows = group.close()
  for (const coded of rows) if (!lost.includes(coded.index)) group.add(coded, row(f(coded.data[0])))
  return { group, rows }
}

describe('Group', () => {
  it('recovers constants exactly whatever is lost: weights sum to 1', () => {
    const codec = new Codec(core, { queries: 4, stragglers: 2, code: 'berrut' })
    for (let a = 0; a < 6; a++) {
      for (let b = 0; b < a; b++) {
        const { group } = answered(codec, [1, 2, 3, 4], () => 7, [a, b])
        expect(group.survivors.length).toBe(4)
        for (const { answer } of group.recover()) expect(answer[0]).toBeCloseTo(7, 5)
      }
    }
  })

  it('decode weights are remembered by what was mixed, not only by who survived', () => {
    const options = { queries: 4, stragglers: 1, code: 'systematic', decoder: 'least-squares' } as const
    const recovered = (codec: Codec, mix: number[]) => {
      const group = codec.open()
      for (const query of [1, 2, 3, 9]) group.join(row(query))
      const own = [...group.ready]
      const [parity] = group.close(mix)
      for (const coded of [...own.slice(0, 3), parity]) group.add(coded, row(coded.data[0]))
      return group.recover()[0].answer[0]
    }
    const codec = new Codec(core, options)
    for (const mix of [
      [0, 1, 2, 3],
      [2, 3],
      [0, 3],
    ]) {
      expect(recovered(codec, mix)).toBe(recovered(new Codec(core, options), mix))
      expect(recovered(codec, mix)).toBeCloseTo(9, 3)
    }
  })

  it('one loss too many is a QUORUM error', () => {
    const { group } = answered(
      new Codec(core, { queries: 4, stragglers: 1, code: 'berrut' }),
      [1, 2, 3, 4],
      (x) => x,
      [0, 1],
    )
    expect(() => group.recover()).toThrow(
      expect.objectContaining({ code: 'QUORUM', message: 'results: expected >= 4, got 3' }),
    )
  })

  it('an exact hit is the answer itself, bit for bit, and not missing', () => {
    const codec = new Codec(core, { queries: 3, stragglers: 1, code: 'berrut' })
    const { group, rows } = answered(codec, [0.1, 0.2, 0.3], Math.fround)
    const exact = rows.filter((coded) => coded.query !== undefined)
    expect(exact.length).toBeGreaterThan(0)
    for (const { query, data } of exact) {
      expect(group.exact(query as number)).toEqual(row(data[0]))
      expect(group.missing()).not.toContain(query)
    }
    expect(group.recover().map(({ query }) => query)).toEqual(group.missing())
  })

  it('a short group is coded with its own smaller K', () => {
    const { group, rows } = answered(
      new Codec(core, { queries: 8, stragglers: 1, code: 'berrut' }),
      [5, 6],
      (x) => x,
      [2],
    )
    expect(rows.length).toBe(3)
    expect(group.scheme.queries).toBe(2)
    const [a, b] = group.recover()
    expect([a.answer[0], b.answer[0]].map(Math.round)).toEqual([5, 6])
  })

  it('a single query is repeated: any answer is exact', () => {
    const { group } = answered(new Codec(core, { queries: 8, stragglers: 1, code: 'berrut' }), [5], (x) => x * 2, [0])
    expect(group.missing()).toEqual([])
    expect(group.exact(0)).toEqual(row(10))
  })

  it('guards its states', () => {
    const codec = new Codec(core, { queries: 2, code: 'berrut' })
    const group = codec.open()
    expect(() => group.close()).toThrow('expected an open group with queries')
    expect(() => group.recover()).toThrow('expected a closed group')
    group.join(row(1))
    expect(() => group.join(row(1, 2))).toThrow('query: expected 1 values, got 2')
    group.join(row(2))
    expect(() => group.join(row(3))).toThrow('expected at most 2 queries')
    const [first] = group.close()
    expect(() => group.join(row(3))).toThrow('expected an open group, got a closed one')
    group.add(first, row(0))
    expect(() => group.add(first, row(0))).toThrow('row 0: expected one answer, got a second')
    const [stranger] = answered(codec, [1, 2], (x) => x).rows
    expect(() => group.add(stranger, row(0))).toThrow('row: expected one of this group, got 0')
  })

  it('forget makes room for another survivor set', () => {
    const { group, rows } = answered(new Codec(core, { queries: 2, stragglers: 1, code: 'berrut' }), [1, 2], (x) => x)
    group.forget()
    expect(group.survivors).toEqual([])
    group.add(rows[2], row(1))
    expect(group.survivors).toEqual([2])
  })
})

describe('Codec', () => {
  it('computes decode weights once per survivor set, and the Gram matrix only when a locator asks', () => {
    const spy = {
      ...core,
      kind: core.kind,
      gram: vi.fn(core.gram.bind(core)),
      combine: core.combine.bind(core),
    } as Core
    const plain = new Codec(spy, { queries: 4, stragglers: 1, code: 'berrut' })
    const decode = vi.spyOn(plain.scheme, 'decode')
    for (const lost of [0, 1, 0, 1]) answered(plain, [1, 2, 3, 4], (x) => x, [lost]).group.recover()
    expect(decode).toHaveBeenCalledTimes(2)
    expect(spy.gram).not.toHaveBeenCalled()
    const residual = vi.fn(core.residual.bind(core))
    const { group } = answered(new Codec({ ...spy, residual }, { queries: 4, byzantine: 1 }), [1, 2, 3, 4], (x) => x)
    group.locate()
    expect(spy.gram).toHaveBeenCalledTimes(1)
  })

  it('keeps a bounded number of survivor sets', () => {
    const codec = new Codec(core, { queries: 8, stragglers: 5, code: 'berrut' })
    const decode = vi.spyOn(codec.scheme, 'decode')
    const sets = Array.from({ length: 2 ** 13 }, (_, mask) => [...Array(13).keys()].filter((i) => mask & (1 << i)))
    const eights = sets.filter((set) => set.length === 8)
    const { scheme } = codec
    const weights = (have: number[]) =>
      codec.decode(
        {
          core,
          code: 'berrut',
          scheme,
          have,
          rows: [],
          most: 8,
          wanted: [],
          gram: () => new Float64Array(),
        },
        String(have),
      )
    for (const have of eights) weights(have)
    weights(eights.at(-1) as number[])
    expect(decode).toHaveBeenCalledTimes(eights.length)
    weights(eights[0])
    expect(decode).toHaveBeenCalledTimes(eights.length + 1)
  })

  it.each([
    [{ queries: 8, locator: 'nobody' }, "locator: expected 'residual' | 'vote' | 'vote-unit' | 'none', got \"nobody\""],
    [{ queries: 8, code: 'raid' }, "code: expected 'berrut' | 'systematic', got \"raid\""],
    [{ queries: 8, decoder: 'oracle' }, /^decoder: expected 'berrut' .*, got "oracle"$/],
    [
      { queries: 8, byzantine: 1, workers: 10, locator: 'vote' },
      "locator: 'vote' needs 17 results, got a quorum of 10; set workers",
    ],
  ])('refuses %o', (options, message) => {
    expect(() => new Codec(core, options as never)).toThrow(message)
  })

  it('create loads a core', async () => {
    expect((await Codec.create({ queries: 2, core: { prefer: 'js' } })).core.kind).toBe('js')
  })

  it.each(['residual', 'vote'] as const)(
    'answers() without locate() gave poisoned answers: %s drops the lie first',
    (locator) => {
      const answersOf = (lie: number, locates: boolean) => {
        const group = new Codec(core, {
          queries: 4,
          byzantine: 1,
          locator,
          ...(locator === 'vote' && { workers: 17 }),
        }).open()
        for (let j = 0; j < 4; j++) group.join(row(j / 4, 1 - j / 4))
        for (const coded of group.close())
          group.add(coded, coded.index === lie ? row(50, 9) : row(Math.tanh(coded.data[0]), coded.data[1]))
        if (locates) group.locate()
        return group.answers().map(({ answer }) => [...answer])
      }
      expect(answersOf(5, false)).toEqual(answersOf(5, true))
      for (const [j, [value]] of answersOf(5, false).entries()) expect(value).toBeCloseTo(Math.tanh(j / 4), 1)
    },
  )

  it('liars beyond E get through: what comes out is recorded, not promised', () => {
    const codec = new Codec(core, { queries: 4, byzantine: 1 })
    const group = codec.open()
    for (let j = 0; j < 4; j++) group.join(row(j, 1 - j))
    for (const coded of group.close()) group.add(coded, coded.index < 2 ? row(50) : row(coded.data[0]))
    expect(group.locate().length).toBe(1)
    expect(group.survivors.some((i) => i < 2)).toBe(true)
  })
})

describe('what a group teaches', () => {
  const model = (x: Float32Array) => row(Math.tanh(x[0]), x[1], 0.3)
  const group = (lost: number[]) => {
    const codec = new Codec(core, { queries: 4, stragglers: 1, code: 'systematic' })
    const open = codec.open()
    for (let i = 0; i < 4; i++) open.join(row(Math.sin(3 * i), Math.cos(2 * i)))
    const rows = [...open.ready, ...open.close()]
    for (const coded of rows) if (!lost.includes(coded.index)) open.add(coded, model(coded.data))
    return { codec, open, rows }
  }

  it('rehearses: what the others would have been, had they been lost; only when all have come', () => {
    const { open, rows } = group([2])
    const { survivors } = open
    const [lost] = open.recover()
    expect(lost).toMatchObject({ query: 2, source: 'code', missing: 1 })
    expect([...open.rehearse([2], survivors)]).toEqual([])
    open.add(rows[2], model(rows[2].data))
    const rehearsed = [...open.rehearse([2], survivors)].flat()
    expect(rehearsed.map(({ query }) => query)).toEqual([3, 0, 1])
    const other = group([0]).open.recover()[0] // had query 0 been lost in truth
    expect(rehearsed[1].answer).toEqual(other.answer)
  })
})
