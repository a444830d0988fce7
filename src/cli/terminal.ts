/** Output on the terminal: text wrapped to its width, help, and errors. */

import type { Help } from 'commander'
import { ApproxiferError, withoutPassword } from '../base/errors'

/** The width of the terminal, in columns. For a stream that is no terminal: the variable COLUMNS, else no limit. */
export function width(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'> = process.stdout): number {
  const columns = stream.isTTY ? stream.columns : Number(process.env.COLUMNS)
  return columns > 0 ? columns : Number.POSITIVE_INFINITY
}

/** Breaks lines between words. @param hanging  additional spaces in front of a continued line */
export function wrap(text: string, hanging = 0, columns = width()): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, hanging, columns))
    .join('\n')
}

/** Prints to stderr: results alone go to stdout. */
export function note(text: string): void {
  console.error(wrap(text, 2, width(process.stderr)))
}

function wrapLine(line: string, hanging: number, columns: number): string {
  const margin = /^ */.exec(line)?.[0] ?? ''
  const words = line.slice(margin.length).split(/ (?!%)/) // a number and its % stay together
  const lines: string[] = []
  let current = margin + words[0]
  for (const word of words.slice(1)) {
    if (current.length + 1 + word.length <= columns) current += ` ${word}`
    else {
      lines.push(current)
      current = margin + ' '.repeat(hanging) + word
    }
  }
  return [...lines, current].join('\n')
}

/** Whether only ASCII should be printed: NO_COLOR asks for plain text, and the Linux console has no block characters. */
export function isPlain({ NO_COLOR, TERM = '' }: NodeJS.ProcessEnv = process.env): boolean {
  return !!NO_COLOR || TERM === 'dumb' || TERM === 'linux'
}

/** The least width for a description beside its term; with less room it is printed below the term. */
const BESIDE = 40

/** One item of the help, such as an option with its description. */
export function describeItem(this: Help, term: string, termWidth: number, description: string, help: Help): string {
  const width = help.helpWidth ?? 80
  const room = width - termWidth - 4
  if (!description) return `  ${term}`
  if (room < BESIDE) return `  ${term}\n${indent(help.boxWrap(description, width - 6), 6)}`
  return `  ${term.padEnd(termWidth)}  ${indent(help.boxWrap(description, room), termWidth + 4).trimStart()}`
}

function indent(text: string, columns: number): string {
  return text.replace(/^/gm, ' '.repeat(columns))
}

interface PrintedError {
  /** The code of an `ApproxiferError`, 'USAGE' for a wrong command line, a system error's code such as 'ENOENT', or 'FAILED'. */
  code: string
  message: string
}

/** Prints an error to stderr, or with `json` as an object to stdout. Sets the exit code: 2 for a wrong command line, else 1. */
export function report(error: unknown, json: boolean): void {
  const { code, message } = failure(error)
  if (json) console.log(JSON.stringify({ error: { code, message } }))
  else
    note(
      `approxifer: ${error instanceof ApproxiferError ? `${code}: ` : ''}${message}${isCommander(error) ? '\n(--help says more)' : ''}`,
    )
  process.exitCode = code === 'USAGE' ? 2 : 1
}

const isCommander = (error: unknown) => (error as { code?: string }).code?.startsWith('commander.')

function failure(error: unknown): PrintedError {
  const { code, message, cause } = error as { code?: string; message: string; cause?: { code?: string } }
  if (code === 'commander.help') return { code: 'USAGE', message: 'expected a command, got none that is known' }
  if (isCommander(error)) return { code: 'USAGE', message: withoutSecrets(message.replace(/^error: /, '')) }
  if (error instanceof RangeError || error instanceof TypeError) return { code: 'USAGE', message }
  return { code: code ?? cause?.code ?? 'FAILED', message }
}

/** A message of commander without the password of a URL that the user typed. */
function withoutSecrets(message: string): string {
  return message.replace(
    /(argument ')(.*)(' is invalid)/s,
    (_, before, typed, after) => before + withoutPassword(typed) + after,
  )
}
