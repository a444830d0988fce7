/** For tests whose code runs in another program than vitest's: the table at the end of a run counts them there. */

import { execFileSync } from 'node:child_process'
import { versionIn } from '../../scripts/programs.js'

declare module 'vitest' {
  export interface TaskMeta {
    /** Name and version of what ran the test's code. */
    runtime?: [string, string]
    /** What the test is about, by the keys of scripts/subjects.js, where its file does not tell. */
    subject?: string
    /** What the test of WebGPU found: the model's answers, answers that were refused as wrong, or no adapter. */
    webgpu?: 'answers' | 'refused' | 'none'
  }
}

/** Options of such a test. @param program  its path; it tells its version @param subject  see `TaskMeta` */
export function ranBy(name: string, program: string, subject?: string) {
  const version = versionIn(execFileSync(program, ['--version'], { encoding: 'utf8' }))
  return { meta: { runtime: [name, version] as [string, string], ...(subject && { subject }) } }
}
