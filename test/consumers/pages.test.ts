/** Every program and every command of README and docs, run in the order of its page, in an empty folder beside what `npm install` brings. */

import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { PAGES } from '../../scripts/docs-rules'
import { consumer, TOOLS } from './consumer'

/** What is not run here, by what it contains, and why. */
const NOT_RUN: readonly (readonly [what: RegExp, why: string])[] = [
  [/^npm (ci|test)/m, 'from a clone, and all of CI'],
  [/http:\/\/a:8000|https:\/\/a\.example|\.default\.svc|nats:\/\/host|app\.example/, 'in front of servers of your own'],
  [/create vite|#app/, 'test/consumers/browser-example'],
  [/docker|kubectl/, 'a cluster; test/cli/fleet-manifests reads what is applied'],
  [/ranker/, 'a model that is not here; test/gateway/text.test.ts ranks'],
  [/trustedTypes/, 'a page; test/browser/policies has one'],
  [/^approxifer learn/m, 'docs/how-to/answers-from-memory.md has the same commands, with paths'],
]

/** Pages whose programs are equal to files that other tests run, as tests say. */
const ELSEWHERE = /^examples\/|^docs\/how-to\/durable-object|^docs\/reference\/bundlers/

/** What never ends: it runs beside the commands after it. */
const isEndless = (code: string) => /; ;|\.listen\(/.test(code)

interface Step {
  language: string
  code: string
  /** The text since the step before. */
  before: string
}

function steps(page: string): Step[] {
  const parts = page.split(/^```(\S*)[^\n]*\n([\s\S]*?)^```$/gm)
  return Array.from({ length: (parts.length - 1) / 3 }, (_, i) => {
    const [before, language, code] = parts.slice(3 * i, 3 * i + 3)
    return { before, language, code }
  })
}

const NAMED = /`([\w.-]+\.(?:m?js|yaml))`/g
const isProgram = ({ language }: Step) => /^m?[jt]s$/.test(language)

/** A page as a script of bash: programs are saved under the names that the page gives them, and servers run beside the rest. */
function scriptOf(page: string, folder: string): string {
  const run = steps(page).filter(({ code }) => !NOT_RUN.some(([what]) => what.test(code)))
  const commands = run
    .filter(({ language }) => language === 'sh')
    .map(({ code }) => code)
    .join('')
  const lines: string[] = []
  for (const [i, step] of run.entries()) {
    for (const [, command] of step.before.matchAll(/`(npm install [^`]+)`/g)) install(command, folder)
    const saved = [...step.before.matchAll(NAMED)].at(-1)?.[1] ?? `program-${i}.mjs`
    if (isProgram(step) || (step.language === 'yaml' && !saved.endsWith('.mjs'))) {
      writeFileSync(join(folder, saved), step.code)
      if (isProgram(step) && !commands.includes(saved)) lines.push(`node --import ./given.mjs ${saved}`)
    }
    if (step.language === 'sh') lines.push(...commandsOf(step, folder))
  }
  return lines.join('\n')
}

function commandsOf({ code, before }: Step, folder: string): string[] {
  const ports = /on ports (\d+(?:, \d+)* and \d+)/.exec(before)?.[1].match(/\d+/g)
  const each = ports?.map((port) => code.replace(/--port \d+/, `--port ${port}`)) ?? [code]
  const lines = each
    .join('')
    .replaceAll(/\\\n\s*/g, '')
    .trimEnd()
    .split('\n')
  return lines.flatMap((line) => {
    const [command] = line.split(' #')
    const program = /^node (\S+\.mjs)/.exec(command)?.[1]
    if (/^npm (init|install)/.test(command)) return install(command, folder)
    // What npx starts is another process.
    if (/^(npx |node_modules\/\.bin\/)approxifer serve/.test(command) && !command.trim().endsWith('&'))
      return server(command)
    if (program && isEndless(readFileSync(join(folder, program), 'utf8'))) return `${command.replace(/ &$/, '')} &`
    return /refusal/.test(before) && /^curl/.test(command) ? `! ${command}` : line
  })
}

/** Starts a server and waits until it is ready. A server that had its port is stopped first, as a reader has to. */
function server(command: string): string[] {
  const port = /(?<!admin-)port (\d+)/.exec(command)?.[1] ?? '8000'
  const pid = `server_${port}`
  return [
    `if [ "\${${pid}-}" ]; then kill $${pid}; wait $${pid}; fi`,
    `${command.replace(/^npx /, 'node_modules/.bin/')} &`,
    `${pid}=$!`,
    `until curl localhost:${port}/v2/health/ready; do kill -0 $${pid}; sleep 0.1; done`,
    `kill -0 $${pid}`,
  ]
}

/** Links what `npm install` would put there; the package itself and onnxruntime-web are there. */
function install(command: string, folder: string): string[] {
  for (const word of command.split(/\s+/).slice(2)) {
    const name = word.replace(/(?<=.)@.*/, '')
    const at = join(folder, 'node_modules', name)
    if (name.startsWith('-') || existsSync(at)) continue
    mkdirSync(dirname(at), { recursive: true })
    symlinkSync([join(TOOLS, name), resolve('node_modules', name)].find((path) => existsSync(path)) as string, at)
  }
  return []
}

/** What pages say that a reader has: a model and a query of his own, an embedder. */
function give(folder: string): void {
  const model = "globalThis.model = new URL(import.meta.resolve('approxifer/models/mnist-lenet.onnx'))"
  writeFileSync(join(folder, 'given.mjs'), `${model}\nglobalThis.query = new Float32Array(784)\n`)
  mkdirSync(join(folder, 'bge-small'))
  cpSync('test/models/text/embedder.onnx', join(folder, 'bge-small/model.onnx'))
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    cpSync(`test/models/text/${file}`, join(folder, 'bge-small', file))
  }
  mkdirSync(join(folder, 'node_modules/.bin'))
  symlinkSync('../approxifer/dist/cli.js', join(folder, 'node_modules/.bin/approxifer'))
}

/** All that the page started is stopped with it: a group of processes. */
const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A reader types one line after another: by then a program listens. */
const PREAMBLE = `set -euxo pipefail
curl() {
  local code
  for i in $(seq 100); do
    command curl --silent --show-error --fail "$@" && return
    code=$?
    [ $code = 7 ] || return $code
    sleep 0.1
  done
}`

/** A network of its own, where there is one to have: pages name ports, and something may listen there. */
const ALONE = ['--map-root-user', '--net', 'bash', '-c', `ip link set lo up && exec bash -c "$0"`]
const canBeAlone = spawnSync('unshare', [...ALONE, 'true']).status === 0
const [SHELL, ...ARGS] = canBeAlone ? ['unshare', ...ALONE] : ['bash', '-c']

async function bash(folder: string, script: string): Promise<{ code: number | null; said: string }> {
  const { PATH, HOME } = process.env
  const child = spawn(SHELL, [...ARGS, `${PREAMBLE}\n${script}\n`], { cwd: folder, detached: true, env: { PATH, HOME } }) // biome-ignore format: one line
  stops.push(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {} // nothing was left
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { said += text }) // biome-ignore format: one line
  return { code: await new Promise((end) => child.on('exit', end)), said }
}

const read = PAGES.filter((path) => !ELSEWHERE.test(path)).map((path) => ({ path, page: readFileSync(path, 'utf8') }))
const isRun = (step: Step) =>
  (isProgram(step) || step.language === 'sh') && !NOT_RUN.some(([what]) => what.test(step.code))
const pages = read.filter(({ page }) => steps(page).some(isRun))

it.skipIf(process.platform === 'win32').each(pages)('$path', async ({ page }) => {
  const folder = consumer([])
  give(folder)
  const { code, said } = await bash(folder, scriptOf(page, folder))
  expect(code, said).toBe(0)
})

it('every exception is one of something', () => {
  const all = read.flatMap(({ page }) => steps(page))
  for (const [what, why] of NOT_RUN)
    expect(
      all.some(({ code }) => what.test(code)),
      `${what}: ${why}`,
    ).toBe(true)
  expect(all.filter(isRun).length).toBeGreaterThan(40)
})
