/** What models learned, in a folder of files: whole or not at all, also where the power fails. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Files } from './platform'

/** Of a file's name, which most file systems limit to 255 bytes. */
const MOST_LETTERS = 200

/** What was learned of callers' queries is for nobody else to read. */
const OWNER = { folder: 0o700, file: 0o600 }

/** A temporary file that is older was left by a process that was killed. A live one that loses its file fails to save once. */
const LEFT_MS = 60_000
const TEMPORARY = /^[^.]+\.state\.[0-9a-f]+\.tmp$/

/** @param folder  made if it is not there; several processes may share it: what was written last counts */
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
        await removeLeft(folder, temporary).catch(() => {}) // the state matters more
        await rename(temporary, path)
      } catch (error) {
        await unlink(temporary).catch(() => {})
        throw error
      }
      await synced(folder, 'r') // the name itself
    },
  }
}

/** A pipe is refused: to open one waits for its other end, for ever, in one of the four threads of all file operations. */
async function readRegular(path: string): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    if ((await file.stat()).isFile()) return await file.readFile()
  } finally {
    await file.close()
  }
  throw new Error(`${path}: expected a regular file, got another kind`)
}

/** Does something to a file or folder and waits until it is on the disk. */
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

/** @param own  just written: by the clock that dates the others, which may be a file server's */
async function removeLeft(folder: string, own: string): Promise<void> {
  const before = (await stat(own)).mtimeMs - LEFT_MS
  for (const name of (await readdir(folder)).filter((each) => TEMPORARY.test(each))) {
    const path = join(folder, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY })) // it has just been renamed
    if (mtimeMs < before) await unlink(path).catch(() => {})
  }
}

/** Names may be anything: slashes and dots at the beginning, too. */
function pathOf(folder: string, name: string): string {
  const escaped = encodeURIComponent(name).replaceAll('.', '%2E')
  if (escaped.length > MOST_LETTERS) {
    throw new RangeError(`name: expected at most ${MOST_LETTERS} letters as a file's name, got ${escaped.length}`)
  }
  return join(folder, `${escaped}.state`)
}
