/**
 * The end of the npm that started this process. On SIGTERM npm 11 ends its shell and not what that runs; on SIGKILL it ends alone. Without this
 * the server would go on, and keep its port.
 */

import { readFileSync } from 'node:fs'

const POLL_MS = 500

/** Calls back once when the npm (`npx`, `npm start`) that started this process has ended. Never if another program started it. */
export function whenNpmEnds(ended: () => void): void {
  const before = npmsProcess()
  if (before === undefined) return
  const timer = setInterval(() => {
    if (npmsProcess() === before) return
    clearInterval(timer)
    ended()
  }, POLL_MS)
  timer.unref()
}

/** The id of the npm above this process: its parent, or that of the shell between them. Undefined where there is none. */
function npmsProcess(): number | undefined {
  if (process.env.npm_command === undefined) return undefined // children inherit it, so it alone proves nothing
  const { ppid } = process
  return [ppid, parentOf(ppid)].find((id) => id !== undefined && isNpm(id))
}

/** Linux only: other systems have no such files. */
function read(id: number, file: string): string {
  try {
    return readFileSync(`/proc/${id}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

const isNpm = (id: number) => /^npm\b/.test(read(id, 'cmdline'))

function parentOf(id: number): number | undefined {
  const [, parent] = /^PPid:\t(\d+)$/m.exec(read(id, 'status')) ?? []
  return parent === undefined ? undefined : Number(parent)
}
