import { spawn, spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { lenet, runWith, unlabelled } from '../shared/cli'
import { NO_SCRIPT } from '../shared/machine-needs'

const longest = (text: string) => Math.max(...text.split('\n').map((line) => line.length))

const commands: [string, string[]][] = [
  ['help', ['--help']],
  ['help of demo', ['demo', '--help']],
  ['help of plan', ['plan', '--help']],
  ['help of evaluate', ['evaluate', '--help']],
  ['plan', ['plan', '--model', 'models/mnist-lenet.onnx']],
  ['evaluate', ['evaluate', ...lenet, '--groups', '20', '--memory', '50', '--policy', 'auto', '--code', 'systematic']],
  ['a grid', ['evaluate', ...unlabelled, '--groups', '20', '--grid', '2,4:1']],
  ['a typo', ['evaluate', ...lenet, '--attack', 'gaus:10']],
]

describe.each([50, 80, 100])('%i columns', (columns) => {
  it.each(commands)('%s: no line is longer', (_, args) => {
    const { stdout, stderr } = runWith({ columns }, ...args)
    expect(longest(stdout + stderr)).toBeGreaterThan(20)
    expect([stdout, stderr].filter((text) => longest(text) > columns)).toEqual([])
  })
})

describe('a table that is too wide', () => {
  it('becomes a list', () => {
    const { stdout } = runWith({ columns: 50 }, 'plan', '--byzantine', '1')
    expect(stdout).toBe(`8 queries, 1 straggler(s), 1 liar(s)
approxifer
  workers: 9
  overhead: 1.13x
  memory, about: 675 MB
  note: each answer proven by 2, or checked
the paper's code
  workers: 19
  overhead: 2.38x
  memory, about: 1425 MB
  note: decodes from 18 results, approximations
replication
  workers: 32
  overhead: 4.00x
  memory, about: 2400 MB
  note: exact answers
ParM
  workers: -
  overhead: -
  memory, about: -
  note: does not find liars
`)
  })

  it('keeps its columns where only the last one must be wrapped', () => {
    const { stdout } = runWith({ columns: 120 }, 'evaluate', ...lenet, '--groups', '20')
    expect(stdout).toMatch(/^scheme +policy +inferences a query +accuracy lost, at most +because$/m)
  })

  it('stays one where the output goes to a file: no columns, no limit', () => {
    const { stdout } = runWith({}, 'evaluate', ...lenet, '--groups', '20', '--grid', '2,4:1')
    expect(stdout).toMatch(/^K +S +workers +overhead +all +95 % +lost only +nobody late +worst set +guessing$/m)
  })

  it('a title and its unnamed value are one line', () => {
    const { stdout } = runWith({ columns: 50 }, 'evaluate', ...lenet, '--groups', '20')
    expect(stdout).toMatch(
      /\naccuracy\nthe model alone: \d+\.\d %\nall queries, 1 missing, 0 lying, policy auto:\s+\d+\.\d %\n {2}95 % interval: /,
    )
  })
})

describe.skipIf(NO_SCRIPT)(`a terminal${NO_SCRIPT}`, () => {
  /** What arrives there, escapes included. */
  function typescript(columns: number, ...args: string[]): string {
    const command = `stty cols ${columns}; exec ${[process.execPath, 'dist/cli.js', ...args].join(' ')}`
    const { stdout } = spawnSync('script', ['--quiet', '--command', command, '/dev/null'], { encoding: 'utf8' })
    return stdout
  }

  it('shows progress that counts what is done, on one line', () => {
    const screen = typescript(50, 'evaluate', ...unlabelled, '--groups', '3000', '--grid', '2:1')
    const bars = [...screen.matchAll(/K = 2, S = 1, (inputs|groups) [=-]+ (\d+)\/(\d+)(, \d+ (s|min) left)?/g)]
    expect(new Set(bars.map(([, what, , total]) => `${what} ${total}`))).toEqual(new Set(['inputs 200', 'groups 3000']))
    const counts = bars.filter(([, what]) => what === 'groups').map(([, , done]) => Number(done))
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    expect(Math.max(...bars.map(([text]) => text.length))).toBeLessThanOrEqual(50)
  })

  it('Ctrl-C while a bar is shown ends the command, and the terminal goes on wrapping lines', async () => {
    const command = `exec ${[process.execPath, 'dist/cli.js', 'evaluate', ...unlabelled, '--groups', '100000'].join(' ')}`
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'])
    let screen = ''
    child.stdout.on('data', (text) => {
      const before = screen
      screen += text
      if (!/inputs [-=]/.test(before) && /inputs [-=]/.test(screen)) child.stdin.write('\x03')
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code).toBe(130)
    const [off, on] = ['\x1b[?7l', '\x1b[?7h'].map((sequence) => screen.lastIndexOf(sequence))
    expect(off).toBeLessThanOrEqual(on)
  })

  it('is asked for its width, whatever COLUMNS says', () => {
    expect(typescript(120, 'plan')).toMatch(/approxifer +9 +1\.13x/)
    expect(typescript(50, 'plan')).toMatch(/^approxifer\r?\n {2}workers: 9/m)
  })

  it('shows no bar with --json', () => {
    const screen = typescript(80, 'evaluate', ...unlabelled, '--groups', '200', '--json')
    expect(JSON.parse(screen).groups).toBe(200)
  })
})
