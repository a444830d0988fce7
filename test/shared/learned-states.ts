/** States that were learned for tests, and how to change what is in them. */

import { expect } from 'vitest'
import { checksum } from '../../src/base/checksum'
import type { Criterion } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import type { Signature } from '../../src/base/tensor'
import { loadCore } from '../../src/core/load'
import { Experience, type ExperienceOptions } from '../../src/memory/experience'

export const core = await loadCore()
const labels: Criterion = { kind: 'label', positions: 1, classes: 2 }
export const own = (x: Float32Array) => Float32Array.of(x[0], x[1], x[0] * x[1])

/** What is learned, by what queries, answers and features are like. */
export const kinds = {
  raw: { shape: [2], outputs: 2, criterion: labels, features: 'raw' as const },
  own: { shape: [2], outputs: 2, criterion: labels, features: own },
  patches: { shape: [1, 12, 12], outputs: 2, criterion: labels, features: 'patches' as const },
  signals: { shape: [256], outputs: 2, criterion: labels, features: 'signals' as const },
  'label-less': { shape: [2], outputs: 1, criterion: { kind: 'tolerance' } as Criterion, features: 'raw' as const },
}

export type Kind = keyof typeof kinds

export const signatureOf = ({ shape, outputs }: (typeof kinds)[Kind]): Signature => ({
  inputs: [{ name: 'x', shape }],
  outputs: [{ name: 'y', shape: [outputs] }],
})

export function experience(kind: Kind, options: Partial<ExperienceOptions> = {}, signature = signatureOf(kinds[kind])) {
  const { criterion, features } = kinds[kind]
  const memory = { features, bytes: 2e7 }
  const fingerprint = 'ab54a98ceb1f0ad2'
  const warn = (text: string) => expect.fail(text)
  const all = { criterion, memory, fingerprint, warn, ...options }
  return new Experience(core, signature, all)
}

/** Of 150 queries, some of them recovered. */
function learned(kind: Kind): Uint8Array {
  const { shape, outputs } = kinds[kind]
  const random = seeded(7)
  const taught = experience(kind)
  const size = shape.reduce((product, n) => product * n, 1)
  const answerTo = (x: Float32Array) => Float32Array.of(Math.sin(x[0]), x[1]).subarray(0, outputs)
  for (let i = 0; i < 150; i++) {
    const query = Float32Array.from({ length: size }, () => random.gauss())
    const recovered = taught.recall(query)
    taught.confidence.observe(answerTo(query))
    Array.from(taught.train(query, answerTo(query)))
    if (recovered) taught.confidence.grade({ ...recovered, missing: 1 + (i % 2) }, answerTo(query))
    const answer = Float32Array.from({ length: outputs }, () => random.gauss())
    taught.confidence.grade({ answer, source: 'code', missing: 1, variance: 0.3 }, answerTo(query))
  }
  return taught.save()
}

export const states = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, learned(kind as Kind)])) as Record<
  Kind,
  Uint8Array
>

export type Header = any

export const FIRST = 30
const encode = (text: string) => new TextEncoder().encode(text)

export function opened(state: Uint8Array): { header: Header; body: Uint8Array } {
  const end = state.indexOf(10, FIRST)
  return { header: JSON.parse(new TextDecoder().decode(state.subarray(FIRST, end))), body: state.slice(end + 1) }
}

/** With a checksum that is right, whatever the rest is. */
export function sealed(header: Header, body: Uint8Array, version = 3): Uint8Array {
  const rest = Buffer.concat([encode(`${typeof header === 'string' ? header : JSON.stringify(header)}\n`), body])
  return Uint8Array.from(Buffer.concat([encode(`approxifer ${version} ${checksum(rest)}\n`), rest]))
}

/** A predictor's state with its memory's header and arrays changed. */
export function withMemory(
  state: Uint8Array,
  change: (header: Header, body: Uint8Array) => Header | undefined,
): Uint8Array {
  const { header, body } = opened(state)
  const memory = opened(body)
  const inner = sealed(change(memory.header, memory.body) ?? memory.header, memory.body)
  header.arrays[0].length = inner.length
  return sealed(header, inner)
}

/** All fields of a header, as the way to them; of lists the first and the last. */
export function fields(value: Header, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path]
  const keys = Array.isArray(value) ? [...new Set([0, value.length - 1])].filter((i) => i >= 0) : Object.keys(value)
  return [...(path.length ? [path] : []), ...keys.flatMap((key) => fields(value[key], [...path, key]))]
}

export const REMOVED = Symbol('removed')

export function edited(header: Header, path: (string | number)[], value: unknown): Header {
  const copy = structuredClone(header)
  const last = path.at(-1) as string
  const parent = path.slice(0, -1).reduce((at, key) => at[key], copy)
  if (value !== REMOVED) parent[last] = value
  else if (Array.isArray(parent)) parent.splice(Number(last), 1)
  else delete parent[last]
  return copy
}
