/** The saved state of a memory; all of it is checked when it is loaded, since it may come from anywhere. */

import type { JudgedOutput } from '../base/criterion'
import * as saved from '../base/saved'
import { rmsDifference, rootMeanSquare } from '../base/stats'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import type { Domain } from './domain'
import { pack } from './pack'
import { Known, LEAST_SUM, MOST_SUM } from './pairs'
import { KernelRegression } from './regression'
import { Similarity, type SimilarityState } from './similarity'
import { kernelNames } from './study'
import { type Archive, unpack } from './unpack'

/** The user's features of the fixed query may differ by this share from those that were saved. */
const SAME = 1e-3
/** The most workers in a saved state; answers of further workers have no origin. */
const MOST_WORKERS = 2 ** 16 - 2

/** The header of a saved memory; its arrays follow. */
interface MemoryState extends SimilarityState {
  options: ReturnType<typeof optionsOf>
  /** The number of pairs; 0 if the memory was not ready, and then there are only `options` beside it. */
  size: number
  next: number
  /** As in `Known`. */
  errors: Known['errors']
  /** The identities of the workers that gave the answers. */
  workers: string[]
}

const fields = ['options', 'size', 'next', 'unit', 'mirror', 'errors', 'fading', 'compared', 'workers'] as const

/** The options that a saved memory and the memory that loads it must have in common. */
function optionsOf({ shape, outputs, judged, features, open, sample }: Domain) {
  const labelsOf = ({ right }: JudgedOutput) =>
    right.kind === 'label' ? `${right.positions} of ${right.classes}` : 'none'
  const labels = judged.map(labelsOf).join(', ')
  const chosen = open ? 'raw or signals' : features
  return { shape, outputs, labels, features: sample ? `${sample.length} own` : chosen }
}

export function saveMemory(domain: Domain, known: Known | undefined): Uint8Array {
  const options = optionsOf(domain)
  if (!known) return pack('memory', { options, size: 0 }, {})
  const { similarity, regression, from, errors, next, size } = known
  const workers = [...new Set(from)].filter((worker) => worker !== undefined).slice(0, MOST_WORKERS)
  const state: MemoryState = { ...similarity.state, options, size, next, errors, workers }
  const indices = new Map(workers.map((worker, i) => [worker, i + 1]))
  return pack('memory', state, {
    ...regression.save(),
    origins: Uint16Array.from(from, (worker) => indices.get(worker as string) ?? 0),
    ...similarity.save(size),
    ...(domain.sample && { sample: domain.sample }),
  })
}

/** @returns undefined if the saved memory was not ready @throws RangeError for a state that is damaged or of another memory */
export function loadMemory(core: Core, domain: Domain, bytes: Uint8Array): Known | undefined {
  const archive = unpack('memory', bytes)
  const state = checked(archive.content, domain)
  if (!state) return void archive.end()
  const { size, next, errors, workers } = state
  checkSample(domain, archive)
  const similarity = Similarity.load(core, domain, state, archive, size)
  const regression = KernelRegression.load(core, domain.outputs, similarity.noise, archive, size)
  const from = [...archive.take('origins', 'u2', size)].map((index, i) => {
    return saved.integer(`origins[${i}]`, index, 0, workers.length) ? workers[index - 1] : undefined
  })
  archive.end()
  for (const place of [BLOCK - 1, size >> 1, size - 1]) {
    if (regression.agrees(place, similarity.at(place, size).similarities)) continue
    throw saved.refused('kernel', `the similarities of pair ${place} to the others`, 'others')
  }
  return new Known(domain, similarity, regression, from, size < domain.capacity ? size : next % size, errors)
}

/** Checks the header of a state. @throws RangeError for a state that is damaged or of another memory */
export function checkMemory(domain: Domain, bytes: Uint8Array): void {
  checked(unpack('memory', bytes).content, domain)
}

/** The checked header; undefined if the saved memory was not ready. */
function checked(value: unknown, domain: Domain) {
  const state = saved.object('memory', value, fields)
  const own = optionsOf(domain)
  const { kind } = domain.sizes
  const comparable = domain.open ? (['values', 'signals'] as const) : [kind]
  const options = saved.object('memory.options', state.options, Object.keys(own))
  for (const [name, wanted] of Object.entries(own)) saved.same(`memory.options.${name}`, wanted, options[name])
  const size = saved.integer('memory.size', state.size, 0, Number.MAX_SAFE_INTEGER)
  if (size > domain.capacity) {
    throw saved.refused('memory.size', `at most ${domain.capacity} pairs, for its bytes`, size)
  }
  if (!size) return undefined
  if (size < BLOCK) throw saved.refused('memory.size', `0, or ${BLOCK} or more`, size)
  const errors = saved.object('memory.errors', state.errors, ['error', 'variance'])
  const mirror = saved.flag('memory.mirror', state.mirror)
  if (mirror && domain.features !== 'patches') throw saved.refused('memory.mirror', 'false without patches', 'true')
  return {
    options: own,
    size,
    next: saved.integer('memory.next', state.next, 0, size),
    unit: saved.number('memory.unit', state.unit, saved.LEAST, saved.MOST),
    mirror,
    errors: {
      error: saved.numbers('memory.errors.error', errors.error, domain.judged.length, 0, saved.MOST_SQUARE),
      variance: saved.number('memory.errors.variance', errors.variance, LEAST_SUM, MOST_SUM),
    },
    fading: saved.word('memory.fading', state.fading, kernelNames),
    compared: saved.word('memory.compared', state.compared, comparable),
    workers: saved.list('memory.workers', state.workers, MOST_WORKERS).map((worker, i) => {
      return saved.text(`memory.workers[${i}]`, worker)
    }),
  }
}

/** Refuses a state of another feature function. The last digits may differ between JavaScript engines. */
function checkSample({ sample }: Domain, archive: Archive): void {
  if (!sample) return
  const other = archive.take('sample', 'f4', sample.length)
  if (rmsDifference(sample, other) > SAME * rootMeanSquare(sample)) {
    throw saved.refused('memory.options.features', 'a function that gives what it gave when it was saved', 'others')
  }
}
