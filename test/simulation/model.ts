/** The model of the simulation, and the lies that are told of it. Two values, so that an answer has a label. */

import { type Lie, lies, sly, truth } from '../shared/lying-answers'

export const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** @param model  which of those that replaced each other */
export function ownAnswer([a, b]: Float32Array, model: number): Float32Array {
  return truth(Float32Array.of(a + model, b - model))
}

export const labelOf = ([first, second]: Float32Array) => Number(second > first)

/** Told alike by all who tell them, by each in its own way, or now and then. */
export const strategies: Record<string, Lie> = { ...lies, ...sly }
