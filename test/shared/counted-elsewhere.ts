/** For tests whose code runs in another program than vitest's: the table at the end of a run counts them there. */

import { execFileSync } from 'node:child_process'
import { versionIn } from '../../scripts/programs.js'

declare module 'vitest' {
  export interface TaskMeta {
    /** Name and version of what ran the test's code. */
    runtime?: [string, string]
  }
}

/** Options of such a test. @param program  its path; it tells its version */
export function ranBy(name: string, program: string): { meta: { runtime: [string, string] } } {
  return { meta: { runtime: [name, versionIn(execFileSync(program, ['--version'], { encoding: 'utf8' }))] } }
}
