/** The READMEs of the examples: what they say to type, and what they say is printed. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { fences } from '../../scripts/docs-rules'

export const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url))

/**
 * @returns `commands`: the words of each line, without comments and what installs packages; `printed`: the text after them
 */
export function readme(name: string) {
  const text = readFileSync(`${EXAMPLES}${name}/README.md`, 'utf8')
  const all = fences(text)
  const [sh, printed] = ['sh', 'text'].map((language) =>
    (all.find((each) => each.language === language)?.code ?? '').replace(/\n$/, ''),
  )
  const lines = sh.split('\n').map((line) => line.replace(/ (&|#).*/, ''))
  const words = (line: string) => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''))
  return { commands: lines.filter((line) => !line.startsWith('npm install')).map(words), printed }
}

/** A text with # in the place of each number: times, and last digits, are others on other machines. */
export const withoutNumbers = (text: string) => text.replace(/-?\d+(\.\d+)?/g, '#')
