import { describe, expect, it } from 'vitest'
import { lenet, run } from '../shared/cli'

const evaluate = (...args: string[]) => ['evaluate', ...lenet, ...args]

const typos: [string[], string][] = [
  [['evalute'], 'evaluate'],
  [['evaluat', 'm.onnx'], 'evaluate'],
  [['paln'], 'plan'],
  [['plans'], 'plan'],
  [['dmeo'], 'demo'],
  [['Demo'], 'demo'],
  [['plan', '--straglers', '1'], '--stragglers'],
  [['plan', '--straggler', '1'], '--stragglers'],
  [['plan', '--quries', '4'], '--queries'],
  [['plan', '--query', '4'], '--queries'],
  [['plan', '--byzantin', '1'], '--byzantine'],
  [['plan', '--byzantium=1'], '--byzantine'],
  [['plan', '--quries=4'], '--queries'],
  [['plan', '--worker', '9'], '--workers'],
  [['plan', '--modle', 'm.onnx'], '--model'],
  [['plan', '--jsno'], '--json'],
  [['plan', '--helpp'], '--help'],
  [['demo', '--sede', '8'], '--seed'],
  [evaluate('--label', 'y.npy'), '--labels'],
  [evaluate('--input', 'x.npy'), '--inputs'],
  [evaluate('--input-shape', 'x=3'), '--input-shapes'],
  [evaluate('--inputshapes', 'x=3'), '--input-shapes'],
  [evaluate('--output', 'y'), '--outputs'],
  [evaluate('--minConfidence', '0.9'), '--min-confidence'],
  [evaluate('--straggler_rate', '0.1'), '--straggler-rate'],
  [evaluate('--retryprice', '20'), '--retry-price'],
  [evaluate('--memroy', '100'), '--memory'],
  [['plan', '--points', 'lobato'], 'lobatto'],
  [['plan', '--points', 'lobato-open'], 'lobatto-open'],
  [evaluate('--policy', 'atuo'), 'auto'],
  [evaluate('--policy', 'Recover'), 'recover'],
  [evaluate('--code', 'sistematic'), 'systematic'],
  [evaluate('--code', 'berut'), 'berrut'],
  [evaluate('--decoder', 'krigging'), 'kriging'],
  [evaluate('--locator', 'residue'), 'residual'],
  [evaluate('--features', 'patch'), 'patches'],
  [evaluate('--core', 'wsam'), 'wasm'],
  [evaluate('--attack', 'gaus:10'), 'gauss:10'],
  [evaluate('--attack', 'filp'), 'flip'],
  [evaluate('--retries', '3'), '--policy'],
  [['serve', 'm.onnx', '--timeout', '5'], '--deadline'],
  [['serve', 'm.onnx', '--threads', '5'], '--workers'],
  [['serve', 'm.onnx', '--batch-size', '8'], 'limits.batch in a file for --config'],
]

describe('a typo is refused, and what was probably meant is named', () => {
  it.each(typos)('%s', (args, meant) => {
    const { status, stdout, stderr } = run(...args)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr.split('\n')).toContain(`(Did you mean ${meant}?)`)
  })

  it.each([[['plan', '--no-such']], [['fly']], [evaluate('--policy', 'pray')], [evaluate('--attack', 'gauss:x')]])(
    '%s: near nothing, so nothing is suggested',
    (args) => {
      const { status, stderr } = run(...args)
      expect(status).toBe(2)
      expect(stderr).not.toMatch(/Did you mean/)
    },
  )
})
