import { afterEach } from 'vitest'
import { httpWorker } from '../src/workers/http'
import { WHAT } from './fixtures/behaviour.js'
import { contract } from './shared/contract'
import { type Model, QuirkServer } from './shared/quirk-server'

const servers: QuirkServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill().catch(() => {})
})

/** What the fixture workers answer: [x + 1, 2 x]. */
const model: Model = {
  name: 'm',
  inputs: [{ name: 'x', shape: [2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [2] }],
  run: ([input]) => {
    const [what, x] = input
    if (what === WHAT.wrongLength) return [{ ...output, shape: [3], values: [0, 0, 0] }]
    if (what === WHAT.notANumber) return [{ ...output, values: [0, Number.NaN] }]
    if (what === WHAT.wrongType) return [{ ...output, datatype: 'INT64', values: [0, 0] }]
    return [{ ...output, values: [x + 1, 2 * x] }]
  },
}
const output = { name: 'y', datatype: 'FP32' as const, shape: [2] }

async function server(mode: QuirkServer['mode'] = 'triton'): Promise<QuirkServer> {
  const made = await new QuirkServer(mode, model).listen()
  servers.push(made)
  return made
}

async function behaving(mode: QuirkServer['mode']): Promise<QuirkServer> {
  const made = await server(mode)
  made.instead = (_request, response, [what]) => {
    const fail = (status: number) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"on purpose"}')
      return true
    }
    if (what === WHAT.throws) return fail(500)
    if (what === WHAT.refuses) return fail(400)
    if (what === WHAT.noReply) return Boolean(response.writeHead(200).end())
    if (what === WHAT.hangs) return true
    if (what === WHAT.dies || what === WHAT.exits) {
      void made.kill().then(() => setTimeout(() => made.listen(), 150))
      return true
    }
    return false
  }
  const { run } = made.model
  made.model = {
    ...made.model,
    run: async (inputs, rows) => {
      if (inputs[0][0] === WHAT.slow) await new Promise((resolve) => setTimeout(resolve, 30))
      return run(inputs, rows)
    },
  }
  return made
}

for (const mode of ['triton', 'kserve', 'mlserver', 'ovms'] as const) {
  contract(`a server over HTTP, ${mode}`, {
    start: async () => httpWorker((await behaving(mode)).url, { model: 'm', concurrency: 3 }),
    deaths: ['dies', 'exits'],
    remote: true,
  })
}
