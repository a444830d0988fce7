import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import { firstFigures } from '../../src/cli/figures'
import { InputFile, loadInputs } from '../../src/cli/npy'
import { ProgressBar, RemainingTime, TimedModel } from '../../src/cli/progress'
import { Codec } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { evaluate } from '../../src/evaluate/evaluate'
import type { EvaluateOptions, EvaluationProgress } from '../../src/evaluate/experiment'
import { type BatchModel, OwnAnswers } from '../../src/evaluate/model'
import { recommend } from '../../src/evaluate/recommend'
import { checkOptions, settingsOf } from '../../src/predictor/settings'
import { npyHeader, run, scratch, unlabelled } from '../shared/cli'

const core = await loadCore()
const { folder, npy: file, write } = scratch()
const codec = (queries = 4, stragglers = 1) => new Codec(core, { queries, stragglers })

/** Three classes of smooth scores over rows of `width` values; keeps count of what it is asked. */
function classifier(width = 16): BatchModel & { rows: number; largest: number } {
  const random = seeded(3)
  const weights = Array.from({ length: 3 }, () => Float32Array.from({ length: width }, () => random.gauss()))
  return {
    rows: 0,
    largest: 0,
    signature: { inputs: [{ name: 'x', shape: [width] }], outputs: [{ name: 'y', shape: [3] }] },
    async infer(rows, count) {
      this.rows += count
      this.largest = Math.max(this.largest, count)
      const scores = Array.from({ length: 3 * count }, (_, at) => {
        const row = rows.subarray(Math.floor(at / 3) * width, (Math.floor(at / 3) + 1) * width)
        return row.reduce((sum, value, i) => sum + value * weights[at % 3][i], 0)
      })
      return Float32Array.from(scores)
    },
  }
}

function queries(count: number, width = 16): Float32Array[] {
  const random = seeded(5)
  const centres = Array.from({ length: 3 }, () => Float32Array.from({ length: width }, () => random.gauss()))
  return Array.from({ length: count }, (_, i) => centres[i % 3].map((value) => value + 0.5 * random.gauss()))
}

/** An evaluation, and what was told on the way. */
async function followed(options: Partial<EvaluateOptions> & Pick<EvaluateOptions, 'model' | 'inputs'>) {
  const told: (Omit<EvaluationProgress, 'figures'> & { figures: ReturnType<EvaluationProgress['figures']> })[] = []
  const onProgress = (progress: EvaluationProgress) => told.push({ ...progress, figures: progress.figures() })
  const evaluation = await evaluate({ codec: codec(), groups: 60, sets: 0, onProgress, ...options })
  return { evaluation, told }
}

describe('first figures', () => {
  it('of the model alone come after its first batch, while all others are outstanding', async () => {
    const [model, inputs] = [classifier(), queries(600)]
    const asked: number[] = []
    const onProgress = ({ figures }: EvaluationProgress) => figures().alone && asked.push(model.rows)
    const labels = inputs.map((_, i) => i % 3)
    await evaluate({ codec: codec(), groups: 20, sets: 0, model, inputs, labels, onProgress })
    expect(asked[0]).toBeLessThanOrEqual(64)
    expect(model.rows).toBeGreaterThan(600)
  })

  it('of the memory come while it fills, those of groups after each; intervals narrow to what is printed', async () => {
    const { told, evaluation } = await followed({ model: classifier(), inputs: queries(600) })
    const filling = told.filter(({ stage }) => stage === 'inputs')
    expect(filling.some(({ figures, left }) => figures.remembered && left.inputs > 50 && left.groups === 60)).toBe(true)
    const groups = told.filter(({ stage }) => stage === 'groups')
    expect(groups.map(({ figures }) => figures.groups)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
    const width = ({ figures }: (typeof told)[number]) => {
      const [low, high] = figures.lost?.ci95 ?? [0, 1]
      return high - low
    }
    expect(width(groups[59])).toBeLessThan(width(groups[9]))
    expect(groups[59].figures.all?.accuracy).toBe(evaluation.accuracy.all)
    expect(groups[59].figures.lost?.accuracy).toBe(evaluation.accuracy.recovered)
  })

  it('of outputs without a label come after few answers, not after all of them', async () => {
    const width = 140_000 // so large that each goes through the model by itself
    const rows = queries(40, width)
    const inputs = { length: 2000, at: (i: number) => rows[i % rows.length] }
    const asked: Record<string, number> = {}
    let count = 0
    const model: BatchModel = {
      signature: { inputs: [{ name: 'x', shape: [width] }], outputs: [{ name: 'y', shape: [1] }] },
      infer: async (row) => (count++, row.slice(0, 1)),
    }
    const onProgress = ({ stage, figures }: EvaluationProgress) => {
      const { all } = figures()
      if (stage === 'groups' && all) asked.all ??= count
    }
    const { tolerance, accuracy } = await evaluate({ model, codec: codec(), inputs, groups: 3, sets: 0, onProgress })
    expect(tolerance).toBeGreaterThan(0)
    expect(accuracy.base).toBe(1)
    expect(asked.all).toBeLessThan(150)
    expect(count).toBeLessThan(160)
  })

  it('are one line that says of how many', () => {
    const share = { accuracy: 0.5, count: 8, ci95: [0.25, 0.75] as [number, number] }
    const figures = () => ({ groups: 2, all: { ...share, accuracy: 0.9 }, lost: share })
    const progress = {
      stage: 'groups',
      done: 2,
      total: 500,
      lookedUp: 8,
      left: { rows: 0, inputs: 0, groups: 498 },
      figures,
    }
    expect(firstFigures(progress as EvaluationProgress, 'K = 2, S = 1, ', 5.2, { ms: 100, rows: 40 })).toBe(
      'after 5 s: K = 2, S = 1, 2 of 500 groups; 2.5 ms an answer; all queries 90.0 % (25.0 % to 75.0 %); lost queries only 50.0 % (25.0 % to 75.0 %)',
    )
  })
})

describe('what is still to be done', () => {
  it('is told as rows of the model; nothing is left at the end', async () => {
    const [model, inputs] = [classifier(), queries(600)]
    const labels = inputs.map((_, i) => i % 3)
    const { told } = await followed({ model, inputs, labels })
    expect(told[0].left.groups).toBe(60)
    expect(told[0].left.inputs).toBeGreaterThan(299) // to be remembered; and those to be drawn
    expect(told[0].left.inputs).toBeLessThan(599)
    expect(told[0].left.rows / (model.rows - 64)).toBeGreaterThan(0.8) // 64 were asked by then
    expect(told[0].left.rows / (model.rows - 64)).toBeLessThan(1.25)
    expect(told.at(-1)?.left).toMatchObject({ rows: 0, inputs: 0, groups: 0 })
  })

  it('is told while few groups wait for many inputs of which the model alone is measured', async () => {
    const [model, inputs] = [classifier(), queries(600)]
    const labels = inputs.map((_, i) => i % 3)
    const { told } = await followed({ model, inputs, labels, groups: 2, memory: 0 })
    expect(told.length).toBeGreaterThan(500)
    expect(told.map(({ left }) => left.rows)).toEqual(told.map(({ left }) => left.rows).sort((a, b) => b - a))
  })

  it('takes as long as the model and the rest took so far', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const slow = { ...classifier(), infer: async (_: Float32Array, n: number) => (vi.advanceTimersByTime(10 * n), new Float32Array(3 * n)) } // biome-ignore format: one line
    const model = new TimedModel(slow)
    const pace = new RemainingTime(model)
    const input = async (left: EvaluationProgress['left']) => {
      await model.infer(new Float32Array(16), 1)
      vi.advanceTimersByTime(2)
      return pace.step({ stage: 'inputs', done: 1, lookedUp: 1, left })
    }
    await input({ rows: 30, inputs: 15, groups: 4 })
    expect(await input({ rows: 30, inputs: 15, groups: 4 })).toBeCloseTo(0.3 + 0.03, 6)
    vi.advanceTimersByTime(8 * 2 + 7) // eight inputs for the first time, and 7 ms for the group itself
    const left = { rows: 20, inputs: 5, groups: 3 }
    expect(pace.step({ stage: 'groups', done: 1, lookedUp: 8, left })).toBeCloseTo(0.2 + 0.01 + 0.021, 6)
    vi.advanceTimersByTime(7)
    expect(pace.step({ stage: 'groups', done: 2, lookedUp: 0, left })).toBeCloseTo(0.231, 6)
  })

  it('is told at the pace of late: the first answers may be slow', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    let ms = 100
    const model = new TimedModel({ ...classifier(), infer: async () => (vi.advanceTimersByTime(ms), new Float32Array(3)) }) // biome-ignore format: one line
    const pace = new RemainingTime(model)
    let seconds = 0
    for (let i = 0; i < 600; i++) {
      if (i === 100) ms = 10
      await model.infer(new Float32Array(16), 1)
      seconds = pace.step({ stage: 'inputs', done: 1, lookedUp: 1, left: { rows: 100, inputs: 0, groups: 0 } })
    }
    expect(seconds).toBeLessThan(1.1)
  })

  it('a line of figures after 5 s, and whenever twice as much time has passed; none of what is nearly done', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const bar = new ProgressBar(true)
    const at: number[] = []
    for (let second = 1; second <= 45; second++) {
      vi.advanceTimersByTime(1000)
      bar.show(second === 10 ? 0.5 : 30, () => String(at.push(second)))
    }
    expect(at).toEqual([5, 11, 20, 40])
    expect(error).toHaveBeenCalledTimes(4)
    const silent = new ProgressBar(false)
    vi.advanceTimersByTime(10_000)
    silent.show(30, () => String(at.push(0)))
    expect(at.length).toBe(4)
  })

  it('a run of more than a minute says so once, and in a pipe prints a line each ten seconds; a short one nothing', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const run = (seconds: number) => {
      error.mockClear()
      const bar = new ProgressBar(true)
      bar.start('groups', seconds)
      for (let second = 1; second <= seconds; second++) {
        vi.advanceTimersByTime(1000)
        bar.update(second)
      }
      return error.mock.calls.map(([line]) => line)
    }
    expect(run(50)).toEqual([])
    const lines = run(90)
    expect(lines[0]).toBe('this takes about 90 s')
    expect(lines.length).toBe(10)
    expect(lines[1]).toBe('10 s: groups, 10 of 90, 80 s left')
  })

  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
})

describe('inputs', () => {
  it('of a file larger than memory are read a row at a time', async () => {
    const [count, width] = [2000, 262_144]
    const path = join(folder, 'large.npy')
    const header = npyHeader("'|u1'", false, [count, width])
    const handle = openSync(path, 'w')
    writeSync(handle, header)
    ftruncateSync(handle, header.length + count * width) // zeros that take no room on the disk
    writeSync(handle, Buffer.of(51), 0, 1, header.length + 1999 * width + 7)
    closeSync(handle)
    const before = process.memoryUsage().arrayBuffers
    const inputs = await InputFile.open(path)
    expect(inputs.length).toBe(count)
    expect(inputs.at(1999)?.[7]).toBeCloseTo(0.2, 6)
    expect(inputs.at(count)).toBeUndefined()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * width)
    await inputs.close()
  })

  it('are the same ones whether read at once or one by one, of every type', async () => {
    const values = Float64Array.from({ length: 12 }, (_, i) => i / 8)
    const paths = [file('f8.npy', values, [3, 4]), file('f4.npy', Float32Array.from(values), [3, 4])]
    for (const path of paths) {
      const inputs = await InputFile.open(path, [4])
      expect([0, 1, 2].map((i) => inputs.at(i))).toEqual(await loadInputs(path))
      expect(inputs.at(2)).toEqual(Float32Array.of(1, 1.125, 1.25, 1.375))
      await inputs.close()
    }
    const bits = Buffer.from(Uint16Array.of(0x3c00, 0x3800, 0xc000, 0).buffer)
    const half = write('f2.npy', Buffer.concat([npyHeader("'<f2'", false, [1, 4]), bits]))
    expect(await loadInputs(half)).toEqual([Float32Array.of(1, 0.5, -2, 0)])
  })

  it('large ones go through the model one by one, small ones together', async () => {
    for (const [width, most] of [
      [16, 64],
      [200_000, 1],
    ]) {
      const model = classifier(width)
      await new OwnAnswers(model, queries(70, width)).of([0, 69])
      expect(model.largest).toBe(most)
    }
  })

  it('are answered once for all schemes, and the figures are those of each alone', async () => {
    const [model, inputs] = [classifier(), queries(300)]
    const own = new OwnAnswers(model, inputs)
    const options = { inputs, groups: 20, sets: 0, memory: 150, policy: 'recover' as const }
    const shared = []
    for (const K of [2, 4]) shared.push(await evaluate({ ...options, model, own, codec: codec(K) }))
    expect(own.count).toBeLessThanOrEqual(300)
    const rows = model.rows
    for (const [i, K] of [2, 4].entries()) {
      expect(await evaluate({ ...options, model, codec: codec(K) })).toEqual(shared[i])
    }
    expect(model.rows - rows).toBeGreaterThan(rows) // alone each scheme asks for its inputs anew
  })

  it('of the wrong length, or with a NaN, are refused by name', async () => {
    const odd = queries(20).with(3, new Float32Array(5))
    const evaluated = (inputs: Float32Array[]) => evaluate({ model: classifier(), codec: codec(), inputs, groups: 2 })
    await expect(evaluated(odd)).rejects.toThrow('inputs[3]: expected 16 values, got 5')
    const bad = queries(20).with(4, new Float32Array(16).fill(NaN, 2, 3))
    await expect(evaluated(bad)).rejects.toThrow('inputs[4]: expected finite values, got NaN at 2')
    await expect(evaluated(queries(3))).rejects.toThrow('inputs: expected >= 4 (queries, memory), got 3')
  })
})

describe('the defaults are those of createPredictor', () => {
  const remembered = async (options: Partial<EvaluateOptions>, width?: number) => {
    const [model, inputs] = [classifier(width), queries(width ? 20 : 400, width)]
    return (await evaluate({ model, codec: codec(), inputs, groups: 2, sets: 0, ...options })).memory
  }

  it('a memory with the systematic code, unless the policy is retry or queries are too large for it', async () => {
    expect(await remembered({})).toBe(200)
    expect(await remembered({ policy: 'retry' })).toBe(0)
    expect(await remembered({ codec: new Codec(core, { queries: 4, stragglers: 1, preset: 'aaai22' }) })).toBe(0)
    expect(await remembered({}, 100_000)).toBe(0)
  })

  it('a confidence, on the command line and in what is recommended, too', async () => {
    const { choices } = settingsOf(checkOptions({ scheme: { queries: 4 } }), codec())
    const cli = JSON.parse(run('evaluate', ...unlabelled, '--groups', '2', '--json').stdout)
    expect([cli.policy, cli.minConfidence]).toEqual([choices.policy, choices.minConfidence])
    const wishes = { tolerate: 1, stragglerRate: 0.1, retryPrice: 1 }
    const uses = (minConfidence: number) => recommend([measured], { ...wishes, minConfidence }).map(({ use }) => use)
    const sure = { tested: 100, agreement: 1, sure: { share: 1, agreement: 1 } }
    const rivals = { replicationWorkers: 8, guessLost: 1, memoryAlone: { accuracy: 1, ci95: [1, 1] as [number, number], confidence: sure } } // biome-ignore format: one line
    const accuracy = { base: 1, all: 1, allCi95: [1, 1] as [number, number], copied: 0, nothingMissing: 1 }
    const measured = { code: 'systematic' as const, queries: 4, stragglers: 1, workers: 5, memory: 200, evaluation: { accuracy, rivals } } // biome-ignore format: one line
    expect(uses(choices.minConfidence).filter((use) => use.includes('minConfidence'))).toEqual([])
    expect(uses(0.5).filter((use) => use.includes('minConfidence: 0.5')).length).toBe(1)
  })

  it('a wrong one is refused as there', async () => {
    await expect(remembered({ minConfidence: 90 })).rejects.toThrow('minConfidence: expected a probability from 0 to 1')
  })

  it('a number that is given gets the memory that it takes', async () => {
    expect(await remembered({ memory: 130, policy: 'retry' })).toBe(130)
    const large = { model: classifier(100_000), inputs: queries(20, 100_000), codec: codec(), groups: 2, sets: 0 }
    const { memory, memoryOptions } = await evaluate({ ...large, memory: 10 })
    expect([memory, (memoryOptions?.bytes ?? 0) > 64 * 2 ** 20]).toEqual([10, true])
  })
})

it('intervals are over distinct queries: twenty times as many groups of the same few do not narrow them', async () => {
  const width = async (groups: number) => {
    const random = seeded(9)
    const model = classifier()
    const noisy = queries(300).map((row) => row.map((value) => value + 1.5 * random.gauss())) // so that some are got wrong
    const { rivals } = await evaluate({ model, codec: codec(), inputs: noisy, memory: 260, groups, sets: 0 })
    const [low, high] = rivals.memoryAlone?.ci95 ?? [0, 0]
    return high - low
  }
  expect(await width(2000)).toBeGreaterThan(0.8 * (await width(100)))
})
