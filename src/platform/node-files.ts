/** Saved states in a folder of files. Writes are atomic, even if the power fails. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Files } from './platform'

/** Longest escaped name; most file systems limit names to 255 bytes. */
const MOST_LETTERS = 200

/** Only the owner may read saved states, since they contain callers' queries. */
const OWNER = { folder: 0o700, file: 0o600 }

/** An older temporary file was left by a killed process. If it was a running one's, that process fails to save once. */
const LEFT_MS = 60_000
const TEMPORARY = /^[^.]+\.state\.[0-9a-f]+\.tmp$/

/** @param folder  created if missing; may be shared by several processes: the last write wins */
export function files(folder: string): Files {
  return {
    async read(name) {
      try {
        return await readRegular(pathOf(folder, name))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(name, bytes) {
      const path = pathOf(folder, name)
      await mkdir(folder, { recursive: true, mode: OWNER.folder })
      const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`
      try {
        await synced(temporary, 'wx', (file) => file.writeFile(bytes))
        await removeLeft(folder, temporary).catch(() => {}) // saving matters more
        await rename(temporary, path)
      } catch (error) {
        await unlink(temporary).catch(() => {})
        throw error
      }
      await synced(folder, 'r') // makes the rename durable
    },
  }
}

/** Reads a regular file. Opening a pipe would block one of Node's four threads for file operations for ever. */
async function readRegular(path: string): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    if ((await file.stat()).isFile()) return await file.readFile()
  } finally {
    await file.close()
  }
  throw new Error(`${path}: expected a regular file, got another kind`)
}

/** Runs `work` on a file or folder and syncs it to disk. */
async function synced(path: string, flags: string, work = async (_: Handle) => {}): Promise<void> {
  const file = await open(path, flags, OWNER.file)
  try {
    await work(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

type Handle = Awaited<ReturnType<typeof open>>

/** Deletes old temporary files. @param own  a file just written, whose time stamp is from the same clock, even on a file server */
async function removeLeft(folder: string, own: string): Promise<void> {
  const before = (await stat(own)).mtimeMs - LEFT_MS
  for (const name of (await readdir(folder)).filter((each) => TEMPORARY.test(each))) {
    const path = join(folder, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY })) // it was renamed meanwhile
    if (mtimeMs < before) await unlink(path).catch(() => {})
  }
}

/** Escapes a name, which may contain slashes or start with dots. */
function pathOf(folder: string, name: string): string {
  const escaped = encodeURIComponent(name).replaceAll('.', '%2E')
  if (escaped.length > MOST_LETTERS) {
    throw new RangeError(`name: expected at most ${MOST_LETTERS} letters as a file's name, got ${escaped.length}`)
  }
  return join(folder, `${escaped}.state`)
}
