/** One run of bench sampled: a pool of which a quarter lies, in simulated time, with the answers of a real model. A query is the number of its answer. */

import { createPredictor, localWorkers } from 'approxifer'
import { seeded } from '../../src/base/random'
import { rootMeanSquare } from '../../src/base/stats'
import { lognormal } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { texts } from '../../test/models/texts'
import { recalls, together, verdicts } from '../../test/shared/heard-events'
import { dataOf } from '../shared/models'
import { MEDIAN_MS, SimulatedWorker, type Simulation } from '../shared/simulated'
import { lieOf } from './liars-run'

export const ATTACKS = [
  'gauss:1',
  'gauss:10',
  'gauss:100',
  'flip',
  'swap',
  'runner-up',
  'constant',
  'replay',
  'scaled',
  'swap, tells scales of 1e30',
]
/** Of all others, the user's own. */
const ANCHORS = 1 / 12
const LOAD = 0.5
const TEXTS = 500

export const MODELS = ['mnist-lenet', 'fashion-lenet', 'cifar-resnet8', 'embedder'] as const

export interface Job {
  model: (typeof MODELS)[number]
  /** Share of a liar's answers that are lies. */
  share: number
  /** Liars of one attack; three times as many workers as lie do not. */
  each: number
  seed: number
}

export interface Figures {
  /** By attack, lies of each liar until it was convicted, or so far; and whether it was. */
  liars: { attack: string; lies: number; isConvicted: boolean }[]
  queries: number
  audits: number
  /** Inferences for late queries, which there are without it as well, and for those that a convict was at work on. */
  others: number
  /** Wrong answers that were given, of convicts and of others; of the former those that were recalled. */
  wrong: { convicts: number; recalled: number; others: number }
  /** Right answers of convicts that were recalled. */
  inVain: number
  framed: number
  statuses: Record<string, number>
}

async function answersOf(model: Job['model']): Promise<{ answers: Float32Array[]; name: string; hasLabel: boolean }> {
  if (model !== 'embedder') {
    const { answers, signature } = await dataOf(model)
    return { answers, name: signature.outputs[0].name, hasLabel: true }
  }
  const name = 'sentence_embedding'
  const [embedder] = await localWorkers({ model: 'test/models/text/embedder.onnx', workers: 1, outputs: [name] })
  const answers: Float32Array[] = []
  for (const { input_ids, attention_mask } of texts(TEXTS)) {
    const [{ data }] = await embedder.infer([input_ids, attention_mask])
    answers.push((data as Float32Array).slice())
  }
  await embedder.close()
  return { answers, name, hasLabel: false }
}

/** Whether an answer can be proven to be no rounding of the model's own: thirty times `verify.rounding` of its size. */
const isWrong = (answer: Float32Array, own: Float32Array, scale: number) => {
  const most = 30 * 1e-4 * Math.max(scale, rootMeanSquare(own))
  return answer.some((value, i) => !(Math.abs(value - own[i]) <= most))
}

class Worker extends SimulatedWorker {
  lies = 0

  constructor(
    index: number,
    simulation: Simulation,
    /** Of its answers, and what it tells of that. */
    private readonly size: number,
    override readonly scales: readonly number[],
    readonly trusted: boolean,
    /** Its own rounding, or a lie. */
    private readonly told: (own: Float32Array) => Float32Array | undefined,
  ) {
    super(index, simulation)
  }

  override async answer(row: Float32Array): Promise<Float32Array> {
    const own = await super.answer(row)
    const lie = this.told(own)
    if (lie && isWrong(lie, own, this.size)) this.lies++
    return lie ?? (Number(this.name.split(' ')[1]) % 2 ? own.map((value) => value * (1 + 1e-6)) : own)
  }
}

export async function simulate({ model, share, each: ofOne, seed }: Job): Promise<Figures> {
  const { answers, name, hasLabel } = await answersOf(model)
  const size = rootMeanSquare(answers[0])
  const clock = new VirtualClock()
  const [arriving, serving, lying, tossing] = [0, 1, 2, 3].map((i) =>
    seeded(1000 * seed + 100 * MODELS.indexOf(model) + i),
  )
  const simulation: Simulation = {
    clock,
    serviceMs: () => lognormal(serving),
    answer: ([number]) => answers[number].slice(),
    signature: {
      inputs: [{ name: 'number', shape: [1] }],
      outputs: [{ name, shape: [answers[0].length] }],
    },
  }
  const lie = (i: number) => (own: Float32Array) =>
    lying.next() < share ? lieOf(attackOf(i).split(',')[0], own, answers, lying) : undefined
  const attackOf = (i: number) => ATTACKS[i % ATTACKS.length]
  const liars = ofOne * ATTACKS.length
  const others = 4 * liars
  const count = others + Math.round(ANCHORS * others)
  const scaleOf = (i: number) => (i < liars && attackOf(i).includes('1e30') ? 1e30 : size)
  const workers = Array.from({ length: count }, (_, i) => new Worker(i, simulation, size, [scaleOf(i)], i >= others, i < liars ? lie(i) : () => undefined)) // biome-ignore format: one line
  const convicted = new Map<string, number>()
  const figures: Figures = { liars: [], queries: 0, audits: 0, others: 0, wrong: { convicts: 0, recalled: 0, others: 0 }, inVain: 0, framed: 0, statuses: {} } // biome-ignore format: one line
  const { wrong, statuses } = figures
  /** Of each worker, ids of wrong answers that were given. */
  const given = new Map<string, Set<number>>()
  const predictor = await createPredictor({
    ...{ workers, deadlineMs: 60_000, limits: { queries: 1e5 }, onWarning() {} },
    verify: { mode: 'sampled' },
    ...(!hasLabel && { right: { outputs: { [name]: { within: 0.1 } } } }),
    testing: { clock, seed, coin: tossing.next },
    onEvent: together(
      verdicts(({ worker }) => convicted.set(worker, workers[Number(worker.split(' ')[1])].lies)),
      recalls(({ worker, ids }) => {
        const own = given.get(worker) ?? new Set()
        const recalled = ids.filter((id) => own.has(id)).length
        wrong.convicts += own.size
        wrong.recalled += recalled
        figures.inVain += ids.length - recalled
        given.delete(worker)
      }),
    ),
  })
  const told = (number: number, by: string, id: number | undefined, answer: Float32Array) => {
    if (!isWrong(answer, answers[number], size)) return
    const own = given.get(by) ?? new Set()
    given.set(by, own.add(id ?? -1))
  }
  // Of each so many answers that one liar in 100 may not be convicted.
  const most = (90 / share) * count
  const arrive = () => {
    const number = arriving.below(answers.length)
    figures.queries++
    void predictor.predict(Float32Array.of(number)).then(({ status, workers: [by], id, output }) => {
      statuses[status] = (statuses[status] ?? 0) + 1
      told(number, by, id, output[name].data as Float32Array)
    })
    if (figures.queries >= most || (share < 0.1 && convicted.size >= liars)) return
    clock.after((-Math.log(1 - arriving.next()) * MEDIAN_MS) / (LOAD * count), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  const calls = workers.reduce((sum, each) => sum + each.calls, 0)
  const anchors = workers.slice(others).reduce((sum, each) => sum + each.calls, 0)
  await predictor.close()
  wrong.others = [...given.values()].reduce((sum, { size }) => sum + size, 0)
  figures.audits = anchors - (statuses.exact ?? 0)
  figures.others = calls - figures.queries - figures.audits
  figures.framed = [...convicted.keys()].filter((worker) => Number(worker.split(' ')[1]) >= liars).length
  figures.liars = workers.slice(0, liars).map((each, i) => {
    const lies = convicted.get(each.name)
    return { attack: attackOf(i), lies: lies ?? each.lies, isConvicted: lies !== undefined }
  })
  return figures
}
