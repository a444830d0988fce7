/** The contract of workers, over HTTP: servers of four kinds, and what they do wrong. */

import { httpWorker } from '../../../src/workers/http/worker'
import { WHAT } from '../../fixtures/behaviour.js'
import { quirkServer } from '../../shared/http-worker'
import type { QuirkServer } from '../../shared/oip-quirks'
import { contract } from '../../shared/worker-contract'

/** A server that fails as the query says. */
async function failingServer(mode: QuirkServer['mode']): Promise<QuirkServer> {
  const made = await quirkServer(mode)
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
    start: async () => httpWorker((await failingServer(mode)).url, { model: 'm', concurrency: 3, onWarning: () => {} }),
    deaths: ['dies', 'exits'],
  })
}
