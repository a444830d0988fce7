/** What `approxifer serve` tells a person in a terminal to do next: each printed command is run as it stands. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { NO_SCRIPT } from '../shared/machine-needs'
import { onnx, types } from '../shared/onnx'
import { LENET, Served } from '../shared/served-process'

const { folder, write } = scratch()
const openssl = spawnSync('openssl', ['version']).status === 0
let terminal: ChildProcess | undefined
async function end(): Promise<void> {
  if (!terminal || terminal.exitCode !== null || terminal.signalCode !== null) return
  const ended = once(terminal, 'exit')
  terminal.stdin?.write('\x03')
  await ended
}
afterEach(end)

const inTerminal = describe.skipIf(NO_SCRIPT || spawnSync('curl', ['--version']).status !== 0)

/** All that it shows in a terminal of 80 columns until it has told where the metrics are. */
async function screen(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { APPROXIFER_TOKEN: _, ...inherited } = process.env
  const command = `stty cols 80; exec ${[process.execPath, 'dist/cli.js', 'serve', ...args, '--port', '0'].join(' ')}`
  terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], { env: { ...inherited, ...env } })
  let shown = ''
  return new Promise((resolve, reject) => {
    terminal?.on('exit', () => reject(new Error(`it has ended: ${shown}`)))
    terminal?.stdout?.on('data', (text) => {
      shown += String(text).replaceAll('\r', '')
      if (/^Metrics: .*\n/m.test(shown)) resolve(shown)
    })
  })
}

/** What a shell prints for a command, pasted. */
function pasted(command: string | undefined, env: Record<string, string> = {}): string {
  const { stdout } = spawnSync('sh', ['-c', String(command)], { encoding: 'utf8', cwd: folder, env: { ...process.env, ...env } }) // biome-ignore format: one line
  return stdout
}

function stepsOf(shown: string) {
  const found = (line: RegExp) => line.exec(shown)?.[1]
  const [ask, other] = [found(/^ {2}(node -p .*)$/m), found(/^Inputs of another model: (.*)$/m)]
  return { ask, other, page: found(/^Watch it: (\S+)$/m), metrics: found(/^Metrics: (.*)$/m) }
}

const lenet = ['--workers', '1', `digits=${LENET}`]

inTerminal(`in a terminal a person is told how to go on${NO_SCRIPT}`, () => {
  it('how to ask the model, where the page is and where the metrics are, once and in five lines', async () => {
    const shown = await screen(lenet)
    const { ask, other, page, metrics } = stepsOf(shown)
    const [reply] = JSON.parse(pasted(ask)).outputs
    expect([reply.name, reply.shape, other]).toEqual(['logits', [1, 10], undefined])
    expect(pasted(metrics)).toContain('approxifer_workers{model="digits"')
    expect(await (await fetch(String(page))).text()).toContain('<!doctype html>')
    expect(shown.split('\n').filter((line) => line && !line.startsWith('{'))).toHaveLength(5)
  })

  it('a model of several inputs, texts among them, one with a name that a shell would read otherwise', async () => {
    const tensors = (prefix: string) => [
      { name: `${prefix} it's`, shape: ['batch', 'length'], type: types.int64 },
      { name: `${prefix}2`, shape: ['batch', 3, 224, 224] },
      { name: `${prefix}3`, shape: ['batch', 2], type: types.string },
    ]
    const [inputs, outputs] = [tensors('x'), tensors('y')]
    const nodes = inputs.map(({ name }, i) => ({ op: 'Identity', inputs: [name], outputs: [outputs[i].name] }))
    const config = join(folder, 'several.json')
    const model = write('several.onnx', onnx(inputs, outputs, nodes))
    const models = { several: { model, workers: 1 }, digits: { model: join(process.cwd(), LENET), workers: 1 } }
    writeFileSync(config, JSON.stringify({ models }))
    const { ask, other } = stepsOf(await screen(['--config', config]))
    const { outputs: replies } = JSON.parse(pasted(ask))
    expect(replies.map(({ datatype, shape }: Record<string, unknown>) => [datatype, shape])).toEqual([
      ['INT64', [1, 8]],
      ['FP32', [1, 3, 224, 224]],
      ['BYTES', [1, 2]],
    ])
    expect(JSON.parse(pasted(other)).inputs).toMatchObject([{ name: 'input', shape: [-1, 1, 28, 28] }])
  })

  it('a token is read from its file or its variable, and is never shown', async () => {
    const file = join(folder, "a token's file")
    writeFileSync(file, '\nsecret\nother\n')
    const config = join(folder, 'tokens.json')
    const digits = { model: join(process.cwd(), LENET), workers: 1 }
    for (const [content, env] of [
      [{ tokenFile: file }, {}],
      [{}, { APPROXIFER_TOKEN: 'secret' }],
      [{ tokens: [{ token: 'secret' }] }, { TOKEN: 'secret' }],
    ] as [object, Record<string, string>][]) {
      writeFileSync(config, JSON.stringify({ models: { digits }, ...content }))
      const shown = await screen(['--config', config], env)
      const { ask, metrics } = stepsOf(shown)
      expect(JSON.parse(pasted(ask, env)).outputs).toHaveLength(1)
      expect(pasted(metrics, env)).toContain('approxifer_workers')
      expect(shown).not.toContain('secret')
      await end()
    }
  })

  it.skipIf(!openssl)('a certificate of its own, a client’s certificate, and a port for operators', async () => {
    const certify = (name: string, ...more: string[]) => {
      const made = ['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`]
      const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...made, ...more]
      expect(spawnSync('openssl', args, { cwd: folder }).status).toBe(0)
      return join(folder, `${name}.pem`)
    }
    const tls = ['--tls-cert', certify('server'), '--tls-key', join(folder, 'server.key')]
    const ca = ['--tls-client-ca', certify('client')]
    const { ask, page, metrics } = stepsOf(await screen([...tls, ...ca, ...lenet, '--host', '0.0.0.0', '--admin-port', '0'])) // biome-ignore format: one line
    expect(JSON.parse(pasted(ask)).outputs).toHaveLength(1)
    expect(pasted(metrics)).toContain('approxifer_workers')
    expect(page).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/$/)
    expect(metrics).toContain(`${page}metrics`)
    expect(ask).not.toContain(page)
  })
})

it('where stderr is no terminal, it has the one line that it always had', async () => {
  const served = await Served.start(lenet)
  expect(await served.stop()).toBe(0)
  expect(served.stderr).toBe(`serving digits on ${served.url}\n`)
})
