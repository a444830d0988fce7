/** approxifer work: joins a fleet with workers of this machine. */

import { once } from 'node:events'
import { ApproxiferError } from '../base/errors'
import { localWorkers } from '../workers/local/local'
import { checkFleet } from '../workers/machines/names'
import { serveNats } from '../workers/nats/serve'
import type { ModelOptions } from './files'
import { type Access, connectOptions, exposedPassword } from './nats'
import { note } from './terminal'

export interface WorkOptions extends ModelOptions, Access {
  nats: string[]
  fleet: string
  workers: number
  name?: string
  key?: string
  grace: number
  json?: boolean
}

/** Serves the fleet until SIGTERM or SIGINT. Then it answers the queries that it has, for `grace` seconds at most, and leaves. */
export async function work(model: string, options: WorkOptions): Promise<void> {
  const { fleet, workers: count, name, key, grace, outputs, inputShapes, json } = options
  const say = (event: string, fields: object, text: string) =>
    json ? console.log(JSON.stringify({ event, ...fields })) : note(text)
  checkFleet(fleet) // before the model is loaded, which may take long
  const server = await connectOptions(options.nats, options)
  const exposed = exposedPassword(options, 'NATS_URL in the environment or --password-file')
  if (exposed) note(exposed)
  const workers = await localWorkers({ model, workers: count, outputs, inputShapes, onWarning: note })
  try {
    const own = { ...(name && { name }), ...(key && { key }) }
    const service = await serveNats(server, { fleet, workers, ...own, onWarning: note })
    const { names, identity } = service
    const stop = signalled() // listens before it prints that it has joined: a script may send the signal at once
    const [{ fingerprint }] = workers
    const joined = `joined fleet ${fleet} as ${names.join(', ')}, which is ${identity}; the model is ${fingerprint}`
    say('joined', { fleet, names, identity, fingerprint }, joined)
    const why = await Promise.race([stop, service.closed])
    if (why) {
      say('draining', { fleet }, `${why}: answering open queries, then leaving (signal again to leave at once)`)
      await Promise.race([service.drain(1000 * grace), signalled().then(() => service.close())])
    }
    await service.closed
    say('left', { fleet }, `left fleet ${fleet}`)
    if (!why) throw new ApproxiferError('WORKER', 'the connection to NATS was closed for good')
  } finally {
    await Promise.all(workers.map((worker) => worker.close()))
  }
}

async function signalled(): Promise<NodeJS.Signals> {
  const ending = new AbortController()
  const signals = ['SIGTERM', 'SIGINT'].map((name) => once(process, name, { signal: ending.signal }))
  const [name] = await Promise.race(signals)
  ending.abort()
  return name
}
