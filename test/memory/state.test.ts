import { createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { checksum } from '../../src/base/checksum'
import { seeded } from '../../src/base/random'
import type { Signature } from '../../src/base/tensor'
import type { ExperienceOptions } from '../../src/memory/experience'
import { Memory } from '../../src/memory/memory'
import { HandWorker } from '../shared/hand-predictor'
import {
  core,
  edited,
  experience,
  fields,
  type Header,
  type Kind,
  kinds,
  opened,
  own,
  REMOVED,
  sealed,
  signatureOf,
  states,
  withMemory,
} from '../shared/learned-states'

/** What came of reading a state: how it was refused, or what is known now. */
function read(kind: Kind, state: Uint8Array, options: Partial<ExperienceOptions> = {}, signature?: Signature) {
  try {
    return experience(kind, { state, ...options }, signature).save()
  } catch (error) {
    expect(error).toSatisfy((thrown) => thrown instanceof RangeError || thrown instanceof TypeError)
    expect((error as Error).message).toMatch(/^state: .*expected .*got /)
    expect((error as Error).message.length).toBeLessThan(1000)
    return (error as Error).message
  }
}

const edits: [string, unknown][] = [
  ['removed', REMOVED],
  ['null', null],
  ['negative', -1],
  ['huge', 1e300],
  ['beyond whole numbers', 2 ** 53],
  ['NaN', 'NaN'],
  ['flag', true],
  ['list', []],
  ['object', { toString: 1, constructor: { name: {} } }],
]

/** What a header may say as well: an own value of the same kind, in its range. */
const harmless =
  /^(content\.model\.fingerprint null|content\.worth\.outcomes\.\w+\.\d+ removed|content\.worth\.agreements\.\d+ removed|content\.worth\.(outcomes\.\w+|agreements) list|.*\.signals\.\d+ negative|.*\.right flag|content\.worth\.spread\.\d+\.means\.\d+ (negative|beyond whole numbers)|.*\.signals\.\d+ beyond whole numbers|content\.worth\.spread\.\d+\.variances\.\d+ beyond whole numbers|content\.errors\.error\.\d+ beyond whole numbers)$/

describe('a saved state', () => {
  it.each(Object.keys(kinds) as Kind[])('comes back as it was: %s', (kind) => {
    const again = [read(kind, states[kind]), read(kind, Buffer.from(states[kind]))] // as readFileSync gives it
    for (const each of again) expect(Buffer.from(each).equals(states[kind])).toBe(true)
  })

  it('a flipped bit is refused, wherever it is', () => {
    const random = seeded(1)
    for (const [kind, count] of [
      ['raw', 4800],
      ['label-less', 4800],
      ['patches', 400],
    ] as const) {
      const state = states[kind].slice()
      for (let i = 0; i < count; i++) {
        const [at, bit] = [i < 300 ? i : random.below(state.length), 1 << random.below(8)]
        state[at] ^= bit
        expect(read(kind, state)).toBeTypeOf('string')
        state[at] ^= bit
      }
    }
  })

  it('one that is cut, or has more behind it, is refused', () => {
    const random = seeded(2)
    for (const kind of ['raw', 'label-less', 'own'] as const) {
      const state = states[kind]
      for (let i = 0; i < 250; i++)
        expect(read(kind, state.subarray(0, random.below(state.length)))).toBeTypeOf('string')
      for (let i = 1; i < 84; i++) expect(read(kind, Buffer.concat([state, new Uint8Array(i)]))).toBeTypeOf('string')
    }
  })

  it('one that is cut before it was sealed is refused as well', () => {
    const random = seeded(3)
    const { header, body } = opened(states.raw)
    for (let i = 0; i < 200; i++) {
      expect(read('raw', sealed(header, body.subarray(0, random.below(body.length))))).toBeTypeOf('string')
      expect(read('raw', sealed(header, Buffer.concat([body, new Uint8Array(1 + i)])))).toBeTypeOf('string')
    }
  })

  it.each(Object.keys(kinds) as Kind[])('every field of the headers is checked: %s', (kind) => {
    const state = states[kind]
    const { header, body } = opened(state)
    const inner = opened(body).header
    for (const [name, value] of kind === 'patches' || kind === 'signals' ? edits.slice(0, 4) : edits) {
      const outer = kind === 'raw' || kind === 'label-less' ? fields(header) : []
      const all = [
        ...outer.map((path) => ({ path, changed: () => sealed(edited(header, path, value), body) })),
        ...fields(inner).map((path) => ({ path, changed: () => withMemory(state, (of) => edited(of, path, value)) })),
      ]
      for (const { path, changed } of all) {
        const got = read(kind, changed())
        if (typeof got !== 'string' && !Buffer.from(got).equals(state)) {
          expect(`${path.join('.')} ${name}`).toMatch(harmless)
        }
      }
    }
  })

  it('arrays of other lengths, kinds and values are refused, before anything is made of them', () => {
    const change = (f: (header: Header, body: Uint8Array) => Header | undefined) =>
      read('raw', withMemory(states.raw, f))
    const array = (header: Header, name: string) => header.arrays.find((each: Header) => each.name === name)
    const at = (header: Header, name: string) => {
      const before = header.arrays.slice(0, header.arrays.indexOf(array(header, name)))
      return before.reduce((sum: number, { kind, length }: Header) => sum + length * Number(kind[1]), 0)
    }
    const put = (name: string, value: number, index = 0) =>
      change((header, body) => {
        const view = new DataView(body.buffer, body.byteOffset + at(header, name))
        const { kind } = array(header, name)
        if (kind === 'u2') view.setUint16(2 * index, value, true)
        else if (kind === 'f4') view.setFloat32(4 * index, value, true)
        else view.setFloat64(8 * index, value, true)
        return undefined
      })
    for (const length of [0, 149, 151, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      for (const name of ['kernel', 'answers', 'shares', 'mean', 'even']) {
        const set = (header: Header) =>
          edited(header, ['arrays', header.arrays.indexOf(array(header, name)), 'length'], length)
        expect(change(set)).toMatch(/^state: /)
      }
    }
    expect(change((header) => edited(header, ['arrays'], Array(1000).fill(header.arrays[0])))).toMatch(
      'state: arrays: expected a list',
    )
    expect(change((header) => edited(header, ['arrays', 1, 'name'], 'kernel'))).toMatch(
      'expected one of its own, got kernel',
    )
    for (const name of ['answers', 'shares', 'mean', 'even']) {
      for (const value of [Number.NaN, Number.NEGATIVE_INFINITY])
        expect(put(name, value)).toMatch(`state: ${name}[0]: expected`)
    }
    expect(put('kernel', 3, 0)).toMatch('state: kernel: expected')
    expect(put('kernel', 65535, 4)).toMatch('state: kernel: expected') // two pairs alike that are not
    expect(put('even', 9)).toMatch(/state: kernel: expected the similarities of pair \d+ to the others/)
  })

  it('a unit that is another than the kernel was made with is refused: it would make all memory worse', () => {
    const scaled = withMemory(states.raw, (header) => edited(header, ['content', 'unit'], 1.01 * header.content.unit))
    expect(read('raw', scaled)).toMatch(
      'state: kernel: expected the similarities of pair 127 to the others, got others',
    )
    const mirrored = withMemory(states.patches, (header) =>
      edited(header, ['content', 'mirror'], !header.content.mirror),
    )
    expect(read('patches', mirrored)).toMatch('state: kernel: expected')
  })

  it('headers that are huge, nested or no JSON are refused', () => {
    const { header, body } = opened(states.raw)
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const text = JSON.stringify(header)
    const texts = [
      ...['', '{', 'null', '5', '"x"', '[]', nested(1e6), `{"what":${nested(1e5)}}`, `${' '.repeat(5e6)}${text}`],
      ...['"content":', '"model":', '"inputs":', '"criterion":', '"signals":', '"spread":', '"arrays":'].map((field) =>
        text.replace(field, `${field}${nested(1e5)},"was":`),
      ),
      text.replace('{', '{"__proto__":{"what":"predictor"},'),
    ]
    for (const each of texts) expect(read('raw', sealed(each, body))).toBeTypeOf('string')
    expect(read('raw', sealed(`${' '.repeat(5e6)}${text}`, body))).toMatch('state: header: expected a line of at most')
  })

  it('of another version it is refused, with what to do', () => {
    const { header, body } = opened(states.raw)
    expect(read('raw', sealed(header, body, 4))).toBe(
      'state: expected version 3, got version 4: leave it out, and let it be learned anew',
    )
  })

  it('of another model it is refused, by the first field that differs', () => {
    const { raw } = states
    const signature = signatureOf(kinds.raw)
    const [x, y] = [signature.inputs[0], signature.outputs[0]]
    const of = (other: Partial<Signature>) => read('raw', raw, {}, { ...signature, ...other })
    expect(of({ inputs: [{ ...x, name: 'z' }] })).toBe(
      'state: model.inputs: expected [{"name":"z","shape":[2]}], got [{"name":"x","shape":[2]}]',
    )
    expect(of({ outputs: [{ ...y, shape: [2, 1] }] })).toMatch(
      'state: model.outputs: expected [{"name":"y","shape":[2,1]}]',
    )
    expect(read('raw', raw, { fingerprint: '0000000000000000' })).toBe(
      'state: model.fingerprint: expected "0000000000000000", got "ab54a98ceb1f0ad2"',
    )
    expect(read('raw', raw, { fingerprint: undefined })).toBeInstanceOf(Uint8Array) // nobody knows
    const criterion = { kind: 'tolerance' } as const
    expect(read('raw', raw, { criterion })).toMatch(
      'state: worth.criterion: expected {"kind":"tolerance"}, got {"kind":"label"',
    )
  })

  it('made with other features of the same width it is refused; the last digits may differ', () => {
    const features = (f: (x: Float32Array) => Float32Array) => ({ memory: { features: f, bytes: 2e7 } })
    const refusal =
      'state: memory.options.features: expected a function that gives what it gave when it was saved, got others'
    expect(
      read(
        'own',
        states.own,
        features((x) => own(x).reverse()),
      ),
    ).toBe(refusal)
    expect(
      read(
        'own',
        states.own,
        features((x) => own(x).map((value) => -value)),
      ),
    ).toBe(refusal)
    expect(
      read(
        'own',
        states.own,
        features((x) => own(x).map((value) => value * (1 + 1e-6))),
      ),
    ).toBeInstanceOf(Uint8Array)
  })

  it('is made in few times what its checksum takes: a server saves while it answers', () => {
    const random = seeded(6)
    const image = () => Float32Array.from({ length: 144 }, () => random.gauss())
    const memory = new Memory(core, { shape: [1, 12, 12], outputs: 1, bytes: 2e7 })
    for (let i = 0; i < 500; i++) memory.remember(image(), Float32Array.of(random.gauss()))
    const saved = memory.save()
    const leastMs = (work: () => unknown) => {
      const times = Array.from({ length: 9 }, () => {
        const start = performance.now()
        work()
        return performance.now() - start
      })
      return Math.min(...times)
    }
    expect(leastMs(() => memory.save()) / leastMs(() => checksum(saved))).toBeLessThan(200)
  })

  it('of a memory that went round it comes back as it is', () => {
    const options = { shape: [2], outputs: 1, bytes: 2_000_000, features: 'raw' as const }
    const memory = new Memory(core, options)
    const random = seeded(5)
    for (let i = 0; i < memory.capacity + 200; i++) {
      memory.remember(Float32Array.of(random.gauss(), random.gauss()), Float32Array.of(random.gauss()))
    }
    expect(memory.size).toBe(memory.capacity)
    const again = new Memory(core, options, memory.save())
    const query = Float32Array.of(0.3, 0.1)
    expect(again.recover(query)?.answer).toEqual(memory.recover(query)?.answer)
    expect(again.save()).toEqual(memory.save())
  })
})

it('checksums: every bit counts, and so does every zero at the end', () => {
  const bytes = Uint8Array.from({ length: 29 }, (_, i) => 37 * i)
  const sums = new Set([checksum(bytes), ...Array.from({ length: 40 }, (_, i) => checksum(new Uint8Array(i)))])
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7)
    sums.add(checksum(bytes))
    bytes[bit >> 3] ^= 1 << (bit & 7)
  }
  expect(sums.size).toBe(1 + 40 + 8 * 29)
  const moved = new Uint8Array(32)
  moved.set(bytes, 3)
  expect(checksum(moved.subarray(3))).toBe(checksum(bytes.subarray(0))) // wherever they lie
})

/** What a predictor saves that started with these options, and what it warns of. */
async function started(options: PredictorOptions) {
  const warnings: string[] = []
  const predictor = await createPredictor({ ...options, onWarning: (text) => warnings.push(text) })
  const state = await predictor.save()
  await predictor.close()
  return { state, warnings }
}

it('a predictor takes nothing of what one of another model learned, with the same names and shapes', async () => {
  const start = (fingerprint: string | undefined, state?: Uint8Array) => {
    const workers = [0, 1].map((i) => Object.assign(new HandWorker(`w${i}`), { fingerprint }))
    return started({ workers, scheme: { queries: 2 }, right: 'label', ...(state && { memory: { state } }) })
  }
  const { state } = await start('one')
  const warning = expect.stringContaining('state: model.fingerprint: expected "two", got "one"')
  expect((await start('two', state)).warnings).toEqual([warning])
  for (const fingerprint of ['one', undefined]) expect((await start(fingerprint, state)).warnings).toEqual([])
})

it('what a model learned is not taken over by another that reads the same digits', async () => {
  const start = (name: string, state?: Uint8Array) =>
    started({ model: `models/${name}-lenet.onnx`, ...(state && { memory: { state } }) })
  const { state } = await start('mnist')
  const warning = expect.stringMatching(/: state: model.fingerprint: expected "\w{16}", got "\w{16}"$/)
  expect((await start('fashion', state)).warnings).toEqual([warning])
  expect((await start('mnist', state)).warnings).toEqual([])
})
