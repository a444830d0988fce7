/** The flags of `approxifer serve`: those of its models, each for all models or as NAME=VALUE for one, and those of the server. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { nearest } from '../../check'
import { codeNames } from '../../codec/codes'
import { atDeadlines, policies } from '../../query/decision'
import { amount, inputShapes, integer, names, probability } from '../options'
import type { Flags, PerModel } from './config'
import { WORKERS } from './config'
import { type ServerOption, serverOptions } from './options'

interface ModelFlag {
  flags: string
  about: string
  /** Where its value stands among a predictor's options. */
  path: readonly string[]
  parse(text: string): unknown
}

const modelFlags: ModelFlag[] = [
  {
    flags: '--queries <K>',
    about: 'queries coded together (default: none)',
    path: ['scheme', 'queries'],
    parse: integer(1),
  },
  {
    flags: '--stragglers <S>',
    about: 'answers of a group that may be late or missing',
    path: ['scheme', 'stragglers'],
    parse: integer(0),
  },
  {
    flags: '--byzantine <E>',
    about: 'answers of a group that may be lies',
    path: ['scheme', 'byzantine'],
    parse: integer(0),
  },
  {
    flags: '--code <code>',
    about: `which rows are sent: ${codeNames.join(', ')}`,
    path: ['scheme', 'code'],
    parse: word(codeNames),
  },
  {
    flags: '--workers <where>',
    about: `${WORKERS} (default: as many threads as the scheme has rows)`,
    path: ['workers'],
    parse: where,
  },
  {
    flags: '--policy <policy>',
    about: `what a late query gets: ${policies.join(', ')}`,
    path: ['policy'],
    parse: word(policies),
  },
  {
    flags: '--min-confidence <p>',
    about: 'from which the policy auto gives a recovered answer',
    path: ['minConfidence'],
    parse: probability,
  },
  {
    flags: '--at-deadline <what>',
    about: 'with a recovery that is less sure: fail (504, default) or give',
    path: ['atDeadline'],
    parse: word(atDeadlines),
  },
  { flags: '--deadline <ms>', about: 'that a query may take (default: 10000)', path: ['deadlineMs'], parse: amount },
  {
    flags: '--max-queries <n>',
    about: 'queries in the house; more are answered 429 (default: 1000)',
    path: ['maxQueries'],
    parse: integer(1),
  },
  { flags: '--partitions <n>', about: 'tenants kept apart (default: 1)', path: ['partitions'], parse: integer(1) },
  {
    flags: '--runtime <package>',
    about: 'onnxruntime-web or onnxruntime-node',
    path: ['runtime'],
    parse: word(['onnxruntime-web', 'onnxruntime-node']),
  },
]

/** Flags whose values hold '=' themselves: for all models. */
const plainFlags = [
  {
    flags: '--input-shapes <shapes>',
    about: 'name=AxBxC,.. of inputs with other dynamic dimensions, no batch',
    parse: inputShapes,
  },
  { flags: '--outputs <names>', about: 'name,.. of the outputs to use (default: all)', parse: names },
]

export function withServeFlags(command: Command): Command {
  command.optionsGroup('Models of the command line (a value is for all, NAME=VALUE for one; repeatable):')
  for (const { flags, about, parse } of modelFlags) command.option(flags, about, perModel(parse))
  for (const { flags, about, parse } of plainFlags) command.option(flags, about, parse as (text: string) => unknown)
  command.optionsGroup('Server:')
  command.option('--config <file>', 'JSON: {"models": {"name": {"model": "file.onnx", ..}}, "port": 8000, ..}')
  for (const option of Object.values(serverOptions)) command.addOption(serverFlag(option))
  return command
}

/** @param values  as commander gives them */
export function flagsOf(values: Record<string, unknown>): Flags {
  const paths = modelFlags.map(({ flags, path }) => ({
    path,
    value: values[nameOf(flags)] as PerModel<unknown> | undefined,
  }))
  const plain = plainFlags.map(({ flags }) => {
    const value = values[nameOf(flags)]
    return { path: [nameOf(flags)], value: value === undefined ? undefined : { '': value } }
  })
  const given = [...paths, ...plain].flatMap(({ path, value }) => (value ? [{ path, value }] : []))
  const server = Object.fromEntries(Object.keys(serverOptions).map((name) => [name, values[name]]))
  return { ...(values.config !== undefined && { config: String(values.config) }), ...server, model: given }
}

const nameOf = (flags: string) => new Option(flags).attributeName()

/** Its fallback is only shown: what the configuration file says goes before it. */
function serverFlag({ flags, about, fallback, check }: ServerOption): Option {
  const shown = fallback === undefined || (Array.isArray(fallback) && !fallback.length) ? '' : ` (default: ${fallback})`
  const option = new Option(flags, about + shown)
  return option.argParser((text: string) => {
    try {
      return check(option.attributeName(), text)
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message.replace(/^[\w.]+: e(.*), got .*$/s, 'E$1.'))
    }
  })
}

/** 'VALUE' or 'NAME=VALUE', and what earlier uses of the flag gave. */
function perModel(parse: (text: string) => unknown) {
  return (text: string, before: PerModel<unknown> = {}): PerModel<unknown> => {
    const [, name = '', value = text] = /^([A-Za-z0-9][\w.-]*)=(.*)$/s.exec(text) ?? []
    return { ...before, [name]: parse(value) }
  }
}

function word(words: readonly string[]) {
  return (text: string): string => {
    if (words.includes(text)) return text
    const near = nearest(text, words)
    throw new InvalidArgumentError(`Expected one of ${words.join(', ')}.${near ? `\n(Did you mean ${near}?)` : ''}`)
  }
}

function where(text: string): number | string {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  if (/^(https?|nats|tls|wss?):\/\/.|^file:.|^dns:[\w.-]+:\d+$/.test(text)) return text
  const near = /^[\w.-]+:\d+(,|$)/.test(text) ? `\n(Did you mean http://${text}?)` : ''
  throw new InvalidArgumentError(`Expected ${WORKERS}.${near}`)
}
