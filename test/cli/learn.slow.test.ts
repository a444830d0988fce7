import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPredictor } from 'approxifer'
import { beforeAll, describe, expect, it } from 'vitest'
import { run, scratch } from '../shared/cli'
import { onnx } from '../shared/onnx'
import { digit, json, LENET, Served } from '../shared/served-process'

const { folder, npy, write } = scratch()
const state = join(folder, 'state')
const file = join(state, 'digits.state')
/** Of 400 digits these are learned, and the others asked. */
const LEARNED = 340
const asked = Array.from({ length: 60 }, (_, i) => LEARNED + i)
let inputs = ''
let printed = ''

beforeAll(() => {
  const digits = Array.from({ length: LEARNED }, (_, i) => [...digit(i)])
  inputs = npy('learned.npy', Float32Array.from(digits.flat()), [LEARNED, 784])
  const { status, stdout, stderr } = run('learn', `digits=${LENET}`, '--inputs', inputs, '-o', state)
  expect([status, stderr]).toEqual([0, ''])
  printed = stdout
})

async function statusOf(response: Response): Promise<string> {
  const { parameters } = (await response.json()) as { parameters: { status: string[] } }
  return String(parameters.status)
}

/** Statuses of the first answers of a server. */
async function firstAnswers(folder: string): Promise<{ statuses: string[]; log: string }> {
  const server = await Served.start([`digits=${LENET}`, '--workers', '1', '--max-error', '0.05', '--state', folder])
  const statuses: string[] = []
  for (const i of asked) statuses.push(await statusOf(await server.infer(json(i))))
  const log = JSON.stringify(server.lines)
  await server.stop()
  return { statuses, log }
}

describe('learn', () => {
  it('says what it learned, how sure of it a memory is, and how it is used', () => {
    expect(printed).toMatch(/digits\.state: 3\d\d of 340 answers; of the last \d+ the memory was sure \(0\.99\) of \d/)
    expect(printed).toMatch(/^ {2}approxifer serve digits=.*mnist-lenet\.onnx --state .* --max-error 0\.01$/m)
  })

  it('a server that starts with it gives its first answers unasked, and one without it none', async () => {
    const warm = await firstAnswers(state)
    const given = (statuses: string[]) => statuses.filter((status) => status === 'remembered').length
    expect(given(warm.statuses.slice(0, 20))).toBeGreaterThan(3)
    expect(warm.log).not.toMatch(/nothing is taken over/)
    expect(given((await firstAnswers(join(folder, 'cold'))).statuses)).toBe(0)
  })

  it('a predictor takes it, in a first window of its own', async () => {
    const memory = { state: readFileSync(file) }
    const predictor = await createPredictor({
      memory,
      workers: 1,
      onWarning() {},
      model: LENET,
      reuse: { maxError: 0.02 },
    })
    expect(predictor.stats()).toMatchObject({ remembered: expect.any(Number), budget: { window: 1, answers: 0, threshold: expect.any(Number) } }) // biome-ignore format: one line
    await predictor.close()
  })

  it('a server of another model starts without it, and says so', async () => {
    const elsewhere = join(folder, 'elsewhere')
    cpSync(file, join(elsewhere, 'clothes.state'))
    const server = await Served.start(['clothes=models/fashion-lenet.onnx', '--workers', '1', '--state', elsewhere])
    expect(JSON.stringify(server.lines)).toMatch(
      /nothing is taken over from what was learned before: .*model\.fingerprint/,
    )
    await server.stop()
  })

  it('writes over no state, and not of what cannot be remembered', () => {
    const again = run('learn', `digits=${LENET}`, '--inputs', inputs, '-o', state)
    expect([again.status, again.stderr]).toEqual([2, expect.stringMatching(/without a state of 'digits', which would be lost/)]) // biome-ignore format: one line
    const few = npy('few.npy', Float32Array.from(digit(0)), [1, 784])
    const { stderr } = run('learn', LENET, '--inputs', few, '-o', join(folder, 'few'))
    expect(stderr).toMatch(/--inputs: expected enough inputs that differ for a memory to begin with, got 1/)
    const integers = onnx([{ name: 'x', shape: ['batch', 3], type: 7 }], [{ name: 'y', shape: ['batch', 3], type: 7 }], [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }]) // biome-ignore format: one line
    const { stdout } = run('learn', write('integers.onnx', integers), '--inputs', few, '-o', folder, '--json')
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'MODEL', message: expect.stringMatching(/^nothing of it can be remembered: input 'x' is int64/) }) // biome-ignore format: one line
  })
})
