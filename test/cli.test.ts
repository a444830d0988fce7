import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dump } from 'npyjs'
import { afterAll, describe, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'approxifer-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))
const claim = Buffer.from(dump(new Uint8Array(7840000), [10000, 784]))
writeFileSync(join(folder, 'long.npy'), claim.subarray(0, claim.length - 7840000 + 16)) // less than its header claims
writeFileSync(join(folder, 'far.npy'), Buffer.from(dump(new Uint8Array(400).fill(12), [400])))

function run(...args: string[]) {
  return spawnSync(process.execPath, ['dist/cli.js', ...args], { encoding: 'utf8', timeout: 90_000 })
}

const lenet = ['models/mnist-lenet.onnx', '--inputs', 'models/mnist-digits.npy', '--labels', 'models/mnist-labels.npy']

describe('approxifer', () => {
  it.each([
    [['--help'], /demo[\s\S]*plan[\s\S]*evaluate/],
    [['demo', '--help'], /--digits <n>/],
    [['plan', '--help'], /--queries <K>/],
    [['evaluate', '--help'], /gauss:SIGMA \| flip \| swap/],
  ])('%s', (args, text) => {
    const { status, stdout } = run(...args)
    expect(status).toBe(0)
    expect(stdout).toMatch(text)
  })

  it.each([
    [['fly'], /unknown command 'fly'/],
    [['plan', '--queries', 'eight'], /expected an integer >= 1, got "eight"/],
    [['plan', '--points', 'random'], /Allowed choices are lobatto-open, lobatto/],
    [['plan', '--workers', '3'], /workers: expected an integer from 9 to 10000, got 3/],
    [['evaluate', 'm.onnx', '--inputs', 'x.npy'], /required option '--labels <file>'/],
    [['evaluate', ...lenet, '--attack', 'smile'], /attack: expected gauss:SIGMA .*got "smile"/],
    [
      ['evaluate', ...lenet, '--grouping', 'likeness:0'],
      /grouping: expected random or likeness:P with P up to 50, got likeness:0/,
    ],
    [['evaluate', ...lenet, '--grid', '2:x'], /expected K,K,\.\.:S,S,\.\. such as 2,4,8,12:1,2,3, got "2:x"/],
    [['evaluate', ...lenet, '--min-confidence', '90'], /expected a probability from 0 to 1, got "90"/],
    [['evaluate', ...lenet, '--policy', 'pray'], /Allowed choices are recover, retry, auto/],
    [['evaluate', ...lenet, '--locator', 'oracle'], /Allowed choices are residual, vote, vote-unit, none/],
    [['evaluate', ...lenet.with(2, 'models/mnist-labels.npy')], /inputs\[0\]: expected 784 values, got 1/],
    [['evaluate', ...lenet.with(4, 'models/mnist-digits.npy')], /expected shape \[n\], got \[400,1,28,28\]/],
    [['evaluate', ...lenet.with(2, 'package.json')], /package\.json: /],
    [
      ['evaluate', ...lenet.with(2, join(folder, 'long.npy'))],
      /expected 7840000 values \(shape \[10000,784\]\), got 16/,
    ],
    [['evaluate', ...lenet.with(4, join(folder, 'far.npy'))], /labels: expected classes 0 to 9, got 12/],
  ])('%s: exit code 2 and a reason', (args, text) => {
    const { status, stderr } = run(...args)
    expect(stderr).toMatch(text)
    expect(status).toBe(2)
  })

  it('a file that is not there: exit code 1 and a reason', () => {
    const { status, stderr } = run('evaluate', ...lenet.with(0, 'no.onnx'))
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^approxifer: MODEL: the model 'no.onnx' cannot be read/),
    ])
  })
})

describe('plan', () => {
  it('prints JSON', () => {
    const { stdout } = run('plan', '--queries', '8', '--stragglers', '1', '--byzantine', '1', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      scheme: { queries: 8, stragglers: 1, byzantine: 1, workers: 19, points: 'lobatto-open', quorum: 18 },
      approxifer: { workers: 19, overhead: 19 / 8 },
      replication: { workers: 32, overhead: 4 },
      parm: null,
    })
  })

  it('prints a table', () => {
    const { stdout } = run('plan')
    expect(stdout).toMatch(/approxifer +9 +1\.13x[\s\S]*replication +16 +2\.00x[\s\S]*ParM +9/)
  })
})

describe('evaluate', () => {
  it('the figures of the paper’s scheme on the bundled digits, and the same ones for the same seed', () => {
    const args = ['evaluate', ...lenet, '--preset', 'aaai22', '--groups', '200', '--json']
    const result = JSON.parse(run(...args).stdout)
    expect(result).toMatchObject({
      model: 'mnist-lenet.onnx',
      scheme: { queries: 8, stragglers: 1, byzantine: 0, workers: 9, points: 'lobatto-open' },
      code: 'berrut',
      decoder: 'berrut',
      locator: 'none',
      groups: 200,
      seed: 1,
      rivals: { replicationWorkers: 16 },
    })
    const { base, all, allCi95, recovered, nothingMissing, worstSet } = result.accuracy
    expect(base).toBeGreaterThan(0.99)
    expect(Math.abs(all - 0.884)).toBeLessThan(0.03)
    expect(recovered).toBe(all)
    expect(allCi95[0]).toBeLessThan(all)
    expect(allCi95[1]).toBeGreaterThan(all)
    expect(nothingMissing).toBeGreaterThan(all)
    expect(worstSet).toBeLessThan(all)
    expect(JSON.parse(run(...args).stdout).accuracy).toEqual(result.accuracy)
    expect(JSON.parse(run(...args, '--core', 'js').stdout).accuracy).toEqual(result.accuracy)
  })

  it('finds liars, with every locator and attack', () => {
    const args = ['evaluate', ...lenet, '--queries', '4', '--stragglers', '0', '--byzantine', '1', '--groups', '40']
    const found = (locator: string, attack: string) => {
      const { stdout } = run(...args, '--locator', locator, '--attack', attack, '--json')
      return JSON.parse(stdout).locator.found
    }
    expect(found('residual', 'gauss:100')).toBe(1)
    expect(found('vote', 'gauss:100')).toBeGreaterThan(0.8)
    expect(found('vote-unit', 'gauss:100')).toBeGreaterThan(0.8)
    expect(found('none', 'flip')).toBe(0)
    for (const attack of ['flip', 'swap', 'constant', 'collude']) expect(found('residual', attack)).toBeGreaterThan(0.1)
    expect(run(...args).stdout).toMatch(/liars found \(gauss:10\)/)
  })

  it('systematic: own answers, and lost ones from parity, likeness and memory', () => {
    const args = ['evaluate', ...lenet, '--code', 'systematic', '--groups', '60', '--json']
    const plain = JSON.parse(run(...args).stdout)
    expect(plain).toMatchObject({ code: 'systematic', decoder: 'learned-kriging' })
    expect(plain.accuracy.nothingMissing).toBeGreaterThan(0.98)
    expect(plain.accuracy.recovered).toBeLessThan(plain.accuracy.all)
    const alike = JSON.parse(run(...args, '--grouping', 'likeness:10').stdout)
    expect(alike.accuracy.recovered).toBeGreaterThan(plain.accuracy.recovered)
    const remembered = JSON.parse(run(...args, '--memory', '200').stdout)
    expect(remembered.accuracy.recovered).toBeGreaterThan(0.7)
    expect(remembered.rivals.memoryAlone.accuracy).toBeGreaterThan(0.6)
  })

  it('a policy, a grid, a recommendation, and a report with plots', () => {
    const report = join(folder, 'report')
    const args = [
      'evaluate',
      ...lenet,
      '--code',
      'systematic',
      '--groups',
      '120',
      '--grid',
      '2,4:1',
      '--policy',
      'auto',
    ]
    const { status, stdout, stderr } = run(...args, '--retry-price', '1000', '--report', report)
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^mnist-lenet\.onnx: \d+\.\d % alone, code systematic\nK +S +workers/)
    expect(stdout).toMatch(/recommended, tolerating 1\.0 %, 1\.0 % of answers late, a retry worth 1000 inferences: /)
    const text = readFileSync(join(report, 'report.md'), 'utf8')
    expect(text).toMatch(/\| 2 \| 1 \| 3 \| 1\.50x \|/)
    for (const plot of ['accuracy.svg', 'confidence.svg']) {
      expect(text).toContain(`(${plot})`)
      expect(readFileSync(join(report, plot), 'utf8')).toMatch(
        /^<svg[\s\S]*workers per query|^<svg[\s\S]*stated confidence/,
      )
    }
    const { results, candidates } = JSON.parse(run(...args, '--json').stdout)
    expect(results.map((each: { scheme: { queries: number } }) => each.scheme.queries)).toEqual([2, 4])
    expect(results[0].retriesPerQuery).toBeGreaterThan(0)
    expect(results[0].accuracy.all).toBeGreaterThan(0.95) // what is not sure is asked again
    expect(candidates.length).toBe(5)
  })

  it('takes float32 inputs and other integer labels', () => {
    const [x, y] = [join(folder, 'x.npy'), join(folder, 'y.npy')]
    writeFileSync(x, Buffer.from(dump(new Float32Array(12 * 784).fill(0.5), [12, 784])))
    writeFileSync(y, Buffer.from(dump(new Int32Array(12), [12])))
    const args = ['models/mnist-lenet.onnx', '--inputs', x, '--labels', y, '--groups', '2', '--json']
    expect(JSON.parse(run('evaluate', ...args).stdout).groups).toBe(2)
  })
})

describe('demo', () => {
  it('ends by itself, with an answer for every query in every scene', () => {
    const args = ['demo', '--queries', '4', '--digits', '16', '--json']
    const { status, stdout, stderr } = run(...args)
    expect([status, stderr]).toEqual([0, ''])
    const scenes = JSON.parse(stdout)
    expect(scenes.map(({ scene }: { scene: string }) => scene)).toEqual([
      'all is well',
      'a straggler (+200 ms)',
      'a worker that dies',
      'a liar',
    ])
    for (const { ways } of scenes) {
      expect(ways.coded.lost).toBe(0)
      expect(ways.coded.accuracy).toBeGreaterThan(0.6)
    }
    const [, straggler, , liar] = scenes
    expect(straggler.ways.coded.p99).toBeLessThan(straggler.ways.uncoded.p99)
    // On a busy machine it may come too late to be heard; whenever it is heard it is accused.
    const culprit = liar.workers.find((stats: { worker: string }) => stats.worker === liar.culprit)
    expect(culprit.onTime).toBeGreaterThan(0)
    expect(culprit.suspected).toBe(culprit.onTime)
  }, 60_000)
})
