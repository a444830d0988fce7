/** approxifer evaluate, verdict first: what is printed, of models of several kinds. */

import { describe, expect, it } from 'vitest'
import { run, runWith, scratch } from '../shared/cli'
import { onnx, types } from '../shared/onnx'

const { write, npy } = scratch()
const DIGITS = ['models/mnist-lenet.onnx', '--inputs', 'models/mnist-digits.npy', '--seconds', '8']
const quick = ['--seconds', '2']

describe('evaluate, verdict first', () => {
  it('the digits: at most 16 lines of 80 columns, what to type next, and no table unless asked', () => {
    const { status, stdout } = runWith({ columns: 80 }, 'evaluate', ...DIGITS, '--labels', 'models/mnist-labels.npy')
    expect(status).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(16)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(stdout).toMatch(/supposed: 4 workers, busy 30 % of the time, 5 % of answers \d+ ms late/)
    expect(stdout).toMatch(
      /^a plain queue +[\d.]+ +[\d.]+ +[\d.]+(-[\d.]+)? +(9\d|100)\.\d % +[\d.]+-[\d.]+ +1\.\d\d$/m,
    )
    expect(stdout).toMatch(/^verdict: (use|hedges suffice|do not use|no difference found)/m)
    expect(stdout).toMatch(/^next: /m)
    expect(stdout).not.toMatch(/95 % interval$/m)
  }, 120_000)

  it('--json has the verdict, and --all the tables besides', () => {
    const { verdict, use } = JSON.parse(run('evaluate', ...DIGITS.slice(0, 3), ...quick, '--json').stdout)
    expect(verdict.premise).toMatchObject({ workers: 4, load: 0.3, stragglerRate: 0.05 })
    expect(verdict.plain.p99).toBeGreaterThan(verdict.premise.lateMs)
    expect(use.workers).toBe(4)
    const [low, high] = verdict.plain.ci95.p99
    expect(low <= verdict.plain.p99 && verdict.plain.p99 <= high).toBe(true)
    const all = ['--all', '--groups', '20', '--stream', '0']
    expect(run('evaluate', ...DIGITS.slice(0, 3), ...quick, ...all).stdout).toMatch(
      /^verdict: [^]*agreement with the model/m,
    )
  }, 120_000)

  it('an output that cannot be read: the flag to say, with a value, which is taken', () => {
    const friedman = ['test/fixtures/friedman.onnx', '--inputs', 'test/fixtures/friedman-inputs.npy', ...quick]
    const { stdout } = run('evaluate', ...friedman)
    const [, flag] = /Say for\s+example\s+(--right\s+within:[\d.]+)/.exec(stdout) as RegExpExecArray
    const said = run('evaluate', ...friedman, ...flag.split(/\s+/)).stdout
    expect(said).not.toMatch(/no memory and no code were tried/)
    expect(said).toMatch(/approxifer, a memory/)
  }, 120_000)

  it('a detector, with outputs of different units: a value for each that cannot be read', () => {
    const { stdout } = run(
      'evaluate',
      'test/models/detector.onnx',
      '--inputs',
      'test/models/detector-inputs.npy',
      ...quick,
    )
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/--right boxes=within:\d+,scores=\S+/)
  }, 120_000)

  it('tokens: a file for each input; without labels answers are the model’s own', () => {
    const ids = { name: 'ids', shape: ['n', 's'], type: types.int64 }
    const nodes = [{ op: 'Cast', inputs: ['ids'], outputs: ['y'], ints: { to: 1 } }]
    const model = write('tokens.onnx', onnx([ids], [{ name: 'y', shape: ['n', 's'] }], nodes))
    const file = npy('ids.npy', new Int32Array(60), [20, 3])
    const { status, stdout } = run('evaluate', model, '--inputs', `ids=${file}`, ...quick)
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/no memory and no code were tried: input 'ids' is int64/),
    ])
    const wrong = run('evaluate', model, '--inputs', `tokens=${file}`, ...quick)
    expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringMatching(/--inputs: expected ids=FILE, got tokens=/)])
  }, 120_000)
})
