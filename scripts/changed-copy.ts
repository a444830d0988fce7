/** A copy of the sources in which something is changed for a while, to see who notices. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transformSync } from 'esbuild'

/** What is broken on purpose: a file of src/, what stands there once, and what takes its place. */
export interface Change {
  name: string
  file: string
  from: string
  to: string
}

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

/** A file's text with a change made. @throws Error where what it replaces does not stand there once, or what comes of it is the same or does not compile */
export function changed(text: string, { name, file, from, to }: Change): string {
  const made = text.replace(from, () => to)
  if (text.split(from).length !== 2 || made === text) throw new Error(`${name}: expected ${JSON.stringify(from)} once in ${file}, and something else in its place`) // biome-ignore format: one line
  transformSync(made, { loader: 'ts' })
  return made
}
