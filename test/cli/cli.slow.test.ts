import { describe, expect, it } from 'vitest'
import manifest from '../../package.json'
import { lenet, run, unlabelled } from '../shared/cli'

describe('approxifer', () => {
  it.each([
    [['--help'], /demo[\s\S]*plan[\s\S]*evaluate/],
    [['-h'], /demo[\s\S]*plan[\s\S]*evaluate/],
    [['help', 'plan'], /--queries <K>/],
    [['demo', '--help'], /--seed <n>/],
    [['plan', '-h'], /--queries <K>/],
    [['evaluate', '-h'], /gauss:SIGMA \| flip \| swap/],
    [['evaluate', '--help'], /Exit codes: 0 success, 1 failure, 2 wrong command line\.\nWith --json, errors are JSON/],
  ])('%s: help on stdout', (args, text) => {
    const { status, stdout, stderr } = run(...args)
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(text)
  })

  it('without arguments: the help, on stdout, since nothing was asked wrongly', () => {
    const { status, stdout, stderr } = run()
    expect([status, stderr, stdout]).toEqual([0, '', run('--help').stdout])
  })

  it.each(['--version', '-V'])('%s', (flag) => {
    expect(run(flag)).toMatchObject({ status: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  it.each([
    [['fly'], /unknown command 'fly'/],
    [['help', 'fly'], /expected a command/],
    [['plan', 'm.onnx', 'n.onnx'], /too many arguments for 'plan'/],
    [['plan', '--queries', 'eight'], /'eight' is invalid\. Expected an integer from 1 to 1000/],
    [['plan', '--points', 'random'], /Expected one of lobatto-open, lobatto/],
    [['plan', '--workers', '3'], /workers: expected an integer from 9 to 10000, got 3/],
    [['plan', '--outputs', 'y'], /--model: expected a file, with --input-shapes or --outputs; got none/],
    [['evaluate', 'm.onnx'], /required option '--inputs <file>'/],
    [['evaluate', ...lenet, '--attack', 'smile'], /'smile' is invalid\. Expected gauss:SIGMA /],
    [['evaluate', ...lenet, '--grid', '2:x'], /'2:x' is invalid\. Expected K,K,\.\.:S,S,\.\. such as 2,4,8,12:1,2,3/],
    [['evaluate', ...lenet, '--grid', '2:1', '--workers', '9'], /workers: expected none with --grid/],
    [['evaluate', ...lenet, '--min-confidence', '90'], /'90' is invalid\. Expected a probability from 0 to 1/],
    [['evaluate', ...lenet, '--retry-price', '-1'], /'-1' is invalid\. Expected a number >= 0/],
    [['evaluate', ...lenet, '--policy', 'pray'], /Expected one of recover, retry, auto/],
    [['evaluate', ...lenet, '--locator', 'oracle'], /Expected one of residual, vote, vote-unit, none/],
  ])('%s: exit code 2 and a reason', (args, text) => {
    const { status, stdout, stderr } = run(...args)
    expect(stderr).toMatch(text)
    expect([status, stdout]).toEqual([2, ''])
  })

  it('a model that is not there: exit code 1 and a reason', () => {
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
      scheme: { queries: 8, stragglers: 1, byzantine: 1, code: 'systematic' },
      approxifer: { workers: 9, overhead: 9 / 8, quorum: null },
      paper: { workers: 19, overhead: 19 / 8, quorum: 18 },
      replication: { workers: 32, overhead: 4 },
      parm: null,
    })
  })

  it('prints a table', () => {
    const { stdout } = run('plan')
    expect(stdout).toMatch(/approxifer +9 +1\.13x[\s\S]*replication +16 +2\.00x[\s\S]*ParM +9/)
  })

  it('shows first what createPredictor does where workers may lie, then the paper’s code', () => {
    const { stdout } = run('plan', '--byzantine', '1')
    expect(stdout).toMatch(/\napproxifer +9 .*\nthe paper's code +19 .*\nreplication +32 /)
    expect(run('plan', '--byzantine', '1', '--preset', 'aaai22').stdout).toMatch(/paper's code.*\n.*\napproxifer +19 /)
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
    const { stdout } = run(...args)
    expect(stdout).toMatch(/liars found \(gauss:10\)/)
    expect(stdout).toMatch(/1, all proven +0.0 % +1.00 +0 of \d+/)
    expect(stdout).toMatch(/recommended: (verified inference|duplicate and compare)/)
    expect(stdout).toMatch(/scheme: { queries: 4, stragglers: 0, byzantine: 1 }/)
    expect(stdout.indexOf('verified inference')).toBeLessThan(stdout.indexOf('code berrut')) // the default first
  })

  it('systematic: own answers, and lost ones from parity and memory', () => {
    const args = ['evaluate', ...lenet, '--policy', 'recover', '--memory', '0', '--groups', '60', '--json']
    const plain = JSON.parse(run(...args).stdout)
    expect(plain).toMatchObject({ code: 'systematic', decoder: 'kriging' })
    expect(plain.accuracy.nothingMissing).toBeGreaterThan(0.98)
    expect(plain.accuracy.recovered).toBeLessThan(plain.accuracy.all)
    const remembered = JSON.parse(run(...args, '--memory', '200').stdout)
    expect(remembered.accuracy.recovered).toBeGreaterThan(0.7)
    expect(remembered.rivals.memoryAlone.accuracy).toBeGreaterThan(0.6)
  })

  it('a policy, a grid and a recommendation', () => {
    const args = ['evaluate', ...lenet, '--memory', '0', '--groups', '300', '--grid', '2,4:1']
    const { status, stdout } = run(...args, '--retry-price', '1000')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^mnist-lenet\.onnx, code systematic\. The model alone: \d+\.\d %\nK +S +workers/)
    expect(stdout).toMatch(/recommended, tolerating 1\.0 %, 5\.0 % of answers late, a retry worth 1000 inferences: /)
    expect(stdout).toMatch(/createPredictor\(\{ model, scheme: \{ queries: \d/)
    expect(stdout).toMatch(/\na late query gets, with K = 2, S = 1 and the policy auto: at once what is recovered/)
    const { results, candidates } = JSON.parse(run(...args, '--json').stdout)
    expect(results.map((each: { scheme: { queries: number } }) => each.scheme.queries)).toEqual([2, 4])
    expect(results[0].retriesPerQuery).toBeGreaterThan(0)
    expect(results[0].accuracy.all).toBeGreaterThan(0.95) // what is not sure is asked again
    expect(candidates.length).toBe(5)
  })

  it('without labels: agreement with the model itself, and nothing is called accuracy', () => {
    const args = ['evaluate', ...unlabelled, '--groups', '40']
    const { status, stdout } = run(...args)
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^agreement with the model +95 % interval\nall queries, 1 missing, 0 lying, policy auto +\d/m,
    )
    expect(stdout).toMatch(/agreement lost, at most/)
    const grid = run(...args, '--grid', '2:1').stdout
    expect(grid).toMatch(/^mnist-lenet\.onnx, code systematic\. Agreement with the model itself\n/)
    expect(stdout + grid).not.toMatch(/accuracy|model alone/)
    const { against, accuracy } = JSON.parse(run(...args, '--json').stdout)
    const labelled = JSON.parse(run('evaluate', ...lenet, '--groups', '40', '--json').stdout)
    expect([against, labelled.against]).toEqual(['model', 'labels'])
    expect(accuracy.all).toBeGreaterThan(labelled.accuracy.all - 0.02)
    expect(accuracy.nothingMissing).toBeGreaterThan(0.9)
  })

  it('says on stderr what it measures, so that nobody waits before a silent terminal; with --json nothing', () => {
    const args = ['evaluate', ...lenet, '--groups', '2']
    const told = (...more: string[]) => run(...args, ...more).stderr.split('\n')[0] // after five seconds first figures follow
    expect(told()).toBe('mnist-lenet.onnx: measuring K = 8, S = 1, 2 groups ...')
    expect(told('--grid', '2,4:1')).toBe('mnist-lenet.onnx: measuring 2 schemes, 2 groups each ...')
    expect(run(...args, '--json').stderr).toBe('')
  })
})
