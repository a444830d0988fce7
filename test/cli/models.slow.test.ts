import { readFileSync } from 'node:fs'
import { createPredictor } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { run, scratch } from '../shared/cli'
import { onnx, types } from '../shared/onnx'

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
const random = onnx(
  [{ name: 'x', shape: ['batch', 3] }],
  [{ name: 'y', shape: ['batch', 3] }],
  [
    { op: 'RandomUniformLike', inputs: ['x'], outputs: ['noise'] },
    { op: 'Add', inputs: ['x', 'noise'], outputs: ['y'] },
  ],
)
/** Names that the syntax of the options has uses for. */
const odd = onnx(
  ['a=b', 'c,d'].map((name) => ({ name, shape: ['batch', 'n'] })),
  ['e,f', 'g'].map((name) => ({ name, shape: ['batch', 'n'] })),
  [neg('a=b', 'e,f'), neg('c,d', 'g')],
)

const models = { dynamic, twoOutputs, integers, softmax, random, odd }
const file = (name: keyof typeof models) => write(`${name}.onnx`, models[name])
const planned = (...args: string[]) => {
  const { status, stdout, stderr } = run('plan', '--json', ...args)
  return { status, stderr, ...JSON.parse(stdout) }
}

describe('plan --model', () => {
  it('says that a model can be served, coded and remembered, and what it takes and gives', () => {
    const { status, model, error } = planned('--model', 'models/mnist-lenet.onnx')
    expect([status, error]).toEqual([0, undefined])
    const why = 'its name says scores of classes'
    const logits = { output: 'logits', right: { kind: 'label', positions: 1, classes: 10 }, evidence: 'name', why }
    expect(model).toEqual({
      ok: true,
      inputs: [{ name: 'input', shape: [1, 28, 28] }],
      outputs: [{ name: 'logits', shape: [10] }],
      abilities: { pool: true, agreement: true, exactReuse: true, coding: true, memory: 'vector', right: [logits] },
      inferenceMs: expect.any(Number),
      inferenceShapes: [[1, 28, 28]],
      warnings: [],
      reason: null,
    })
    const { stdout } = run('plan', '--model', 'models/mnist-lenet.onnx')
    expect(stdout).toMatch(
      /\nmnist-lenet\.onnx can be served, coded and remembered\n {2}takes input 1x28x28\n {2}gives logits 10\n {2}right: logits where its largest value is the model’s, since its name says scores of classes\n {2}an inference takes [\d.]+ ms on one thread here\n {2}reuse\.maxError, answers before asking/,
    )
  })

  it('says of one with random layers that nobody can tell its liars, nor reuse its answers', () => {
    const { status, model } = planned('--model', file('random'))
    const whyNotEqual = expect.stringMatching(/answered the same query in two ways/)
    expect([status, model]).toMatchObject([0, { abilities: { agreement: false, exactReuse: false, whyNotEqual } }])
    const { stdout } = run('plan', '--model', file('random'))
    expect(stdout).toMatch(
      /does not: agreement \(--byzantine\) and reuse\.exact: the model answered the same query in two/,
    )
  })

  it('a predictor of it takes neither liars nor reuse, and serves', async () => {
    const given = { model: random, workers: 3, onWarning: () => {} }
    const message = 'the model answered the same query in two ways, as layers with random numbers do'
    await expect(createPredictor({ ...given, scheme: { queries: 1, byzantine: 1 } })).rejects.toThrow(`scheme.byzantine: expected 0, got 1: ${message}`) // biome-ignore format: one line
    await expect(createPredictor({ ...given, reuse: { exact: true } })).rejects.toThrow(`reuse.exact: expected false, got true: ${message}`) // biome-ignore format: one line
    const predictor = await createPredictor(given)
    expect(predictor.abilities).toMatchObject({ pool: true, agreement: false, exactReuse: false, coding: true })
    expect(await predictor.predict(Float32Array.of(1, 2, 3))).toMatchObject({ status: 'exact' })
    await predictor.close()
  })

  it('prints nothing of lengths that it tries and that do not fit', () => {
    const shape = ['batch', 'n']
    const nodes = [{ op: 'Add', inputs: ['x', 'bias'], outputs: ['y'] }]
    const bias = { name: 'bias', length: 8, file: 'bias.data' }
    write(bias.file, new Uint8Array(4 * bias.length))
    const model = write('eight.onnx', onnx([{ name: 'x', shape }], [{ name: 'y', shape }], nodes, [bias]))
    const { stdout, stderr } = run('plan', '--model', model)
    expect(stderr).toBe('')
    expect(stdout).toContain("input 'x' has shape [?], which may differ from query to query (--input-shapes fixes it)")
  })

  it('says of one that takes integers that it is served without a code and a memory, and why', () => {
    const { status, stderr, approxifer, model, error } = planned('--model', file('integers'))
    expect([status, stderr, approxifer.workers, error]).toEqual([0, '', 9, undefined])
    const why = expect.stringMatching(/^input 'x' is int64, and only float32 can be mixed/)
    expect(model).toMatchObject({
      ok: true,
      abilities: { pool: true, agreement: true, coding: false, memory: false, why },
    })
    const { stdout } = run('plan', '--model', file('integers'))
    expect(stdout).toMatch(/\nintegers\.onnx can be served, without a code and a memory: input 'x' is int64/)
    expect(stdout).toMatch(/\n {2}takes x 3 int64/)
  })

  it('says of half floats that they are remembered and not coded; learn teaches them', () => {
    const type = types.float16
    const [x, y] = ['x', 'probabilities'].map((name) => ({ name, shape: ['N', 2], type }))
    const nodes = [{ op: 'Cast', inputs: ['x'], outputs: ['y'], ints: { to: types.float32 } }, { op: 'Softmax', inputs: ['y'], outputs: ['z'] }, { op: 'Cast', inputs: ['z'], outputs: [y.name], ints: { to: type } }] // biome-ignore format: one line
    const model = write('half.onnx', onnx([x], [y], nodes))
    const { stdout } = run('plan', '--model', model)
    expect(stdout).toContain("half.onnx can be served and remembered, without a code: input 'x' is float16")
    expect(stdout).toContain('right: probabilities where its largest value is the model’s')
    const values = Float32Array.from({ length: 1200 }, (_, i) => (i % 4 === 1 || i % 4 === 2 ? 3 : 1) + 0.3 * Math.sin(7 * i)) // biome-ignore format: one line
    const inputs = npy('half.npy', values, [600, 2])
    const learned = run('learn', `half=${model}`, '--inputs', inputs, '--output', `${inputs}.states`)
    expect([learned.status, learned.stdout]).toEqual([0, expect.stringMatching(/ \d+ of 600 answers;/)])
  })

  it('says why one cannot be served: exit code 1, and the plan all the same', () => {
    const { status, approxifer, model, error } = planned('--model', 'models/mnist-labels.npy')
    expect([status, approxifer.workers]).toEqual([1, 9])
    expect(model).toMatchObject({
      ok: false,
      abilities: null,
      reason: expect.stringContaining('expected an ONNX model'),
    })
    expect(error).toEqual({ code: 'MODEL', message: model.reason })
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
  it('fixes what the model leaves open; without it lengths may differ', () => {
    const model = file('dynamic')
    expect(planned('--model', model).model).toMatchObject({
      inputs: [{ name: 'x', shape: [-1, -1] }],
      abilities: { coding: false, why: expect.stringContaining("input 'x' has shape [?,?], which may differ") },
    })
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
  it('leaves out what cannot be coded', () => {
    const model = file('twoOutputs')
    expect(planned('--model', model).model.abilities).toMatchObject({
      why: expect.stringContaining("output 'class' is int64"),
    })
    const chosen = planned('--model', model, '--outputs', 'y').model
    expect(chosen).toMatchObject({ outputs: [{ name: 'y', shape: [3] }], abilities: { coding: true } })
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

describe('a file that is no ONNX model', () => {
  const text = (content: string) => Buffer.from(content, 'latin1')
  const lenet = readFileSync('models/mnist-lenet.onnx')

  it.each([
    ['is empty', text(''), 'an empty file'],
    ['is a page that says where to log in', text('\n<!DOCTYPE html>\n<title>'), /^an HTML page/],
    ['is an error of object storage', text('<?xml version="1.0"?><Error>'), 'an XML document'],
    [
      'was not fetched by git-lfs',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n'),
      "a pointer of git-lfs: 'git lfs pull' fetches the file itself",
    ],
    ['is a checkpoint of PyTorch', text('PK\x03\x04\0\0'), /^a zip archive, as PyTorch saves them: torch.onnx.export/],
    [
      'is an error of a server',
      text('{"error": "hunter2"}'),
      'JSON, as servers answer with an error: read what it says',
    ],
    ['is packed', text('\x1f\x8b\x08'), 'a gzip archive: unpack it first'],
    [
      'came in part',
      lenet.subarray(0, lenet.length / 2),
      /^what begins as one .*: it is damaged or cut off, so fetch it again$/,
    ],
    ['may be a secret', text('hunter2\n'), 'a text of 8 bytes'],
    ['is anything else', text('\xff\xfe\0\x01\0'), '5 bytes that begin with ff fe 00 01'],
  ])('%s', async (_, bytes, kind) => {
    const sentence = (where: string) =>
      typeof kind === 'string'
        ? `model: expected an ONNX model${where}, got ${kind}`
        : expect.stringMatching(`model: expected an ONNX model.*, got ${kind.source.slice(1)}`)
    const path = write('none.onnx', bytes)
    await expect(createPredictor({ model: path, workers: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: sentence(` in "${path}"`),
      cause: { message: expect.stringMatching(/^the model cannot be loaded: .*protobuf/) },
    })
    await expect(createPredictor({ model: bytes, workers: 1 })).rejects.toMatchObject({ message: sentence('') })
  })

  it('an address that cannot be reached: the error says why', async () => {
    const asked = createPredictor({ model: 'http://no-such-host.invalid/m.onnx', workers: 1 })
    const why = /^the model 'http:\/\/no-such-host\.invalid\/m\.onnx' cannot be read: getaddrinfo /
    await expect(asked).rejects.toMatchObject({ code: 'MODEL', message: expect.stringMatching(why) })
  })

  it.each([
    ['serve', '--port', '0'],
    ['evaluate', '--inputs', 'models/mnist-digits.npy'],
  ])('%s names the file', (command, ...more) => {
    const path = write('page.onnx', text('<html>'))
    const { status, stderr } = run(command, path, ...more)
    expect(stderr).toMatch(
      new RegExp(
        `^approxifer: MODEL: (page: )?model: expected an ONNX model in "${path}", got an HTML page, saved in the place of the file; on the Hugging Face Hub files are under /resolve/, not /blob/\n$`,
      ),
    )
    expect(status).toBe(1)
  })
})
