#!/usr/bin/env node
/** approxifer demo | plan | evaluate */

import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { codeNames } from '../codec/codes'
import { decoderNames } from '../codec/decoders'
import { locatorNames } from '../codec/locators'
import { ApproxiferError } from '../errors'
import { featureNames } from '../history/memory'
import { policies } from '../history/worth'
import { pointSets } from '../scheme'
import { attackForms } from '../workers/attacks'
import { demo } from './demo'
import { evaluateCommand } from './evaluate'
import { plan } from './plan'

/** A parser for whole numbers >= least. */
function integer(least: number) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`expected an integer >= ${least}, got ${JSON.stringify(text)}`)
    }
    return value
  }
}

/** A parser for probabilities. */
function probability(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 1) return value
  throw new InvalidArgumentError(`expected a probability from 0 to 1, got ${JSON.stringify(text)}`)
}

/** A parser for numbers >= 0. */
function amount(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && Number.isFinite(value)) return value
  throw new InvalidArgumentError(`expected a number >= 0, got ${JSON.stringify(text)}`)
}

/** A parser for 'K,K,..:S,S,..'. */
function grid(text: string): { queries: number[]; stragglers: number[] } {
  const match = /^(\d+(?:,\d+)*):(\d+(?:,\d+)*)$/.exec(text)
  const [queries, stragglers] = (match?.slice(1) ?? []).map((list) => list.split(',').map(Number))
  if (queries && queries.every((K) => K >= 1)) return { queries, stragglers }
  throw new InvalidArgumentError(`expected K,K,..:S,S,.. such as ${GRID}, got ${JSON.stringify(text)}`)
}

const GRID = '2,4,8,12:1,2,3'

/** The options that make a scheme. */
function withScheme(command: Command, queries: number, stragglers: number, byzantine: number): Command {
  return command
    .option('--queries <K>', 'queries coded together', integer(1), queries)
    .option('--stragglers <S>', 'results that may be missing', integer(0), stragglers)
    .option('--byzantine <E>', 'results that may be wrong', integer(0), byzantine)
    .option('--workers <N>', 'coded queries (default: K + S, or 2(K + E) + S where E > 0)', integer(1))
    .addOption(new Option('--preset <name>', 'aaai22: the paper’s code, decoder and locator').choices(['aaai22']))
    .addOption(new Option('--points <set>', 'worker nodes').choices(pointSets).default(pointSets[0]))
}

const program = new Command('approxifer')
  .description('Prediction serving that stays fast and right when workers are slow, dead or lying.')
  .version(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)
  .showHelpAfterError('(--help says more)')
  .exitOverride() // before the commands, which inherit it

withScheme(program.command('demo'), 8, 1, 1)
  .description('real digits through real workers: one straggles, one dies, one lies')
  .option('--digits <n>', 'digits per scene', integer(1), 160)
  .option('--seed <n>', 'seed of faults and lies', integer(0), 1)
  .option('--json', 'print JSON instead of tables')
  .action(demo)

withScheme(program.command('plan'), 8, 1, 0)
  .description('workers, overhead and memory of a scheme beside replication and ParM')
  .option('--model <file>', 'an .onnx file, for the memory estimate')
  .option('--json', 'print JSON instead of a table')
  .action(plan)

withScheme(program.command('evaluate'), 8, 1, 0)
  .description('how much accuracy coding costs on your model and data')
  .argument('<model>', 'an .onnx file; the class is the largest value of its first output')
  .requiredOption('--inputs <file>', '.npy of uint8 (divided by 255) or float32, one query per row')
  .requiredOption('--labels <file>', '.npy of class labels')
  .option('--attack <attack>', `how liars lie: ${attackForms}`, 'gauss:10')
  .addOption(new Option('--code <code>', 'which rows').choices(codeNames))
  .addOption(
    new Option('--decoder <decoder>', 'how answers are recovered (default: berrut, or kriging)').choices(decoderNames),
  )
  .addOption(new Option('--locator <locator>', 'who lies (default: residual)').choices(locatorNames))
  .option('--grouping <how>', 'random, or likeness:P: pools of P groups, ordered by likeness and cut', 'random')
  .option('--memory <n>', 'inputs remembered with their answers; groups come from the rest', integer(0), 0)
  .addOption(
    new Option('--features <how>', 'how the memory compares inputs (default: patches for images, else raw)').choices(
      featureNames,
    ),
  )
  .addOption(new Option('--policy <policy>', 'what becomes of lost queries').choices(policies).default('recover'))
  .option('--min-confidence <p>', 'from which the policy auto gives a recovered answer', probability, 0.9)
  .option('--learn <n>', 'groups whose late answers teach the confidence (default: 300, at most half)', integer(0))
  .option('--grid [K,..:S,..]', `a table over K and S instead of one scheme (default: ${GRID})`, grid)
  .option('--tolerate <loss>', 'accuracy that the recommended scheme may lose', probability, 0.01)
  .option('--straggler-rate <p>', 'share of answers that come too late', probability, 0.01)
  .option('--retry-price <n>', 'what asking again costs, its latency included, in inferences', amount, 1)
  .option('--report <folder>', 'write report.md there, with plots (needs vega and vega-lite)')
  .option('--groups <n>', 'groups of K random inputs', integer(1), 500)
  .option('--seed <n>', 'seed of groups, losses and lies', integer(0), 1)
  .addOption(new Option('--core <core>', 'numerical core (default: wasm, else js)').choices(['wasm', 'js']))
  .option('--json', 'print JSON instead of a table')
  .action((model, options) =>
    evaluateCommand(model, { ...options, grid: options.grid === true ? grid(GRID) : options.grid }),
  )

// Exit codes: 0 done, 1 it failed, 2 it was asked wrongly.
try {
  await program.parseAsync()
} catch (error) {
  const { code, exitCode, message } = error as { code?: string; exitCode?: number; message: string }
  if (code?.startsWith('commander.')) process.exitCode = exitCode ? 2 : 0
  else {
    const asked = error instanceof RangeError || error instanceof TypeError
    console.error(`approxifer: ${error instanceof ApproxiferError ? `${error.code}: ` : ''}${message}`)
    process.exitCode = asked ? 2 : 1
  }
}
