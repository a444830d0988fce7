/** Packs the package as npm would publish it, once for all consumers. */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { TOOLS } from './consumer'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where consumers live; in it, `packed.tgz`, and `packages/` with what each of them gets a copy of. */
    folder: string
  }
}

export default function setup({ provide }: TestProject) {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-consumers-'))
  const packages = join(folder, 'packages')
  mkdirSync(packages)
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder])
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string
  cpSync(join(folder, tarball), join(folder, 'packed.tgz'))
  execFileSync('tar', ['xzf', 'packed.tgz'], { cwd: folder })
  cpSync(join(folder, 'package'), join(packages, 'approxifer'), { recursive: true })
  const plain = (path: string) => !path.endsWith('.map')
  for (const name of ['onnxruntime-web', 'onnxruntime-common']) {
    cpSync(join(TOOLS, name), join(packages, name), { recursive: true, filter: plain })
  }
  provide('folder', folder)
  return () => rmSync(folder, { recursive: true })
}
