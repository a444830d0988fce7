/** The flags of `approxifer serve`: for the server and for its models, where a value is for all models, or NAME=VALUE for one. */

import type { Command } from 'commander'
import type { AnyOptions, Option } from '../../base/option'
import { textOptions } from '../../gateway/text/options'
import { predictorOptions } from '../../predictor/option-table'
import { flagFor, helpOf, inputShapes, nameOf, names, parserOf, refused, rightOutput } from '../options'
import { EVERY, type Flags, type PerModel, WORKERS } from './config'
import { serverOptions } from './options'

interface ModelFlag {
  flags: string
  about: string
  /** The path of its option among a predictor's, such as ['scheme', 'queries']. */
  path: readonly string[]
  parse(text: string, before?: PerModel<unknown>): PerModel<unknown>
}

/** Flags whose values contain '=' themselves, and therefore are always for all models. */
const plain: Readonly<Record<string, (text: string, before?: never) => unknown>> = { inputShapes, outputs: names }

function flagged(options: AnyOptions, group: readonly string[] = []): ModelFlag[] {
  return Object.entries(options).flatMap(([name, option]) => {
    const path = [...group, name]
    const { flags } = option
    if (option.options) return flagged(option.options, path)
    const parse = name in plain ? forAll(plain[name]) : perModel(name === 'right' ? rightOutput : parserOf(option))
    return flags === undefined ? [] : [{ flags, about: helpOf(option), path, parse }]
  })
}

const modelFlags: ModelFlag[] = [
  {
    flags: '--workers <where>',
    about: `${WORKERS} (default: as many threads as the scheme has rows)`,
    path: ['workers'],
    parse: perModel(where),
  },
  ...flagged(predictorOptions),
  ...flagged(textOptions, ['text']),
]

export function withServeFlags(command: Command): Command {
  command.optionsGroup('Models of the command line (VALUE is for all of them, NAME=VALUE for one; repeatable):')
  for (const { flags, about, parse } of modelFlags) command.option(flags, about, parse)
  command.optionsGroup('Server:')
  command.option(
    '--config <file>',
    'YAML or JSON, watched: {"models": {"name": {"model": "file.onnx", ..}}, "port": 8000, ..}',
  )
  for (const option of Object.values<Option>(serverOptions)) command.addOption(flagFor(option, helpOf(option)))
  return command
}

export function flagsOf(values: Record<string, unknown>): Flags {
  const given = modelFlags.flatMap(({ flags, path }) => {
    const value = values[nameOf(flags)] as PerModel<unknown> | undefined
    return value ? [{ path, value }] : []
  })
  const server = Object.fromEntries(Object.keys(serverOptions).map((name) => [name, values[name]]))
  return { ...(values.config !== undefined && { config: String(values.config) }), ...server, model: given }
}

/** Parses 'VALUE' or 'NAME=VALUE', and keeps the values of earlier uses of the flag. */
function perModel(parse: (text: string) => unknown) {
  return (text: string, before: PerModel<unknown> = {}): PerModel<unknown> => {
    const [, name = '', value = text] = /^([A-Za-z0-9][\w.-]*)=(.*)$/s.exec(text) ?? []
    return { ...before, [name]: parse(value) }
  }
}

function forAll(parse: (text: string, before?: never) => unknown) {
  return (text: string, before: PerModel<unknown> = {}) => ({ [EVERY]: parse(text, before[EVERY] as never) })
}

function where(text: string): number | string {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  if (/^([1-9]\d*,)?((https?|nats|tls|wss?):\/\/.|file:.|dns:[\w.-]+:\d+$)/.test(text)) return text
  throw refused(WORKERS, /^[\w.-]+:\d+(,|$)/.test(text) ? `http://${text}` : undefined)
}
