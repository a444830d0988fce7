import { describe, expect, it } from 'vitest'
import { run, runWith, scratch, unlabelled } from '../shared/cli'
import { onnx } from '../shared/onnx'

const { write, npy } = scratch()
const random = onnx(
  [{ name: 'x', shape: ['batch', 3] }],
  [{ name: 'y', shape: ['batch', 3] }],
  [
    { op: 'RandomUniformLike', inputs: ['x'], outputs: ['noise'] },
    { op: 'Add', inputs: ['x', 'noise'], outputs: ['y'] },
  ],
)
const quick = ['--groups', '2', '--memory', '0']
const streamed = (...args: string[]) => ['evaluate', ...unlabelled.slice(0, 3), ...quick, ...args]

describe('evaluate says what answers before asking would save', () => {
  it('as a table and a sentence of advice', () => {
    const { status, stdout } = runWith({ columns: 120 }, ...streamed())
    expect(status).toBe(0)
    expect(stdout).toMatch(/answers before asking: \d+ queries in their order, from an empty memory/)
    expect(stdout).toMatch(/^0\.01 +0\.\d\d +0\.\d\d %/m)
    expect(stdout).toMatch(/--max-error 0\.0\d would save \d+\.\d % of the inferences/)
  })

  it('as JSON, by each share that may be wrong', () => {
    const { saving } = JSON.parse(run(...streamed('--json')).stdout)
    expect(saving.levels.map(({ maxError }: { maxError: number }) => maxError)).toEqual([0.002, 0.01, 0.02, 0.05])
    expect(saving).toMatchObject({ exact: { inferences: 1, wrong: 0 }, ms: { lookup: expect.any(Number) } })
  })

  it('not of a short stream, and not where nobody asked for it', () => {
    expect(run(...streamed('--stream', '100')).stdout).toMatch(
      /too short to tell: expected 400 queries or more, got 100/,
    )
    expect(JSON.parse(run(...streamed('--stream', '0', '--json')).stdout)).not.toHaveProperty('saving')
  })

  it('why not, of a model that does not answer the same twice', () => {
    const rows = npy(
      'rows.npy',
      Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
      [20, 3],
    )
    const { stdout, stderr } = run(
      'evaluate',
      write('random.onnx', random),
      '--inputs',
      rows,
      ...quick,
      '--queries',
      '2',
    )
    expect(stderr).toMatch(/measuring/)
    expect(stdout).toMatch(/answers before asking: none, since the model answered the same query in two ways/)
  })
})
