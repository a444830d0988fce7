/** The built `approxifer serve`, started by `npx` as users start it: who ends npm ends the server. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { NO_PROC } from '../shared/machine-needs'
import { LENET, type Line } from '../shared/served-process'

const { folder } = scratch()
mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
symlinkSync(resolve('dist/cli.js'), join(folder, 'node_modules/.bin/approxifer'))
const started: ChildProcess[] = []
afterAll(() => {
  for (const { pid } of started) spawnSync('kill', ['-9', '--', `-${pid}`])
})

/** The server's log, line by line, until its last process has closed it. @param command  starts it, in a process group of its own */
function serve(command: string, args: readonly string[], ...flags: string[]) {
  const env = { ...process.env }
  for (const name of Object.keys(env)) if (name.startsWith('npm_')) delete env[name]
  const child = spawn(command, [...args, 'approxifer', 'serve', `digits=${resolve(LENET)}`, '--workers', '1', '--port', '0', ...flags], { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'ignore'], env }) // biome-ignore format: one line
  started.push(child)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  /** The first line like this; undefined if the server has ended before. */
  const line = async (msg: string) => {
    while (true) {
      const { done, value } = await lines.next()
      if (done) return undefined
      const line: Line = JSON.parse(value)
      if (line.msg === msg) return line
    }
  }
  return { child, line }
}

describe.skipIf(NO_PROC)(`who ends npx ends the server under it${NO_PROC}`, () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('in order, by %s', async (signal) => {
    const { child, line } = serve('npx', ['--no'])
    expect(await line('ready')).toBeDefined()
    child.kill(signal)
    expect(await line('npm, which started this server, has ended')).toBeDefined()
    expect(await line('closed')).toBeDefined()
    expect(await line('never')).toBeUndefined()
  })

  it('and a signal that both get is one, however long closing takes', async () => {
    const { child, line } = serve('npx', ['--no'], '--drain-delay', '2')
    expect(await line('ready')).toBeDefined()
    process.kill(-Number(child.pid), 'SIGTERM') // as a service manager does; npm ends at once
    expect(await line('closed')).toBeDefined()
  })

  it('and one that a shell has left behind, without npm, goes on', async () => {
    const { child, line } = serve('sh', ['-c', 'PATH=node_modules/.bin:$PATH npm_command=exec "$@" & wait', 'sh'])
    const ready = await line('ready')
    child.kill('SIGKILL')
    await new Promise((resolve) => child.on('exit', resolve))
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500)) // longer than between two looks at the parent
      expect((await fetch(`${ready?.url}/v2/health/ready`)).status).toBe(200)
    }
  })
})
