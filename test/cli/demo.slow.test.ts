/** approxifer demo: figures of simulated time, the same on an idle machine and on a busy one. */

import { spawn } from 'node:child_process'
import { setPriority } from 'node:os'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bar, gallery, lyingTable, picture, type Shown, slowTable } from '../../src/cli/demo/demo'
import { isPlain } from '../../src/cli/terminal'

/** @param niceness  above 0: other processes go first @returns what it prints, once it has ended with 0 and without a word on stderr */
function demo(env: Record<string, string>, niceness = 0, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, ['dist/cli.js', 'demo', ...args], { env: { ...process.env, ...env } })
  if (niceness) setPriority(child.pid as number, niceness)
  return new Promise((resolve, reject) => {
    let [out, err] = ['', '']
    child.stdout.on('data', (text) => {
      out += text
    })
    child.stderr.on('data', (text) => {
      err += text
    })
    child.on('close', (code) => (code || err ? reject(new Error(`exit ${code}: ${err}`)) : resolve(out)))
  })
}

const longest = (text: string) => Math.max(...text.split('\n').map((line) => line.length))

describe('approxifer demo', () => {
  // At once: one of them gets what the others leave.
  const plain = { COLUMNS: '80', NO_COLOR: '1' }
  let [figures, starved, json]: Promise<string>[] = []
  beforeAll(() => {
    figures = demo(plain)
    starved = demo(plain, 5)
    json = demo({}, 0, '--json', '--seed', '2')
    for (const each of [figures, starved, json]) each.catch(() => {}) // told by the test that wants it
  })

  it('shows the same figures, to the digit, where other processes go first; with NO_COLOR in ASCII, in 80 columns', async () => {
    const [alone, busy] = [await figures, await starved]
    expect(busy).toBe(alone)
    expect(alone).toMatch(/^approxifer +\d+\.\d ms +\d+\.\d ms #+ +\d+\.\d ms +1\.\d+$/m)
    expect(alone).toMatch(/^Simulated: nine machines read digits/)
    expect(alone).toMatch(/^second 5: machine 6 lies$/m)
    expect(alone).toMatch(/\nOn the same machines 99 of 100 answers came within \d+\.\d ms with approxifer, /)
    expect(alone).toMatch(/^[\n -~]*$/)
    expect(longest(alone)).toBeLessThanOrEqual(80)
    expect(alone).toMatch(/^7, exact +2, exact +1, exact +0, exact$/m)
  }, 600_000)

  it('--json: nothing else is printed; a shorter tail than hedges at fewer inferences, and the liar caught in every run', async () => {
    const { film, slow, lying, here } = JSON.parse(await json)
    const [plain, tuned, filmed] = film
    expect(plain.wrong).toBeGreaterThan(5)
    expect(tuned.wrong).toBeGreaterThan(5)
    expect(filmed.wrong).toBe(0)
    expect(filmed.slowestMs).toBeLessThan(0.75 * plain.slowestMs)
    const [nothing, often, hedged, seldom, twice, more, ours] = slow
    expect(hedged.p99).toBeLessThan(Math.min(often.p99, seldom.p99)) // the 95th percentile is the best of the three
    expect(nothing.asked).toBeLessThan(1.01) // a worker that was slow is tried again with copies
    expect(hedged.p99).toBeLessThan(0.5 * nothing.p99)
    expect(ours.p99).toBeLessThan(0.75 * hedged.p99)
    expect(ours.asked).toBeLessThan(hedged.asked)
    expect(ours.p999).toBeLessThan(hedged.p999)
    expect([twice, more, ours].map(({ busy }) => busy > 1)).toEqual([true, false, false])
    const [unchecked, majority, compared, proven] = lying
    expect(unchecked.wrong).toBeGreaterThan(0.05)
    expect([majority.wrong, compared.wrong]).toEqual([0, 0])
    expect(proven.wrong).toBeLessThan(0.005)
    expect(proven.asked).toBeLessThan(compared.asked)
    expect(proven).toMatchObject({ framed: 0, lies: Array(8).fill(expect.any(Number)) })
    expect(here).toEqual([7, 2, 1, 0].map((digit) => ({ digit, status: 'exact' })))
  }, 600_000)

  it('who reads it may stop early, as `head` does: it ends without a stack trace', async () => {
    const child = spawn(process.execPath, ['dist/cli.js', 'demo'])
    child.stdout.once('data', () => child.stdout.destroy())
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect([code, stderr]).toEqual([0, ''])
  }, 600_000)
})

describe('what it draws', () => {
  const { COLUMNS } = process.env
  afterEach(() => {
    process.env.COLUMNS = COLUMNS
  })

  it('bars are as long as their share; the least is seen, what has no end ends in an arrow', () => {
    expect([0, 0.001, 0.5, 1, 2].map((share) => bar(share, 4, false))).toEqual(['', '▏', '██', '████', '███>'])
    expect([0, 0.001, 0.5, 1, 2].map((share) => bar(share, 4, true))).toEqual(['', '', '##', '####', '###>'])
    expect(bar(0.3, 10, false)).toBe('███')
    expect(bar(0.33, 10, false)).toBe('███▎')
  })

  it.each([
    [{}, false],
    [{ TERM: 'xterm-256color', NO_COLOR: '' }, false],
    [{ NO_COLOR: '1' }, true],
    [{ TERM: 'dumb' }, true],
    [{ TERM: 'linux' }, true],
  ])('%j: plain %s', (env, plain) => {
    expect(isPlain(env)).toBe(plain)
  })

  const shown = (name: string, busy: number): Shown => {
    return { name, p50: 10.2, p99: 100.5, p999: 117, wrong: 0.103, asked: 3.01, busy, lies: [], framed: 0 }
  }
  const rows = [shown('duplicate and compare', 0.5), shown('replication, a majority', 1.2)]
  const images = Array.from({ length: 4 }, () => new Float32Array(784).fill(1))
  const answers = [7, 2, 1, 0].map((digit) => ({ digit, status: 'exact' as const }))

  it.each([20, 40, 60, 80, 120])('%i columns: no line is longer', (columns) => {
    process.env.COLUMNS = String(columns)
    for (const text of [slowTable(rows), lyingTable(rows), gallery(images, answers)]) {
      expect(longest(text)).toBeLessThanOrEqual(columns)
    }
  })

  it('a picture has a character for 2 x 4 pixels', () => {
    const image = Float32Array.from({ length: 64 }, (_, i) => Number(i < 32))
    expect([picture(image, false), picture(image, true)]).toEqual([
      ['████', '    '],
      ['####', '    '],
    ])
  })
})
