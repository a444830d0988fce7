/** A copy of the sources in which something is changed for a while, to see who notices. */

import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** @param parts  files and folders of this one @returns a new folder with these and its packages; the caller removes it */
export function copyOf(parts: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'changed-'))
  for (const part of parts) cpSync(part, join(folder, part), { recursive: true })
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** What `run` gives while a file is changed; it is as it was afterwards. */
export function whileChanged<T>(path: string, change: (text: string) => string, run: () => T): T {
  const own = readFileSync(path, 'utf8')
  writeFileSync(path, change(own))
  try {
    return run()
  } finally {
    writeFileSync(path, own)
  }
}
