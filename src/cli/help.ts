/** Help that can be read on a narrow terminal, too. */

import type { Help } from 'commander'

/** Columns that a description needs to stand beside its term. */
const BESIDE = 40

/** An item of the help: the description beside the term, or below it where there is little room. */
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
