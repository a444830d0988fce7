// Runs the portable tests (the project `runtimes` of vitest.config.ts) in Deno and in Bun, whose programs lie among the packages of
// test/consumers. More arguments go to vitest. Exits with 1 where a test fails in one of them.
import { spawnSync } from 'node:child_process'
import { findBun, findDeno } from './packages.js'

const VITEST = ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]

for (const [name, program, ...args] of [
  ['Deno', findDeno(), 'run', '--allow-all', ...VITEST],
  ['Bun', findBun(), '--bun', ...VITEST],
]) {
  if (!program)
    console.log(
      `Without ${name}, the tests in it are left out. To have it: cd test/consumers && npm ci --ignore-scripts`,
    )
  else if (spawnSync(program, args, { stdio: 'inherit' }).status) process.exitCode = 1
}
