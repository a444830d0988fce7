import { describe, expect, it } from 'vitest'
import { run, scratch } from './shared/cli'
import { onnx, types } from './shared/onnx'

const { write, npy } = scratch()

const neg = (x: string, y: string) => ({ op: 'Neg', inputs: [x], outputs: [y] })
const dynamic = onnx(
  [{ name: 'x', shape: ['batch', 'n', 'm'] }],
  [{ name: 'y', shape: ['batch', 'n', 'm'] }],
  [neg('x', 'y')],
)
const twoOutputs = onnx(
  [{ name: 'x', shape: ['batch', 3] }],
  [
    { name: 'class', shape: ['batch', 1], type: types.int64 },
    { name: 'y', shape: ['batch', 3] },
  ],
  [neg('x', 'y'), { op: 'ArgMax', inputs: ['x'], outputs: ['class'], ints: { axis: 1 } }],
)
const integers = onnx(
  [{ name: 'x', shape: ['batch', 3], type: types.int64 }],
  [{ name: 'y', shape: ['batch', 3], type: types.int64 }],
  [neg('x', 'y')],
)
const softmax = onnx(
  [{ name: 'x', shape: ['batch', 3] }],
  [{ name: 'y', shape: ['batch', 3] }],
  [{ op: 'Softmax', inputs: ['x'], outputs: ['y'] }],
)
/** Names that the syntax of the options has uses for. */
const odd = onnx(
  ['a=b', 'c,d'].map((name) => ({ name, shape: ['batch', 'n'] })),
  ['e,f', 'g'].map((name) => ({ name, shape: ['batch', 'n'] })),
  [neg('a=b', 'e,f'), neg('c,d', 'g')],
)

const models = { dynamic, twoOutputs, integers, softmax, odd }
const file = (name: keyof typeof models) => write(`${name}.onnx`, models[name])
const planned = (...args: string[]) => {
  const { status, stdout, stderr } = run('plan', '--json', ...args)
  return { status, stderr, ...JSON.parse(stdout) }
}

describe('plan --model', () => {
  it('says that a model can be coded, and what it takes and gives', () => {
    const { status, model, error } = planned('--model', 'models/mnist-lenet.onnx')
    expect([status, error]).toEqual([0, undefined])
    expect(model).toEqual({
      ok: true,
      inputs: [{ name: 'input', shape: [1, 28, 28] }],
      outputs: [{ name: 'logits', shape: [10] }],
      warnings: [],
      reason: null,
    })
    const { stdout } = run('plan', '--model', 'models/mnist-lenet.onnx')
    expect(stdout).toMatch(/\nmnist-lenet\.onnx can be coded\n {2}takes input 1x28x28\n {2}gives logits 10\n$/)
  })

  it('says why one cannot: exit code 1, and the plan all the same', () => {
    const reason = expect.stringMatching(/^input 'x': expected float32, got int64; .*export the model with float32/)
    const { status, stderr, approxifer, model, error } = planned('--model', file('integers'))
    expect([status, stderr, approxifer.workers]).toEqual([1, '', 9])
    expect(model).toEqual({ ok: false, inputs: [], outputs: [], warnings: [], reason })
    expect(error).toEqual({ code: 'MODEL', message: reason })
    const text = run('plan', '--model', file('integers'))
    expect(text.status).toBe(1)
    expect(text.stdout).toMatch(/^approxifer +9[\s\S]*\nintegers\.onnx cannot be coded: input 'x': expected float32/m)
  })

  it('passes on warnings', () => {
    const warning = expect.stringMatching(/output 'y' looks like probabilities/)
    expect(planned('--model', file('softmax')).model).toMatchObject({ ok: true, warnings: [warning] })
    expect(run('plan', '--model', file('softmax')).stdout).toMatch(/^ {2}warning: output 'y' looks like probabilities/m)
  })

  it('a file that cannot be read is an error, and no plan', () => {
    const { status, error, model } = planned('--model', 'no.onnx')
    expect([status, error.code, model]).toEqual([1, 'MODEL', undefined])
  })
})

describe('--input-shapes', () => {
  it('fixes what the model leaves open; without it the sentence names the option', () => {
    const model = file('dynamic')
    expect(planned('--model', model).model.reason).toContain('pass --input-shapes x=AxBxC without the batch')
    expect(planned('--model', model, '--input-shapes', 'x=2x3').model).toMatchObject({
      ok: true,
      inputs: [{ name: 'x', shape: [2, 3] }],
      outputs: [{ name: 'y', shape: [2, 3] }],
    })
    expect(planned('--model', model, '--input-shapes', 'z=2x3').model.reason).toMatch(
      /^--input-shapes: expected names among x, got z/,
    )
  })

  it.each([[['a=b=4,c,d=4']], [['a=b=4', '--input-shapes', 'c,d=4']]])(
    'names with = and comma, in one use or several: %s',
    (given) => {
      const { model } = planned('--model', file('odd'), '--input-shapes', ...given)
      expect(model.inputs).toEqual([
        { name: 'a=b', shape: [4] },
        { name: 'c,d', shape: [4] },
      ])
    },
  )

  it.each(['', 'x', 'x=', '=3', 'x=3x', 'x=0', 'x=-1', 'x=3,', 'x=3 4', 'x=3,x=4', 'x=2.5'])(
    'refused: "%s"',
    (text) => {
      const { status, stderr } = run('plan', '--model', file('dynamic'), `--input-shapes=${text}`)
      expect(stderr).toMatch(/'--input-shapes <shapes>' argument .* is invalid\. Expected name=AxBxC/)
      expect(status).toBe(2)
    },
  )
})

describe('--outputs', () => {
  it('leaves out what cannot be coded; without it the sentence names the option', () => {
    const model = file('twoOutputs')
    expect(planned('--model', model).model.reason).toMatch(/output 'class': expected float32.*in the option --outputs$/)
    expect(planned('--model', model, '--outputs', 'y').model).toMatchObject({ outputs: [{ name: 'y', shape: [3] }] })
    expect(planned('--model', model, '--outputs', 'z').model.reason).toMatch(/^--outputs: expected names among class,y/)
  })

  it.each([[['e\\,f,g']], [['e\\,f', '--outputs', 'g']]])(
    'a comma in a name is escaped, in one use or several: %s',
    (given) => {
      const { model } = planned('--model', file('odd'), '--input-shapes', 'a=b=4,c,d=4', '--outputs', ...given)
      expect(model.outputs.map(({ name }: { name: string }) => name)).toEqual(['e,f', 'g'])
    },
  )

  it.each(['', 'y,', ',y', 'y,y'])('refused: "%s"', (text) => {
    const { status, stderr } = run('plan', '--model', file('twoOutputs'), `--outputs=${text}`)
    expect(stderr).toMatch(/'--outputs <names>' argument .* is invalid\. Expected name,name,\.\. each once/)
    expect(status).toBe(2)
  })
})

describe('evaluate', () => {
  const rows = (width: number) => Float32Array.from({ length: 20 * width }, (_, i) => Math.sin(i))

  it('takes both options', () => {
    const shaped = ['evaluate', file('dynamic'), '--inputs', npy('shaped.npy', rows(6), [20, 2, 3])]
    const args = ['--groups', '3', '--queries', '2', '--json']
    expect(JSON.parse(run(...shaped, '--input-shapes', 'x=2x3', ...args).stdout)).toMatchObject({ groups: 3 })
    expect(JSON.parse(run(...shaped, ...args).stdout).error).toMatchObject({ code: 'MODEL' })
    const chosen = ['evaluate', file('twoOutputs'), '--inputs', npy('flat.npy', rows(3), [20, 3]), '--outputs', 'y']
    expect(JSON.parse(run(...chosen, ...args).stdout).accuracy.nothingMissing).toBeGreaterThan(0.9)
  })

  it('several inputs: rows are their values one after the other', () => {
    const args = ['evaluate', file('odd'), '--input-shapes', 'a=b=2,c,d=2', '--queries', '2', '--groups', '3']
    expect(run(...args, '--inputs', npy('two.npy', rows(4), [20, 4])).status).toBe(0)
    const { status, stderr } = run(...args, '--inputs', npy('one.npy', rows(2), [20, 2]))
    expect([status, stderr]).toEqual([2, expect.stringMatching(/one\.npy: expected rows of 4 values, got 2/)])
  })

  it('a warning goes to stderr, or into the JSON', () => {
    const args = ['evaluate', file('softmax'), '--inputs', npy('soft.npy', rows(3), [20, 3]), '--groups', '2']
    expect(run(...args).stderr).toMatch(/^approxifer: warning: output 'y' looks like probabilities/)
    const { stdout, stderr } = run(...args, '--json')
    expect([stderr, JSON.parse(stdout).warnings.length]).toEqual(['', 1])
  })
})
