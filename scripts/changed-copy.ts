/** A copy of the sources in which something is changed for a while, to see who notices. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** @param parts  files and folders of this one @returns a new folder with these and its packages; the caller removes it */
export function copyOf(parts: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'changed-'))
  for (const part of parts) cpSync(part, join(folder, part), { recursive: true })
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** The TypeScript files of a folder and of those in it, or the file itself. */
export function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return path.endsWith('.ts') ? [path] : []
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesIn(join(path, name)))
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
