/**
 * npm run bench -- attacked [SEEDS] [--json]: answers before asking beside somebody who works against them, digits, `maxError` .01, nine workers of 10 ms in
 * simulated time; 10 seeds unless told otherwise. A tenant's 6,000 queries alone, beside a tenant of the same kind, and beside one that attacks: from a third of the
 * run on the memory is as confident of what he asks as ever, and always wrong. And answers that are proven (`byzantine` 1), all workers honest, or one of the
 * nine soon answering what a memory of all that it was asked would say. Of the tenant's answers the shares given unasked in
 * the second half and wrong; of all answers those that are `exact` and wrong; who was ejected. Means, and twice their standard errors. Needs `npm run data`.
 */

import { labelAt } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { createPredictor } from '../../src/predictor/create'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { queriesOf } from '../shared/moved-images'
import { randomTrouble, SimulatedWorker } from '../shared/simulated'

const WORKERS = 9
const MEAN_MS = 11.8
const LOAD = 0.5
const QUERIES = 6000
const MAX_ERROR = 0.01
/** From here on somebody works against it. */
const FROM = QUERIES / 3

type Neighbour = 'none' | 'of the same kind' | 'that attacks'
interface Plan {
  neighbour: Neighbour
  byzantine: 0 | 1
  lies: boolean
}

const plan = (given: Partial<Plan> = {}): Plan => ({ neighbour: 'none', byzantine: 0, lies: false, ...given })

const plans: Record<string, Plan> = {
  'a tenant alone': plan(),
  'beside one of the same kind': plan({ neighbour: 'of the same kind' }),
  'beside one that attacks': plan({ neighbour: 'that attacks' }),
  'proven, all honest': plan({ byzantine: 1 }),
  'proven, one repeats what a memory says': plan({ byzantine: 1, lies: true }),
}

/** Of one tenant. */
interface Figures {
  unasked: number
  wrong: number
  /** The neighbour's share of wrong answers. */
  neighbourWrong: number
  /** Answers of status `exact` that are not the model's. */
  wrongExact: number
  ejected: number
}

type World = Awaited<ReturnType<typeof queriesOf>>
const labelOf = (answer: Float32Array) => labelAt(answer, { classes: answer.length })
const turned = (answer: Float32Array) => answer.map((_, i) => answer[(i + 1) % answer.length])

/** The model: an image with a bright first pixel has the next label, which no memory foresees. */
function modelOf({ inputs, answers }: World): (image: Float32Array) => Float32Array {
  const keyOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset + 4, byteLength - 4).toString('latin1')
  const known = new Map(inputs.map((image, i) => [keyOf(image), i]))
  return (image) => {
    const answer = answers[known.get(keyOf(image)) as number]
    return image[0] > 0.5 ? turned(answer) : answer.slice()
  }
}

/** The answer to the most alike of what it was asked. */
class Repeating extends SimulatedWorker {
  readonly #seen: [Float32Array, Float32Array][] = []

  override answer(image: Float32Array): Float32Array {
    const own = super.answer(image) as Float32Array
    const [, nearest] = this.#seen.reduce<[number, Float32Array]>(
      ([least, answer], [other, its]) => {
        let sum = 0
        for (let i = 0; i < image.length && sum < least; i++) sum += (image[i] - other[i]) ** 2
        return sum < least ? [sum, its] : [least, answer]
      },
      [Number.POSITIVE_INFINITY, own],
    )
    this.#seen.push([image.slice(), own])
    return this.#seen.length > FROM / 4 ? nearest.slice() : own
  }
}

async function run(world: World, { neighbour, byzantine, lies }: Plan, seed: number): Promise<Figures> {
  const { inputs, signature } = world
  const model = modelOf(world)
  const clock = new VirtualClock()
  const [arriving, serving, tossing] = [1, 2, 3].map((part) => seeded(10 * seed + part))
  const simulation = { clock, serviceMs: randomTrouble(serving), answer: model, signature }
  const workers = Array.from(
    { length: WORKERS },
    (_, i) => new (lies && i === 0 ? Repeating : SimulatedWorker)(i, simulation),
  )
  const predictor = await createPredictor({
    workers,
    ...(byzantine && { scheme: { queries: 4, byzantine } }),
    reuse: { maxError: MAX_ERROR },
    hedge: false,
    limits: { queries: 1e5, tenants: 2 },
    onWarning() {},
    testing: { clock, coin: tossing.next },
  })
  const tenants = neighbour === 'none' ? ['own'] : ['own', 'other']
  const counts = Object.fromEntries(tenants.map((name) => [name, { unasked: 0, wrong: 0, wrongExact: 0 }]))
  const ask = async (tenant: string, at: number, image: Float32Array) => {
    const { output, status } = await predictor.predict(image, { tenant })
    const answer = output[signature.outputs[0].name].data as Float32Array
    const right = labelOf(answer) === labelOf(model(image))
    if (status === 'remembered' && at >= QUERIES / 2) counts[tenant].unasked++
    counts[tenant].wrong += Number(!right)
    counts[tenant].wrongExact += Number(!right && status === 'exact')
  }
  for (const tenant of tenants) {
    const order = arriving.choose(inputs.length, QUERIES)
    let due = 0
    order.forEach((which, at) => {
      due += (-Math.log(1 - arriving.next()) * MEAN_MS * tenants.length) / (LOAD * WORKERS)
      const image = inputs[which].slice()
      if (tenant === 'other' && neighbour === 'that attacks' && at >= FROM) image[0] = 1
      clock.after(due, () => void ask(tenant, at, image))
    })
  }
  await clock.run()
  const ejected = predictor.stats().workers.filter(({ ejections }) => ejections).length
  await predictor.close()
  const { own, other } = counts
  return {
    unasked: own.unasked / (QUERIES / 2),
    wrong: own.wrong / QUERIES,
    neighbourWrong: other ? other.wrong / QUERIES : Number.NaN,
    wrongExact: own.wrongExact + (other?.wrongExact ?? 0),
    ejected,
  }
}

/** In percent, with twice the standard error. */
function mean(values: readonly number[]): string {
  const average = values.reduce((sum, value) => sum + value, 0) / values.length
  if (Number.isNaN(average)) return '-'
  const spread = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / Math.max(1, values.length - 1)
  return `${(100 * average).toFixed(2)} ± ${(200 * Math.sqrt(spread / values.length)).toFixed(2)}`
}

export default async function attacked(json: boolean, [seeds = '10']: string[]): Promise<void> {
  const world = await queriesOf('mnist-lenet')
  const out = table(['', 'unasked, %', 'wrong, %', 'neighbour’s wrong, %', 'wrong exact', 'ejected'])
  const all: object[] = []
  for (const [name, plan] of Object.entries(plans)) {
    const runs: Figures[] = []
    for (let seed = 1; seed <= Number(seeds); seed++) runs.push(await run(world, plan, seed))
    all.push({ name, runs })
    const shares = (['unasked', 'wrong', 'neighbourWrong'] as const).map((what) => mean(runs.map((each) => each[what])))
    const sums = (['wrongExact', 'ejected'] as const).map((what) =>
      String(runs.reduce((sum, each) => sum + each[what], 0)),
    )
    out.push([name, ...shares, ...sums])
  }
  console.log(json ? JSON.stringify(all, null, 2) : `${out}`)
}
