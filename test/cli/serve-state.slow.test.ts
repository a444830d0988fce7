import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { json, LENET, type Line, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const { folder } = scratch()

describe('a folder for what was learned', () => {
  it('is written when the server ends, and read when it starts', async () => {
    const state = join(folder, 'state')
    const args = [`digits=${LENET}`, '--workers', '3', '--queries', '2', '--stragglers', '1', '--state', state]
    const first = await Served.start(args)
    for (let i = 0; i < 200; i++) await first.infer(json(i))
    await until(async () => ((await first.metrics()).get('approxifer_memory_pairs{model="digits"}') ?? 0) > 0)
    const before = (await first.metrics()).get('approxifer_memory_pairs{model="digits"}') ?? 0
    expect(await first.stop()).toBe(0)
    const second = await Served.start(args)
    const after = (await second.metrics()).get('approxifer_memory_pairs{model="digits"}')
    expect(after).toBeGreaterThanOrEqual(before)
    expect(await second.stop()).toBe(0)
  })

  const digits = [`digits=${LENET}`, '--workers', '3', '--queries', '2', '--stragglers', '1']
  const isTold = ({ msg }: Line) => /model 'digits'/.test(String(msg))

  it('may have a pipe in the place of a state: a warning, and it starts and ends', async () => {
    const state = join(folder, 'with-pipe')
    mkdirSync(state)
    execFileSync('mkfifo', [join(state, 'digits.state')])
    const served = await Served.start([...digits, '--state', state])
    expect(String((await served.line(isTold)).msg)).toMatch(/starts without .*digits\.state: expected a regular file/)
    expect((await served.infer()).status).toBe(200)
    expect(await served.stop()).toBe(0)
  })

  it.each([
    ['reads', /starts without what was learned before: the store has not answered/],
    ['writes', /learned could not be saved: the store has not answered/],
  ])(
    'may be on a disk that hangs, for ever, where it %s: ready within 5 s, closed within its grace',
    async (hangs, warning) => {
      const pipe = join(folder, `pipe-${hangs}`)
      execFileSync('mkfifo', [pipe])
      const grace = 10
      const args = [...digits, '--state', join(folder, `hanging-${hangs}`), '--grace', String(grace)]
      const preload = pathToFileURL('test/fixtures/hanging-disk.js').href
      const timed = async <T>(work: Promise<T>) => {
        const since = performance.now()
        return [await work, performance.now() - since] as const
      }
      const [plain, usualMs] = await timed(Served.start(digits))
      await plain.stop()
      const [served, startMs] = await timed(
        Served.start(args, { NODE_OPTIONS: `--import ${preload}`, HANGS: hangs, PIPE: pipe }),
      )
      expect(startMs).toBeLessThan(5000 + 3 * usualMs) // as busy as the machine is
      for (let i = 0; i < 200; i++) expect((await served.infer(json(i))).status).toBe(200)
      const [, endMs] = await timed(served.stop())
      expect(endMs).toBeLessThan(1000 * grace)
      expect(served.process.signalCode).toBe('SIGTERM') // Node itself would wait for the disk
      expect(served.lines.filter(isTold).map(({ msg }) => msg)).toContainEqual(expect.stringMatching(warning))
      expect(served.lines.at(-1)?.msg).toBe('closed')
    },
  )
})
