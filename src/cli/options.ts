/** Parsers of flags' values. Each refuses a wrong value with a sentence and, if possible, the value that was probably meant. */

import { Option as Flag, InvalidArgumentError } from 'commander'
import { nearest } from '../base/check'
import { type Option, wordsFor } from '../base/option'
import { checkRight, type Right, type RightOutput } from '../base/output-kind'
import { type CodeName, codeNames } from '../codec/names'
import { predictorOptions } from '../predictor/option-table'
import { synonyms } from '../predictor/synonyms'
import { attackForms, parseAttack } from '../testing/faults'
import { addressesIn, SCHEME } from '../workers/nats/connection'

export function choice(flags: string, description: string, words: readonly string[]): Flag {
  return new Flag(flags, description).choices(words).argParser(oneOf(words))
}

/** The flag of an option that an option table describes. */
export function flagFor(option: Option, about = helpOf({ ...option, otherwise: '' })): Flag {
  return new Flag(option.flags ?? '', about).argParser(parserOf(option))
}

/**
 * What an unknown flag means that is a word of another system, or an option that only a configuration file has.
 *
 * @param flags  the long flags of the command
 */
export function meantBy(unknown: string, flags: readonly string[]): string | undefined {
  const isMeant = (word: string) => word.toLowerCase() === nameOf(unknown).toLowerCase()
  const [translated] = Object.entries(synonyms).find(([, words]) => words.some(isMeant)) ?? []
  for (const { word, path, option } of wordsFor(predictorOptions)) {
    const place = path.join('.')
    if (place !== translated && !isMeant(word)) continue
    const flag = place === 'workers' ? '--workers' : option.flags?.split(' ')[0]
    if (flag && flags.includes(flag)) return flag
    if (flags.includes('--config')) return `${place} in a file for --config`
  }
}

export const nameOf = (flags: string) => new Flag(flags).attributeName()

export function helpOf({ about, check, fallback = '', otherwise: shown = `${fallback}` }: Option): string {
  const text = [about, ...(check.words ? [check.words.join(', ')] : [])].join(': ') + (shown && ` (default: ${shown})`)
  return text.replace(/:? see \[.*?\]\(.*?\)/g, '').replace(/[`']/g, '') // no Markdown
}

/** A flag's value is text. Where the option's check refuses the text, it is tried as a number. */
export function parserOf({ flags = '', check }: Option): (text: string) => unknown {
  if (check.words) return oneOf(check.words)
  return (text) => {
    try {
      return check(flags, text)
    } catch {}
    try {
      return check(flags, text.trim() === '' ? text : Number(text))
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message.replace(/^.*?: e(.*), got .*$/s, 'E$1.'))
    }
  }
}

function oneOf(words: readonly string[]) {
  return (text: string): string => {
    if (words.includes(text)) return text
    throw refused(`one of ${words.join(', ')}`, nearest(text, words))
  }
}

/** Whether --code names a file of a user's own; else it names a code of the package. */
export const isCodeFile = (code: string) => /[/\\]/.test(code)

/** Parses one --code. @param before  the values of earlier uses of the flag, which are kept */
export function codeOrFile(text: string, before: readonly string[] = []): string[] {
  if (isCodeFile(text) || codeNames.includes(text as CodeName)) return [...before, text]
  const meant = /\.m?[jt]s$/.test(text) ? `./${text}` : nearest(text, codeNames)
  throw refused(`one of ${codeNames.join(', ')}, or a file with a /, such as ./mine.js`, meant)
}

/** One name is the code of the scheme; several codes, or a file, are compared. */
export function codesOf(codes: readonly string[] = []): { code?: CodeName | undefined; codes?: readonly string[] } {
  const [code] = codes
  if (codes.length > 1 || codes.some(isCodeFile)) return { code: undefined, codes }
  return { code: code as CodeName | undefined }
}

function number(what: string, fits: (value: number) => boolean) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() !== '' && fits(value)) return value
    throw refused(what)
  }
}

export const integer = (least: number) =>
  number(`an integer >= ${least}`, (value) => Number.isInteger(value) && value >= least)
export const probability = number('a probability from 0 to 1', (value) => value >= 0 && value <= 1)
export const amount = number('a number >= 0', (value) => value >= 0 && Number.isFinite(value))

export const loadShare = number('a share above 0 and below 1', (value) => value > 0 && value < 1)
export const seconds = number('a number of seconds >= 1', (value) => value >= 1 && Number.isFinite(value))

export const GRID = '2,4,8,12:1,2,3'

/** Parses the values of K and of S: 'K,K,..:S,S,..'. */
export function grid(text: string): { queries: number[]; stragglers: number[] } {
  const match = /^(\d+(?:,\d+)*):(\d+(?:,\d+)*)$/.exec(text)
  const [queries, stragglers] = (match?.slice(1) ?? []).map((list) => list.split(',').map(Number))
  if (queries?.every((K) => K >= 1)) return { queries, stragglers }
  throw refused(`K,K,..:S,S,.. such as ${GRID}`)
}

export function attack(text: string): string {
  try {
    parseAttack(text)
    return text
  } catch {
    const names = attackForms.split(' | ').map((form) => form.split(/[[:]/)[0])
    throw refused(attackForms, nearestHead(text, names))
  }
}

/**
 * Parses 'name=AxBxC,name=...'. A name may contain '=' and ',': it ends at the last '=' before a shape.
 *
 * @param before  the shapes of earlier uses of the same flag, which are kept
 */
export function inputShapes(text: string, before: Record<string, number[]> = {}): Record<string, number[]> {
  const shapes = { ...before }
  const entry = /(.+?)=([1-9]\d*(?:x[1-9]\d*)*)(?:,(?=.)|$)/y
  while (entry.lastIndex < text.length) {
    const [, name, shape] = entry.exec(text) ?? []
    if (!name || Object.hasOwn(shapes, name)) throw refused('name=AxBxC,.. without the batch, each name once')
    shapes[name] = shape.split('x').map(Number)
  }
  if (text) return shapes
  throw refused('name=AxBxC,.. without the batch')
}

const RIGHT = 'label|labels|equal|axis:N|threshold:X|top:K|within:X|relative:X'
const WORD = /(label|labels|equal)|(axis|threshold|top|within|relative):(-?\d*\.?\d+(?:e-?\d+)?)/.source

/** Parses when an output counts as right: 'label', 'within:2.5'. */
export function rightOutput(text: string): RightOutput {
  const [, word, name, number] = new RegExp(`^(?:${WORD})$`).exec(text) ?? []
  try {
    return checkRight('right', word ?? { [name]: Number(number) }) as RightOutput
  } catch {
    throw refused(RIGHT)
  }
}

/** Parses when an answer counts as right: 'label', or for several outputs 'name=label,name=within:2.5'. */
export function rights(text: string): Right {
  if (!text.includes('=')) return rightOutput(text)
  const entries = [...text.matchAll(new RegExp(`(.+?)=(${WORD})(?:,(?=.)|$)`, 'gy'))]
  if (entries.map(([entry]) => entry).join('') !== text) throw refused(`${RIGHT}, or NAME=one of these,..`)
  return { outputs: Object.fromEntries(entries.map(([, name, each]) => [name, rightOutput(each)])) }
}

/** Parses 'name,name'; '\,' is a comma within a name. @param before  the names of earlier uses of the same flag, which are kept */
export function names(text: string, before: string[] = []): string[] {
  const all = [...before, ...text.split(/(?<!\\),/).map((name) => name.replaceAll('\\,', ','))]
  if (all.every((name) => name) && new Set(all).size === all.length) return all
  throw refused('name,name,.. each once')
}

/** Parses the addresses of NATS servers: 'url' or 'url,url'. */
export function natsServers(text: string): string[] {
  const urls = addressesIn(text)
  if (urls.every((url) => SCHEME.test(url))) return urls
  throw refused('nats://host:port, or tls://, ws:// or wss://; or several with commas between them')
}

/** The text with the word before its first colon replaced by the known word that is nearest to it. */
function nearestHead(text: string, heads: readonly string[]): string | undefined {
  const [head, ...rest] = text.split(':')
  const near = nearest(head, heads)
  return near === undefined || near === head ? undefined : [near, ...rest].join(':')
}

export function refused(what: string, meant?: string): InvalidArgumentError {
  return new InvalidArgumentError(`Expected ${what}.${meant === undefined ? '' : `\n(Did you mean ${meant}?)`}`)
}
