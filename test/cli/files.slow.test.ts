import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { npy as bytesOf, lenet, npyHeader, run, scratch } from '../shared/cli'

const { folder, write, npy } = scratch()

const COUNT = 16
const pixels = Float64Array.from({ length: COUNT * 784 }, (_, i) => (i % 11) / 11)
const shape = [COUNT, 1, 28, 28]
const classes = Array.from({ length: COUNT }, (_, i) => i % 10)
const inputs = npy('inputs.npy', Float32Array.from(pixels), shape)
const labels = npy('labels.npy', BigInt64Array.from(classes, BigInt), [COUNT])

/** A header of any kind, before as many bytes of data. */
function raw(name: string, descr: string, fortran: boolean, dims: readonly number[], size: number): string {
  return write(name, Buffer.concat([npyHeader(descr, fortran, dims), Buffer.alloc(size)]))
}

/** A file as NumPy writes it where the header is long. */
function version2(file: Buffer): Buffer {
  return Buffer.concat([file.subarray(0, 6), Buffer.of(2, 0), file.subarray(8, 10), Buffer.of(0, 0), file.subarray(10)])
}

const evaluate = (x: string, y = labels) =>
  run('evaluate', lenet[0], '--inputs', x, '--labels', y, '--groups', '4', '--json')

describe('inputs taken', () => {
  const expected = JSON.parse(evaluate(inputs).stdout)

  it.each([
    ['float64, numpy’s default', () => npy('f8.npy', pixels, shape)],
    ['flat rows', () => npy('flat.npy', Float32Array.from(pixels), [COUNT, 784])],
    [
      'a header whose length has four bytes',
      () => write('v2.npy', version2(bytesOf(Float32Array.from(pixels), shape))),
    ],
  ])('%s', (_, file) => {
    const { seconds: _seconds, saving, ...result } = JSON.parse(evaluate(file()).stdout)
    const { ms: _ms, ...same } = saving // measured
    expect(expected).toMatchObject({ ...result, saving: same })
  })

  it('uint8 is divided by 255', () => {
    const bytes = Uint8Array.from(pixels, (value) => 255 * value)
    const same = npy(
      'same.npy',
      Float64Array.from(bytes, (value) => value / 255),
      shape,
    )
    const results = [npy('u1.npy', bytes, shape), same].map((file) => JSON.parse(evaluate(file).stdout).accuracy)
    expect(results[0]).toEqual(results[1])
  })

  it.each([
    ['uint8', Uint8Array.from(classes)],
    ['int32', Int32Array.from(classes)],
    ['uint64', BigUint64Array.from(classes, BigInt)],
  ])('labels of %s mean the same as those of int64, numpy’s default', (type, values) => {
    const { accuracy } = JSON.parse(evaluate(inputs, npy(`${type}.npy`, values, [COUNT])).stdout)
    expect(accuracy).toEqual(expected.accuracy)
  })
})

/** Files that are refused: what is in them, and what is said after the file's name. */
const bad: [string, () => string, RegExp][] = [
  ['no .npy', () => 'package.json', /expected a whole \.npy file of numbers, got \d+ bytes \(Not an \.npy file\)/],
  ['an empty file', () => write('empty.npy', new Uint8Array()), /expected an \.npy file, got an empty one/],
  [
    'an .npz',
    () => write('a.npz', Buffer.from('PK\x03\x04....')),
    /got an archive; in Python: np\.save\(path, np\.load/,
  ],
  ['six bytes', () => write('six.npy', bytesOf(pixels, shape).subarray(0, 6)), /expected a whole .*, got 6 bytes/],
  [
    'half a value',
    () => write('half.npy', bytesOf(pixels, shape).subarray(0, -3)),
    /expected a whole .*, got \d+ bytes/,
  ],
  [
    'fewer values than its header claims',
    () => write('long.npy', bytesOf(pixels, shape).subarray(0, -8)),
    /expected 12544 values \(shape \[16,1,28,28\]\), got 12543/,
  ],
  ['no rows', () => npy('none.npy', new Float32Array(), [0, 784]), /expected one query per row, got shape \[0,784\]/],
  [
    'int64 inputs',
    () =>
      npy(
        'i8.npy',
        BigInt64Array.from(pixels, () => 1n),
        shape,
      ),
    /expected uint8 \(divided by 255\) or floats, got int64; in Python: np\.save\(path, array\.astype\(np\.float32\)\)/,
  ],
  ['complex', () => raw('c8.npy', "'<c8'", false, [2, 784], 2 * 784 * 8), /or floats, got complex64/],
  ['bool', () => raw('b1.npy', "'|b1'", false, [2, 784], 2 * 784), /or floats, got bool/],
  ['text', () => raw('u3.npy', "'<U3'", false, [2], 24), /or floats, got text/],
  ['objects', () => raw('o.npy', "'|O'", false, [2], 16), /expected a whole \.npy file of numbers.*Unsupported dtype/],
  ['records', () => raw('r.npy', "[('a', '<f4')]", false, [2], 8), /of numbers.*Malformed \.npy header/],
  [
    'big-endian',
    () => raw('big.npy', "'>f4'", false, [COUNT, 784], COUNT * 784 * 4),
    /expected little-endian values, got big-endian float32; in Python: np\.save\(path, array\.astype\('<f4'\)\)/,
  ],
  [
    'Fortran order',
    () => raw('fortran.npy', "'<f4'", true, [COUNT, 784], COUNT * 784 * 4),
    /expected C order, got Fortran order; in Python: np\.save\(path, np\.ascontiguousarray\(array\)\)/,
  ],
  [
    'NaN',
    () => npy('nan.npy', pixels.with(784 + 5, NaN), shape),
    /expected finite float32 values, got NaN in row 1 at 5/,
  ],
  [
    'more than float32 holds',
    () => npy('big64.npy', pixels.with(7, 1e300), shape),
    /values, got 1e\+300 in row 0 at 7/,
  ],
  ['rows too short', () => 'models/mnist-labels.npy', /expected rows of 784 values, got 1/],
  [
    'another layout',
    () => npy('last.npy', pixels, [COUNT, 28, 28, 1]),
    /expected rows of shape \[1,28,28\], or flat ones, got \[28,28,1\]/,
  ],
]

describe('inputs refused: the file, what was expected, what it holds; exit code 2', () => {
  it.each(bad)('%s', (_, file, text) => {
    const { status, stdout } = evaluate(file())
    const { code, message } = JSON.parse(stdout).error
    expect([status, code]).toEqual([2, 'USAGE'])
    expect(message.startsWith(`${file()}: `)).toBe(true)
    expect(message).toMatch(text)
  })
})

describe('labels refused', () => {
  it.each([
    [
      'float64',
      () => npy('yf8.npy', Float64Array.from(classes), [COUNT]),
      /yf8\.npy: expected integers, got float64; in Python: np\.save\(path, array\.astype\(np\.int64\)\)/,
    ],
    [
      'one-hot',
      () => npy('hot.npy', new Int32Array(COUNT * 10), [COUNT, 10]),
      /hot\.npy: expected shape \[n\], got \[16,10\]/,
    ],
    ['too few', () => npy('few.npy', new Int32Array(3), [3]), /labels: expected 16, one per input, got 3/],
    [
      'no class',
      () => npy('far.npy', new Int32Array(COUNT).fill(12), [COUNT]),
      /labels: expected classes 0 to 9, got 12/,
    ],
    ['big-endian', () => raw('ybig.npy', "'>i8'", false, [COUNT], COUNT * 8), /got big-endian int64/],
  ])('%s', (_, file, text) => {
    const { status, stdout } = evaluate(inputs, file())
    expect([status, JSON.parse(stdout).error.message]).toEqual([2, expect.stringMatching(text)])
  })
})

describe('files that cannot be read: exit code 1', () => {
  const directory = join(folder, 'directory.npy')
  mkdirSync(directory)

  it.each([
    ['a missing file', join(folder, 'missing.npy'), 'ENOENT'],
    ['a folder', directory, 'EISDIR'],
  ])('%s', (_, path, code) => {
    for (const { status, stdout } of [evaluate(path), evaluate(inputs, path)]) {
      expect(status).toBe(1)
      expect(JSON.parse(stdout).error).toEqual({
        code,
        message: expect.stringMatching(new RegExp(`^${path}: expected an \\.npy file, got ${code}: `)),
      })
    }
  })
})
