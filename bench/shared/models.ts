/** The models of images that benches ask: their test images, their answers, and a memory of these. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { criterionOf } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import type { Signature } from '../../src/base/tensor'
import { loadInputs } from '../../src/cli/npy'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { Experience } from '../../src/memory/experience'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'

export const models = {
  'mnist-lenet': 'mnist',
  'fashion-lenet': 'fashion',
  'cifar-resnet8': 'cifar',
} as const

export type ModelName = keyof typeof models

export const TITLES: Record<ModelName, string> = {
  'mnist-lenet': 'MNIST LeNet',
  'fashion-lenet': 'Fashion-MNIST LeNet',
  'cifar-resnet8': 'CIFAR-10 ResNet-8',
}

export interface Data {
  inputs: Float32Array[]
  answers: Float32Array[]
  signature: Signature
  /** Which image a row is. */
  indexOf(row: Float32Array): number | undefined
}

/** The model's answers to images of a set, kept in build/. */
async function answersTo(name: ModelName, set: string, inputs: Float32Array[], model: OnnxModel) {
  const file = `build/answers-${name}-${set}.f32`
  if (!existsSync(file)) {
    const all = await answersOf(model, inputs)
    writeFileSync(file, new Uint8Array(Float32Array.from(all.flatMap((answer) => [...answer])).buffer))
  }
  const values = new Float32Array(new Uint8Array(readFileSync(file)).buffer)
  const length = values.length / inputs.length
  return inputs.map((_, i) => values.slice(i * length, (i + 1) * length))
}

const loaded = new Map<string, Promise<Data>>()
const theModels = new Map<ModelName, Promise<OnnxModel>>()

export function modelOf(name: ModelName): Promise<OnnxModel> {
  const model = theModels.get(name) ?? readModel(`models/${name}.onnx`).then((bytes) => OnnxModel.load(bytes))
  theModels.set(name, model)
  return model
}

/** All images that a model is shown: those of its own set and, where asked for, another's behind them. */
export function dataOf(name: ModelName, other?: string): Promise<Data> {
  const key = `${name} ${other}`
  const data = loaded.get(key) ?? load(name, other)
  loaded.set(key, data)
  return data
}

async function load(name: ModelName, other: string | undefined): Promise<Data> {
  const model = await modelOf(name)
  const { signature } = model
  const data: Omit<Data, 'indexOf'> = { inputs: [], answers: [], signature }
  for (const set of [models[name], ...(other ? [other] : [])]) {
    const inputs = await loadInputs(`data/${set}-images.npy`, signature.inputs[0].shape)
    data.answers.push(...(await answersTo(name, set, inputs, model)))
    data.inputs.push(...inputs)
  }
  const random = seeded(1)
  const weights = Float64Array.from(data.inputs[0], () => random.next())
  const keyOf = (row: Float32Array) => row.reduce((sum, value, i) => sum + value * weights[i], 0)
  const index = new Map(data.inputs.map((row, i) => [keyOf(row), i]))
  return { ...data, indexOf: (row) => index.get(keyOf(row)) }
}

/** As a predictor's by default, without a code. */
export function newExperience(core: Core, signature: Signature): Experience {
  const criterion = criterionOf(signature.outputs)
  return new Experience(core, signature, { criterion, warn: console.warn })
}

export const experienceFor = async ({ signature }: Data, state?: Uint8Array) => {
  const criterion = criterionOf(signature.outputs)
  return new Experience(await loadCore(), signature, { criterion, warn: console.warn, state })
}

export function remember(memory: Experience, { inputs, answers }: Data, which: readonly number[]): void {
  for (const i of which) {
    memory.confidence.observe(answers[i])
    for (const _ of memory.train(inputs[i], answers[i])) {
    }
  }
}

/** What is no image was mixed of several: the real model answers, while time stands still. */
export async function modelled(name: ModelName, row: Float32Array, clock: VirtualClock): Promise<Float32Array> {
  const release = clock.hold()
  try {
    const [answer] = await answersOf(await modelOf(name), [row])
    return answer
  } finally {
    release()
  }
}
