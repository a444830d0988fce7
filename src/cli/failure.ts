/** What went wrong, for people and for scripts. */

import { ApproxiferError, withoutPassword } from '../errors'
import { note } from './terminal'

interface Failure {
  /** A code of the library, 'USAGE' for what was asked wrongly, a system error's code such as 'ENOENT', or 'FAILED'. */
  code: string
  message: string
}

/** Prints an error: to stderr, or with `json` as an object to stdout, where scripts read. Sets the exit code: 1 or 2. */
export function report(error: unknown, json: boolean): void {
  const { code, message } = failure(error)
  if (json) console.log(JSON.stringify({ error: { code, message } }))
  else note(`approxifer: ${error instanceof ApproxiferError ? `${code}: ` : ''}${message}${more(error)}`)
  process.exitCode = code === 'USAGE' ? 2 : 1
}

const more = (error: unknown) => (isCommander(error) ? '\n(--help says more)' : '')
const isCommander = (error: unknown) => (error as { code?: string }).code?.startsWith('commander.')

function failure(error: unknown): Failure {
  const { code, message, cause } = error as { code?: string; message: string; cause?: { code?: string } }
  if (code === 'commander.help') return { code: 'USAGE', message: 'expected a command, got none that is known' }
  if (isCommander(error)) return { code: 'USAGE', message: discreet(message.replace(/^error: /, '')) }
  if (error instanceof RangeError || error instanceof TypeError) return { code: 'USAGE', message }
  return { code: code ?? cause?.code ?? 'FAILED', message }
}

function discreet(message: string): string {
  return message.replace(/(argument ')(.*)(' is invalid)/s, (_, before, typed, after) => before + withoutPassword(typed) + after) // biome-ignore format: one line
}
