/** The model of the simulation, and the lies that are told of it. Two values, so that an answer has a label. */

import { type Lie, lies, sly } from '../shared/lies'

export { truth as ownAnswer } from '../shared/lies'

export const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

export const labelOf = ([first, second]: Float32Array) => Number(second > first)

/** Told alike by all who tell them, by each in its own way, or now and then. */
export const strategies: Record<string, Lie> = { ...lies, ...sly }
