import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { allFinite } from '../../src/base/tensor'
import type { Recollection } from '../../src/memory/memory'
import { Evidence } from '../../src/trust/evidence'
import {
  edited,
  experience,
  fields,
  type Header,
  type Kind,
  kinds,
  opened,
  sealed,
  states,
  withMemory,
} from '../shared/learned-states'

type Path = (string | number)[]

/** As JSON has them: 1e999 is read as Infinity, and -0 as itself. */
const numerals = ['1e79', '-1e79', '1e38', '1e-300', '-0', '9007199254740991', '1e300', '1e999', '-1e999', 'null']
const values = [1e79, -3e38, 1e-300, Number.NaN, -1e79, 1e38, -0, Number.POSITIVE_INFINITY, 1e80, 65535]

const isNumber = (header: Header) => (path: Path) => typeof path.reduce((at, key) => at[key], header) === 'number'
const written = (header: Header, path: Path, numeral: string) =>
  JSON.stringify(edited(header, path, '@')).replace('"@"', numeral)

interface Forged<T = Uint8Array> {
  what: string
  forged: T
}

/** A state with each number of its headers changed, one at a time; the outer one is the same whatever queries are like. */
function* forgedHeaders(state: Uint8Array, outer: boolean): Generator<Forged> {
  const { header, body } = opened(state)
  const inner = opened(body).header
  for (const numeral of numerals) {
    for (const path of outer ? fields(header).filter(isNumber(header)) : []) {
      yield { what: `${path.join('.')} ${numeral}`, forged: sealed(written(header, path, numeral), body) }
    }
    for (const path of fields(inner).filter(isNumber(inner))) {
      const changed = () => written(inner, path, numeral)
      yield { what: `memory ${path.join('.')} ${numeral}`, forged: withMemory(state, changed) }
    }
  }
}

/** A state with the first or the last number of each array changed, or all of them. */
function* forgedArrays(state: Uint8Array, values: readonly number[]): Generator<Forged> {
  const { header, body } = opened(opened(state).body)
  let from = 0
  for (const { name, kind, length } of header.arrays) {
    for (const value of values) {
      for (const [where, places] of Object.entries({
        first: [0],
        last: [length - 1],
        all: [...Array(length).keys()],
      })) {
        const changed = body.slice()
        for (const place of places) put(changed, kind, from, place, value)
        const forge = (of: Header, to: Uint8Array) => {
          to.set(changed)
          return of
        }
        yield { what: `${name} ${where} ${value}`, forged: withMemory(state, forge) }
      }
    }
    from += length * Number(kind[1])
  }
}

function put(bytes: Uint8Array, kind: string, from: number, place: number, value: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + from)
  if (kind === 'f8') view.setFloat64(8 * place, value, true)
  else if (kind === 'f4') view.setFloat32(4 * place, value, true)
  else if (kind === 'u2') view.setUint16(2 * place, value, true)
  else view.setUint8(place, value)
}

/** Reads a state and uses what it holds in every way: what went wrong, as sentences. @throws what reading it did */
function used(kind: Kind, state: Uint8Array): string[] {
  const { shape, outputs } = kinds[kind]
  const wrong: string[] = []
  const read = (of: Uint8Array) => experience(kind, { state: of, warn: (text) => void wrong.push(text) })
  const taught = read(state)
  const random = seeded(7)
  const size = shape.reduce((product, n) => product * n, 1)
  for (const length of [1, 0, kind === 'own' ? 1e18 : 3e37]) {
    const query = Float32Array.from({ length: size }, () => length * Math.min(4, random.gauss()))
    const own = Float32Array.from({ length: outputs }, () => random.gauss())
    const recovered = taught.recall(query)
    if (recovered) wrong.push(...notFinite(recovered))
    const { confidence = 0.5 } = recovered ? taught.confidence.best([{ ...recovered, missing: 1 }]) : {}
    if (!(confidence >= 0 && confidence <= 1)) wrong.push(`confidence ${confidence}`)
    taught.confidence.observe(own)
    if (recovered) taught.confidence.grade({ ...recovered, missing: 1 }, own, 'a')
    Array.from(taught.train(query, own, 'a'))
  }
  if (!Number.isFinite(taught.confidence.tolerance ?? 0)) wrong.push(`tolerance ${taught.confidence.tolerance}`)
  try {
    read(taught.save())
  } catch (error) {
    // Of some pairs only the similarities are held against the kernel: others, when there are more.
    if (!(error as Error).message.startsWith('state: kernel'))
      wrong.push(`what it saves is refused: ${(error as Error).message}`)
  }
  return wrong
}

function notFinite({ answer, error, variance, odds = 0 }: Recollection): string[] {
  const numbers = Object.entries({ error, variance, odds }).filter(([, value]) => !Number.isFinite(value))
  return [...(allFinite(answer) ? [] : [`answer ${answer}`]), ...numbers.map(([name, value]) => `${name} ${value}`)]
}

/** What was neither refused, by a RangeError that names the field, nor led to what is finite. */
function undetected<T>(all: Iterable<Forged<T>>, use: (forged: T) => string[]): string[] {
  const wrong: string[] = []
  for (const { what, forged } of all) {
    try {
      wrong.push(...use(forged).map((text) => `${what}: ${text}`))
    } catch (error) {
      const isRefusal = error instanceof RangeError && /^state: .+: expected .+, got /.test(error.message)
      if (!isRefusal) wrong.push(`${what}: ${error}`)
    }
  }
  return wrong
}

it.each(Object.keys(kinds) as Kind[])(
  'queries of any finite size: what is told is finite, what is saved can be read: %s',
  (kind) => {
    expect(used(kind, states[kind])).toEqual([])
  },
)

describe('of a forged state with a right checksum every number is refused, or what it recovers is finite', () => {
  it.each(Object.keys(kinds) as Kind[])('headers: %s', (kind) => {
    const outer = kind === 'raw' || kind === 'label-less'
    expect(undetected(forgedHeaders(states[kind], outer), (state) => used(kind, state))).toEqual([])
  })

  it.each(Object.keys(kinds) as Kind[])('arrays: %s', (kind) => {
    const some = kind === 'patches' || kind === 'signals' ? values.slice(0, 4) : values
    expect(undetected(forgedArrays(states[kind], some), (state) => used(kind, state))).toEqual([])
  })
})

/** Of what is held against workers. */
describe('forged evidence', () => {
  const learned = new Evidence()
  for (let i = 0; i < 100; i++) learned.proven('a')
  for (let i = 0; i < 60; i++) learned.checked('a', true, 1 + (i % 2))
  learned.lied('b')
  const state = learned.save()

  const load = (forged: unknown) => {
    const evidence = new Evidence()
    evidence.load(forged)
    return evidence
  }
  const used = (forged: unknown) => {
    const evidence = load(forged)
    for (let i = 0; i < 50; i++) {
      evidence.proven('a')
      evidence.checked('a', true, 1)
      evidence.lied('b')
      evidence.silent('a')
    }
    load(JSON.parse(JSON.stringify(evidence.save())))
    const told = { suspicion: evidence.of('a').suspicion }
    return Object.entries(told).flatMap(([name, value]) => (Number.isFinite(value) ? [] : [`${name} ${value}`]))
  }

  it('every number is refused, or what follows from it is finite', () => {
    const all = numerals.flatMap((numeral) => {
      return fields(state)
        .filter(isNumber(state))
        .map((path) => ({ what: `${path.join('.')} ${numeral}`, forged: JSON.parse(written(state, path, numeral)) }))
    })
    expect(undetected(all, used)).toEqual([])
  })
})
