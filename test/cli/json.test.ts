import { describe, expect, it } from 'vitest'
import { lenet, run } from '../shared/cli'

describe('with --json a failure is one JSON object on stdout, and nothing else is printed', () => {
  it.each([
    [['--json'], 2, 'USAGE', /unknown option '--json'/],
    [['--json', 'plan'], 2, 'USAGE', /unknown option '--json'/],
    [['fly', '--json'], 2, 'USAGE', /unknown command 'fly'/],
    [['plan', '--json', '--straglers', '1'], 2, 'USAGE', /'--straglers'\n\(Did you mean --stragglers\?\)/],
    [['plan', '--queries', '--json'], 2, 'USAGE', /Expected an integer from 1 to 1000/],
    [['plan', '--json', '--workers', '3'], 2, 'USAGE', /workers: expected an integer from 9/],
    [['plan', '--json', '--queries'], 2, 'USAGE', /'--queries <K>' argument missing/],
    [['evaluate', '--json'], 2, 'USAGE', /required option '--inputs <file>'/],
    [['evaluate', '--json', ...lenet.with(0, 'no.onnx')], 1, 'MODEL', /the model 'no\.onnx' cannot be read/],
    [['evaluate', '--json', ...lenet.with(2, 'no.npy')], 1, 'ENOENT', /no\.npy: expected an \.npy file, got ENOENT/],
    [['demo', '--json', '--seed', 'all'], 2, 'USAGE', /Expected an integer/],
  ])('%s', (args, exitCode, code, message) => {
    const { status, stdout, stderr } = run(...args)
    expect([status, stderr]).toEqual([exitCode, ''])
    expect(JSON.parse(stdout)).toEqual({ error: { code, message: expect.stringMatching(message) } })
  })

  it('no failure: the figures alone', () => {
    const { status, stdout, stderr } = run('evaluate', ...lenet, '--groups', '2', '--json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ groups: 2, warnings: [] })
  })
})
