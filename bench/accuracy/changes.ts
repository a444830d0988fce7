/**
 * npm run bench -- changes [SET ...] [--json]: what a memory says of itself while its stream changes. Real models' answers go
 * through what the predictor learns from: each query is recovered before it is told, and seven of eight answers come and
 * teach. A class that was never seen, another mix of classes, five choices of class each; digits to clothes, classes that
 * drift, images that dim. Beside each a memory that met the stream's new state from the start: what is steady. Five minutes
 * on two idle cores. Needs `npm run data`.
 */

import { existsSync } from 'node:fs'
import { type Random, seeded } from '../../src/base/random'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { newExperience } from '../shared/models'
import { markdownTable } from '../shared/report'

const MIN_CONFIDENCE = 0.9
/** Of 900 images a class: as many as 95 % before, and a tenth after, leave room for. */
const BEFORE = 700
const AFTER = 2200
/** After so many a gradual change is complete. */
const COMPLETE = 1500
const FIRST = 500
const FIRST_SURE = 200
const WINDOW = 200
/** Share of the steady sure share that counts as back. */
const BACK = 0.8
/** Of so many answers one is lost, and teaches nothing. */
const LOST = 8
const CLASSES = 10
const CHOICES = [0, 2, 4, 6, 8]
const DARKEST = 0.3

const models = { mnist: 'mnist-lenet', fashion: 'fashion-lenet', cifar: 'cifar-resnet8' } as const
type SetName = keyof typeof models

/** Queries in their order, and the model's own answers. */
interface Stream {
  inputs: Float32Array[]
  own: Float32Array[]
}

/** What a query is of, `step` queries after the change; below 0 before it. */
interface Change {
  name: string
  before(random: Random): number
  after(random: Random, step: number): number
  /** The share of their light that images keep. */
  light?: (step: number) => number
  /** Clothes are shown to the model of digits from the change on. */
  clothes?: true
}

const among = (from: number, count: number) => (random: Random) => from + random.below(count)
const any = among(0, CLASSES)
const other = (than: number) => (random: Random) => (than + 1 + random.below(CLASSES - 1)) % CLASSES
const mostly = (one: number) => (random: Random) => (random.next() < 0.95 ? one : other(one)(random))
const complete = (step: number) => Math.min(1, Math.max(0, step / COMPLETE))

const drift = (random: Random, step: number) =>
  among(random.next() < complete(step) ? CLASSES / 2 : 0, CLASSES / 2)(random)
const dimming = (step: number) => 1 - (1 - DARKEST) * complete(step)

const changes: Change[] = [
  ...CHOICES.map((one) => ({ name: `new class ${one}`, before: other(one), after: any })),
  ...CHOICES.map((one) => ({ name: `new mix, 95 % of ${one} before`, before: mostly(one), after: any })),
  { name: 'classes 0 to 4 drift to 5 to 9', before: among(0, CLASSES / 2), after: drift },
  { name: `dimming to ${DARKEST}`, before: any, after: any, light: dimming },
]
const toClothes: Change = { name: 'digits to clothes', before: any, after: any, clothes: true }

export interface Changed {
  set: SetName
  change: string
  /** Over the last queries before: share with at least MIN_CONFIDENCE, and how many of these agree with the model. */
  sureBefore: number
  agreementBefore?: number | undefined
  /** Of the first 500 after the change. */
  sureAndWrong: number
  /** Of the first 200 sure ones. */
  firstSure?: number | undefined
  /** Sure share of a memory that met the new state from the start, over the same queries after. */
  steady: number
  /** Queries until the sure share over a window is back; undefined where it never was. */
  back?: number | undefined
  /** Agreement of every recovery after the change, and of the sure ones. */
  agreement: number
  agreementSure?: number | undefined
  /** Of the last 500, when all is long over; and of the steady memory. */
  end: Record<'live' | 'steady', { agreement: number; sure: number }>
}

/** Images of one set by class; none is dealt twice in one stream. */
class Images {
  readonly all: readonly Float32Array[]
  readonly #classes: number[][]

  constructor(all: readonly Float32Array[], labels: ArrayLike<number>) {
    this.all = all
    this.#classes = Array.from({ length: CLASSES }, (_, label) => [...all.keys()].filter((i) => labels[i] === label))
  }

  /** @throws Error where a class has no more */
  dealer(random: Random): (label: number) => number {
    const left = this.#classes.map((some) => random.choose(some.length, some.length).map((i) => some[i]))
    return (label) => {
      const dealt = left[label].pop()
      if (dealt === undefined) throw new Error(`no more images of class ${label}`)
      return dealt
    }
  }
}

/** Answers to the images of a set as they are are asked for once. */
class Model {
  readonly #model: OnnxModel
  readonly #own = new Map<Float32Array, Float32Array>()

  constructor(model: OnnxModel) {
    this.#model = model
  }

  get signature() {
    return this.#model.signature
  }

  async answers(inputs: readonly Float32Array[]): Promise<Float32Array[]> {
    const asked = [...new Set(inputs)].filter((input) => !this.#own.has(input))
    const answers = await answersOf(this.#model, asked)
    asked.forEach((input, i) => this.#own.set(input, answers[i]))
    return inputs.map((input) => this.#own.get(input) as Float32Array)
  }

  close(): Promise<void> {
    return this.#model.close()
  }
}

/** @param settled  as it is when the change is complete, from the start */
async function streamOf(
  change: Change,
  model: Model,
  images: Images,
  clothes: Images,
  settled: boolean,
): Promise<Stream> {
  const random = seeded(1)
  const deal = { images: images.dealer(random), clothes: clothes.dealer(random) }
  const inputs = Array.from({ length: BEFORE + AFTER }, (_, i) => {
    const step = settled ? COMPLETE : i - BEFORE
    const label = step < 0 ? change.before(random) : change.after(random, step)
    const shown = change.clothes && step >= 0
    const image = shown ? clothes.all[deal.clothes(label)] : images.all[deal.images(label)]
    const light = change.light?.(step) ?? 1
    return light === 1 ? image : image.map((value) => light * value)
  })
  return { inputs, own: await model.answers(inputs) }
}

interface Recovered {
  sure: boolean
  right: boolean
}

/** What is said of every query of the last WINDOW before the change, and of all after it. */
function recoveries(core: Core, { signature }: Model, { inputs, own }: Stream): Recovered[] {
  const experience = newExperience(core, signature)
  const told: Recovered[] = []
  for (const [i, query] of inputs.entries()) {
    const recalled = i >= BEFORE - WINDOW && experience.recall(query)
    if (recalled) {
      const confidence = experience.confidence.of({ ...recalled, missing: 1 }) ?? 0
      told.push({
        sure: confidence >= MIN_CONFIDENCE,
        right: experience.confidence.agrees(recalled.answer, own[i]) === true,
      })
    }
    if (i % LOST) Array.from(experience.train(query, own[i]))
  }
  return told
}

const share = (of: readonly Recovered[], is: (each: Recovered) => boolean) => of.filter(is).length / of.length
const isSure = ({ sure }: Recovered) => sure
const isRight = ({ right }: Recovered) => right
const agreement = (some: readonly Recovered[]) => (some.length ? share(some, isRight) : undefined)

function atEnd(told: readonly Recovered[]) {
  const last = told.slice(-FIRST)
  return { agreement: share(last, isRight), sure: share(last, isSure) }
}

function figures(told: readonly Recovered[], settled: readonly Recovered[]): Omit<Changed, 'set' | 'change'> {
  const [before, after] = [told.slice(0, WINDOW), told.slice(WINDOW)]
  const steady = share(settled.slice(WINDOW), isSure)
  const back = after.findIndex((_, i) => share(after.slice(i, i + WINDOW), isSure) >= BACK * steady)
  return {
    sureBefore: share(before, isSure),
    agreementBefore: agreement(before.filter(isSure)),
    sureAndWrong: after.slice(0, FIRST).filter(({ sure, right }) => sure && !right).length,
    firstSure: agreement(after.filter(isSure).slice(0, FIRST_SURE)),
    steady,
    back: back < 0 || back + WINDOW > after.length ? undefined : back + WINDOW,
    agreement: share(after, isRight),
    agreementSure: agreement(after.filter(isSure)),
    end: { live: atEnd(after), steady: atEnd(settled) },
  }
}

/** @param only  sets; default all */
export async function changed(
  only: readonly string[] = [],
  tell: (row: Changed) => void = () => {},
): Promise<Changed[]> {
  const core = await loadCore()
  const all: Changed[] = []
  const images = async (set: string) =>
    new Images(await loadInputs(`data/${set}-images.npy`), await loadLabels(`data/${set}-labels.npy`))
  for (const set of Object.keys(models) as SetName[]) {
    if (only.length && !only.includes(set)) continue
    const model = new Model(await OnnxModel.load(await readModel(`models/${models[set]}.onnx`)))
    const [own, clothes] = [await images(set), await images('fashion')]
    let uniform: Recovered[] | undefined
    for (const change of [...changes, ...(set === 'mnist' ? [toClothes] : [])]) {
      const stream = async (settled: boolean) =>
        recoveries(core, model, await streamOf(change, model, own, clothes, settled))
      const plain = change.after === any && !change.light && !change.clothes
      if (plain) uniform ??= await stream(true)
      const settled = plain && uniform ? uniform : await stream(true)
      const row = { set, change: change.name, ...figures(await stream(false), settled) }
      all.push(row)
      tell(row)
    }
    await model.close()
  }
  return all
}

/** Columns and cells, for the terminal. */
const changedHead = [
  ...['', 'sure before', 'agree', `sure but wrong, first ${FIRST}`, `first ${FIRST_SURE} sure ones agree`],
  ...['steady sure', 'back after', 'all agree', 'agree when sure', 'end: agree (steady)', 'end: sure (steady)'],
]

function changedRow(row: Changed): string[] {
  const percent = (part: number | undefined) => (part === undefined ? '-' : (100 * part).toFixed(1))
  const shares = [row.agreement, row.agreementSure].map(percent)
  const { live, steady } = row.end
  const end = [
    `${percent(live.agreement)} (${percent(steady.agreement)})`,
    `${percent(live.sure)} (${percent(steady.sure)})`,
  ]
  return [
    ...[`${row.set}, ${row.change}`, percent(row.sureBefore), percent(row.agreementBefore), `${row.sureAndWrong}`],
    ...[
      percent(row.firstSure),
      percent(row.steady),
      row.back === undefined ? 'never' : `${row.back}`,
      ...shares,
      ...end,
    ],
  ]
}

/** Kinds of changes, as their names begin: a row of the page has the worst of a kind, for each set. */
const kinds: Record<string, string> = {
  'new class': `a new class appears; ${CHOICES.length} choices`,
  'new mix': `95 % of one class, then all classes equally often; ${CHOICES.length} choices`,
  'classes 0 to 4': `classes 5 to 9 gradually replace 0 to 4 over ${COMPLETE.toLocaleString('en')} queries`,
  dimming: `images gradually lose ${100 * (1 - DARKEST)} % of their brightness over ${COMPLETE.toLocaleString('en')} queries`,
  'digits to clothes': 'images of digits, then of clothes (MNIST)',
}

/** The section of docs/appendix/accuracy.md. */
export function changesSection(rows: readonly Changed[]): string {
  const table = Object.entries(kinds).map(([start, title]) => {
    const sets = (Object.keys(models) as SetName[])
      .map((set) => rows.filter((row) => row.set === set && row.change.startsWith(start)))
      .filter((some) => some.length)
    const each = (of: (some: readonly Changed[]) => string) => sets.map(of).join('; ')
    const back = (some: readonly Changed[]) => {
      const all = some.map((row) => row.back ?? Number.POSITIVE_INFINITY)
      const [least, most] = [Math.min(...all), Math.max(...all)].map((count) => (Number.isFinite(count) ? count.toLocaleString('en') : 'never')) // biome-ignore format: one line
      return least === most ? least : `${least} to ${most}`
    }
    const lowest = (some: readonly Changed[], of: (row: Changed) => number | undefined) =>
      (100 * Math.min(...some.map((row) => of(row) ?? 1))).toFixed(1)
    return [
      title,
      each((some) => `${Math.max(...some.map(({ sureAndWrong }) => sureAndWrong))}`),
      each((some) => lowest(some, ({ firstSure }) => firstSure)),
      each(back),
    ]
  })
  const head = ['', `sure but wrong recoveries among the first ${FIRST}, at most`, `share of the first ${FIRST_SURE} sure recoveries that agree, at least`, 'back after, queries'] // biome-ignore format: one line
  return `## Streams that change

\`npm run bench -- changes\` prints a row for each change. A stream has ${BEFORE} queries before its change and ${AFTER.toLocaleString('en')} queries after it. The memory predicts each answer before it learns it. Seven of eight answers arrive and are learned; the eighth is lost.
"Back after" is the number of queries after the change until the share of sure recoveries, over ${WINDOW} queries, is back. It is back at ${100 * BACK} % of the share of a memory that saw the new distribution from the start. A cell has MNIST; Fashion-MNIST; CIFAR-10.

${markdownTable(head, table)}`
}

export default async function changesBench(json: boolean, only: string[]): Promise<void> {
  const wrong = only.find((set) => !Object.hasOwn(models, set))
  if (wrong) throw new RangeError(`set: expected ${Object.keys(models).join(', ')}, got ${wrong}`)
  const missing = Object.keys(models).find((set) => !existsSync(`data/${set}-images.npy`))
  if (missing) throw new Error(`data/${missing}-images.npy is not there: run npm run data first`)
  const rows = await changed(only, (row) => console.error(changedRow(row).join('; ')))
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const out = table(changedHead)
  for (const row of rows) out.push(changedRow(row))
  console.log(`${out}\nin %, but for counts of queries`)
}
