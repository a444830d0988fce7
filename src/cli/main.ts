#!/usr/bin/env node
/** approxifer demo | plan | evaluate | learn | serve | work */

import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { pointSets } from '../base/scheme'
import { codeNames, decoderNames, locatorNames } from '../codec/names'
import { featureNames } from '../memory/domain'
import { predictorOptions } from '../predictor/option-table'
import { CONFIDENT } from '../predictor/settings'
import { attackForms } from '../testing/faults'
import {
  amount,
  attack,
  choice,
  codeOrFile,
  codesOf,
  flagFor,
  GRID,
  grid,
  helpOf,
  inputShapes,
  integer,
  loadShare,
  meantBy,
  names,
  natsServers,
  probability,
  rights,
  seconds,
} from './options'
import { flagsOf, withServeFlags } from './serve/flags'
import { describeItem, report, width, wrap } from './terminal'

const {
  scheme: { options: scheme },
  right,
  onnx: { options: onnx },
  policy,
  minConfidence,
} = predictorOptions

function withScheme(command: Command, queries: number, stragglers: number, byzantine: number): Command {
  return command
    .optionsGroup('Scheme:')
    .addOption(flagFor(scheme.queries).default(queries))
    .addOption(flagFor(scheme.stragglers).default(stragglers))
    .addOption(flagFor(scheme.byzantine).default(byzantine))
    .addOption(flagFor({ ...scheme.workers, flags: '--workers <N>' }, helpOf(scheme.workers)))
    .addOption(choice('--points <set>', 'worker nodes of the paper’s code', pointSets).default(pointSets[0]))
    .addOption(flagFor({ ...scheme.preset, flags: '--preset <name>' }))
}

const INPUTS = ['--inputs <file>', '.npy of uint8 (divided by 255) or floats, one query per row'] as const

/** Options of `evaluate` that only its tables heed: with one of them it prints these, and no verdict. */
const OF_TABLES = [
  ...['queries', 'stragglers', 'byzantine', 'workers', 'points', 'preset', 'code', 'decoder', 'locator', 'attack'],
  ...['groups', 'policy', 'minConfidence', 'learn', 'memory', 'features', 'stream', 'grid', 'retryPrice'],
]

/** Adds the options of a model, and --right: when an answer of it counts as right. */
function withRight(command: Command): Command {
  return withModel(
    command.addOption(flagFor(right, `${helpOf(right)}; of several outputs name=what,..`).argParser(rights)),
  )
}

function withModel(command: Command): Command {
  return command
    .addOption(flagFor(onnx.inputShapes, helpOf(onnx.inputShapes)).argParser(inputShapes))
    .addOption(flagFor(onnx.outputs, helpOf(onnx.outputs)).argParser(names))
}

const features = () =>
  choice('--features <how>', 'how the memory compares inputs (default: patches for images, else raw)', featureNames)

const AFTER = `
Exit codes: 0 success, 1 failure, 2 wrong command line.`
const AFTER_JSON = `
With --json, errors are JSON too: {"error": {"code", "message"}} on stdout.`

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const program = new Command('approxifer')
  .description('Prediction serving that stays fast and right when workers are slow, dead or lying.')
  .version(version)
  .configureOutput({ writeErr: () => {}, getOutHelpWidth: () => Math.min(width(), 120) })
  .configureHelp({ minWidthToWrap: 20, formatItem: describeItem })
  .exitOverride() // before the commands, which inherit these
  .addHelpText('afterAll', ({ command }) => wrap(command.name() === 'serve' ? AFTER : AFTER + AFTER_JSON))

program
  .command('demo')
  .description('slow and lying machines in simulated time, beside hedges and replication; then a few real answers')
  .option('--seed <n>', 'seed of the random arrivals, delays and queries', integer(0), 1)
  .option('--json', 'print JSON instead of tables')
  .action(async (options) => {
    const { demo } = await import('./demo/demo') // each command imports its code on use: the other commands start sooner
    await demo(options)
  })

withModel(
  withScheme(program.command('plan'), 8, 1, 0)
    .description(
      'compares workers, overhead and memory of a scheme with replication and ParM; checks whether a model can be coded',
    )
    .argument('[model]', 'the same as --model')
    .optionsGroup('Model:')
    .option('--model <file>', 'an .onnx file: whether it can be coded, and how much memory it takes'),
)
  .optionsGroup('Options:')
  .option('--json', 'print JSON instead of tables')
  .action(async (model, options) => {
    const { plan } = await import('./plan')
    await plan({ model, ...options })
  })

withRight(
  withScheme(program.command('evaluate'), 8, 1, 0)
    .description('what approxifer would do for your model, in milliseconds and in right answers; --all adds tables')
    .argument('<model>', 'an .onnx file; the class is the largest value of its first output')
    .optionsGroup('Model and data:')
    .requiredOption(INPUTS[0], `${INPUTS[1]}; of inputs that are no float32 vectors name=file,..`)
    .option('--labels <file>', '.npy of class labels (default: answers are compared with the model’s own)'),
)
  .optionsGroup('Verdict:')
  .option('--pool <n>', 'workers that are supposed', integer(1), 4)
  .option('--load <share>', 'share of the time for which they are busy', loadShare, 0.3)
  .option('--straggler-rate <p>', 'share of answers that are too late', probability, 0.05)
  .option('--late <ms>', 'how much later these come (default: ten times an answer’s time, at least 20)', amount)
  .option('--tolerate <loss>', 'accuracy that what is recommended may lose', probability, 0.01)
  .option('--seconds <s>', 'about how long the verdict may take', seconds, 18)
  .option('--all', 'also prints the tables. The options below are for tables: any of them prints tables alone')
  .optionsGroup('Tables:')
  .option('--groups <n>', 'how many groups of K random inputs are measured', integer(1), 500)
  .option('--seed <n>', 'seed of the random groups, losses and lies', integer(0), 1)
  .optionsGroup('Code:')
  .addOption(
    new Option(
      '--code <code>',
      `the code: ${codeNames.join(', ')} (default: systematic; where E > 0: berrut, compared with verified inference), or a file of your own such as ./mine.js; several, each with its --code, are compared in one table with ours and the paper’s: docs/how-to/own-code.md`,
    ).argParser(codeOrFile),
  )
  .addOption(choice('--decoder <decoder>', 'how missing answers are recovered (default: the code’s own)', decoderNames))
  .addOption(choice('--locator <locator>', 'how liars are found (default: residual where E > 0)', locatorNames))
  .option('--attack <attack>', `how liars lie: ${attackForms}`, attack, 'gauss:10')
  .addOption(choice('--core <core>', 'numerical core (default: wasm, else js)', ['wasm', 'js']))
  .optionsGroup('Lost queries:')
  .addOption(flagFor(policy, helpOf({ ...policy, otherwise: 'auto where E = 0' })))
  .addOption(flagFor(minConfidence).default(CONFIDENT))
  .option('--learn <n>', 'groups from which the confidence is learned (default: half, at most 300)', integer(0))
  .option('--memory <n>', 'inputs that the memory holds (default: half, at most 1000; where E > 0: 0)', integer(0))
  .addOption(features())
  .optionsGroup('Answers from the memory, before a worker is asked:')
  .option('--stream <n>', 'inputs, in their order, that the memory is tried on; 0: none', integer(0), 5000)
  .optionsGroup('Choice of a scheme:')
  .option('--grid [K,..:S,..]', `measures all pairs of K and S instead of one scheme (default: ${GRID})`, grid)
  .option('--retry-price <n>', 'cost of a retry, with its latency, in inferences', amount, 1)
  .optionsGroup('Options:')
  .option('--json', 'print JSON instead of tables')
  .action(async (model, options, command: Command) => {
    const grids = options.grid === true ? grid(GRID) : options.grid
    const isOnlyTables = !options.all && OF_TABLES.some((name) => command.getOptionValueSource(name) === 'cli')
    const { verdictCommand } = await import('./verdict')
    const found = isOnlyTables ? undefined : await verdictCommand(model, options)
    if (!options.all && !isOnlyTables) return
    const { evaluateCommand } = await import('./evaluate')
    await evaluateCommand(model, { ...options, ...codesOf(options.code), grid: grids }, found)
  })

withRight(
  program
    .command('learn')
    .description('fills a memory with the model’s answers to inputs, for serve --state')
    .argument('<model>', 'an .onnx file: FILE or NAME=FILE, as for serve')
    .requiredOption(...INPUTS)
    .requiredOption('-o, --output <folder>', 'where NAME.state is saved: the folder of serve --state'),
)
  .addOption(features())
  .option('--json', 'print JSON instead of sentences')
  .action(async (model, options) => {
    const { learn } = await import('./learn')
    await learn(model, options)
  })

withServeFlags(
  program
    .command('serve')
    .description('serves models by the Open Inference Protocol v2, on threads of this process or on remote workers')
    .argument('[models...]', 'FILE.onnx or NAME=FILE.onnx; with remote workers NAME or NAME=ITS NAME THERE'),
).action(async (models, options) => {
  process.on('SIGHUP', () => {}) // until `serve` listens to it: by default the signal ends the process
  const { serve } = await import('./serve/serve')
  await serve(models, flagsOf(options), version)
})

withModel(
  program
    .command('work')
    .description('adds workers of this machine to a fleet, which finds them by their heartbeats on a NATS server')
    .argument('<model>', 'an .onnx file')
    .optionsGroup('Fleet:')
    .addOption(
      new Option('--nats <url>', 'the NATS server, as nats://, tls://, ws:// or wss://host:port; or several: url,url')
        .env('NATS_URL')
        .argParser(natsServers)
        .makeOptionMandatory(),
    )
    .requiredOption('--fleet <name>', 'the fleet to join, as its gateway names it: letters, digits, - and _')
    .option('--workers <n>', 'how many workers: each is a thread with the model', integer(1), 1)
    .option('--name <name>', 'name of this machine (default: host name and process id)')
    .option('--key <file>', "this machine's private key, PEM: its identity; created if missing (default: a new key)")
    .optionsGroup('Access:')
    .option('--creds <file>', 'NATS credentials (.creds)')
    .option('--nkey-file <file>', 'NATS nkey seed')
    .option('--token-file <file>', 'NATS token')
    .option('--password-file <file>', 'password of the user in nats://user@host:port')
    .option('--tls-ca <file>', 'certificate authorities to trust, PEM')
    .option('--tls-cert <file>', 'certificate of this machine, PEM')
    .option('--tls-key <file>', 'private key of that certificate, PEM')
    .optionsGroup('Model:'),
)
  .optionsGroup('Options:')
  .option('--grace <s>', 'seconds to finish open queries after SIGTERM', amount, 10)
  .option('--json', 'print events as JSON, one per line')
  .action(async (model, options) => {
    const { work } = await import('./work')
    await work(model, options)
  })

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit() // the reader of a pipe wants no more, such as `head`
})

/** Puts what an unknown flag means into the error, in the place of a flag that is only spelt like it. */
function asMeant(error: Error): void {
  const flags = program.commands.find((each) => each.name() === args[0])?.options.map(({ long }) => `${long}`)
  const [unknown] = /--[\w-]+/.exec(error.message) ?? []
  const meant = unknown && flags && meantBy(unknown, flags)
  if (meant) error.message = `error: unknown option '${unknown}'\n(Did you mean ${meant}?)`
}

// '--name=value' becomes two arguments: for a misspelt name, commander would compare the whole with known names and suggest none.
const args = process.argv.slice(2).flatMap((arg) => /^(--[^=]+)=(.*)$/s.exec(arg)?.slice(1) ?? [arg])
try {
  await program.parseAsync(args.length ? args : ['--help'], { from: 'user' })
} catch (error) {
  const { code, exitCode } = error as { code?: string; exitCode?: number }
  const isHelp = code?.startsWith('commander.') && exitCode === 0 // --help, --version
  if (code === 'commander.unknownOption') asMeant(error as Error)
  if (!isHelp) report(error, args.includes('--json'))
}
