/** approxifer demo: slow and lying machines in simulated time, beside what else one would do; then a few real answers. */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { answersOf } from '../../evaluate/model'
import { createPredictor } from '../../predictor/create'
import { loadModel } from '../model'
import { loadInputs } from '../npy'
import { ProgressBar } from '../progress'
import { wrap } from '../terminal'
import {
  caught,
  conclusion,
  gallery,
  HERE,
  lyingTable,
  lyingWorld,
  overload,
  PROLOGUE,
  type Real,
  type Shown,
  slowTable,
  slowWorld,
} from './display'
import { byHand, type Digits, labelOf, learned, predictor, type System, simulate, type World } from './simulation'

export interface DemoOptions {
  seed: number
  json?: boolean
}

/** What is tried in a world: a system, on more machines than the others where it says so. */
interface Way {
  name: string
  system: System
  machines?: number
}

/** As the first table of docs/latency.md. */
const SLOW = { machines: 27, load: 0.6, first: 100, liar: false, runs: 20 }
/** So few queries that even three of each are no trouble. */
const LYING = { machines: 9, load: 0.25, first: 0, liar: true, runs: 8 }
const MODEL = 'mnist-lenet.onnx'
const SHOWN = 4

const file = (name: string) => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url))

export async function demo({ seed, json }: DemoOptions): Promise<void> {
  const say = (text: string) => json || console.log(wrap(text))
  const digits = await load()
  const state = await learned(digits)
  const progress = new ProgressBar(!json)
  const tryAll = async (title: string, world: World, ways: readonly Way[]) => {
    const shown: Shown[] = []
    progress.start(title, ways.length * world.runs)
    let done = 0
    for (const { name, system, machines } of ways) {
      const measured = await simulate(system, world, digits, machines, () => progress.update(++done))
      shown.push({ name, ...measured })
    }
    progress.stop()
    return shown
  }
  say(PROLOGUE)
  const [slowly, falsely] = [SLOW, LYING].map((world) => ({ ...world, seed }))
  const slow = await tryAll('slow machines', slowly, slowWays(state))
  say(`\n${slowWorld(slowly)}\n\n${slowTable(slow)}\n\n${overload(slow)}`)
  const lying = await tryAll('a lying machine', falsely, lyingWays(state))
  say(`\n${lyingWorld(falsely)}\n\n${lyingTable(lying)}\n\n${caught(lying, falsely)}\n\n${conclusion(slow, lying)}`)
  const here = await real(digits.images.slice(0, SHOWN))
  say(`\n${HERE}\n\n${gallery(digits.images, here)}`)
  if (json) console.log(JSON.stringify({ slow, lying, here }, null, 2))
}

async function load(): Promise<Digits> {
  const path = file(MODEL)
  const model = await loadModel(path, await readFile(path), {})
  const images = await loadInputs(file('mnist-digits.npy'), model.signature.inputs[0].shape)
  return { images, answers: await answersOf(model, images), signature: model.signature }
}

const slowWays = (state: Uint8Array): Way[] => [
  { name: 'no redundancy', system: byHand({}) },
  { name: 'hedged requests', system: byHand({ hedges: 0.1 }) },
  { name: 'replication', system: byHand({ copies: 2 }) },
  { name: 'replication on 54', system: byHand({ copies: 2 }), machines: 54 },
  { name: 'approxifer', system: predictor({ policy: 'auto', memory: { state } }) },
]

const lyingWays = (state: Uint8Array): Way[] => [
  { name: 'no check', system: byHand({}) },
  { name: 'replication, a majority', system: byHand({ copies: 3, votes: 2 }) },
  { name: 'duplicate and compare', system: byHand({ copies: 2, votes: 2 }) },
  { name: 'approxifer', system: predictor({ scheme: { queries: 8, byzantine: 1 }, memory: { state } }) },
]

async function real(images: readonly Float32Array[]): Promise<Real[]> {
  const made = await createPredictor({ model: file(MODEL), workers: 2, deadlineMs: 60_000, onWarning() {} })
  try {
    const predictions = await made.predictAll(images)
    return predictions.map(({ output, status }) => ({
      digit: labelOf(Object.values(output)[0].data as Float32Array),
      status,
    }))
  } finally {
    await made.close()
  }
}
