/** What some tests need of a machine and not every one has: '', or what to say in the name of a test that is skipped for it. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'

const unless = (isThere: boolean, what: string) => (isThere ? '' : ` (skipped: here is no ${what})`)

/** Linux tells there what a process takes. */
export const NO_PROC = unless(existsSync('/proc/self/status'), '/proc')

/** Other systems' `script` has other options. */
export const NO_SCRIPT = unless(
  /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  '`script` of util-linux, which makes a terminal',
)

/** All of 127.0.0.0/8 is a Linux machine itself; of others only what somebody has configured. */
export const NO_SECOND_ADDRESS = unless(
  await new Promise<boolean>((resolve) => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(0, '127.0.0.2', () => server.close(() => resolve(true)))
  }),
  '127.0.0.2',
)
