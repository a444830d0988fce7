/** One server of an HTTP fleet, and its vote on the fleet's model. */

import type { ApproxiferError } from '../../base/errors'
import { machineOf } from '../remote/endpoints'
import type { ModelIdentity } from '../remote/model'
import type { ModelVote } from '../remote/model-votes'
import type { HttpWorker } from './worker'

export interface FleetServer {
  readonly name: string
  readonly url: string
  worker: HttpWorker | undefined
  /** `known` until it has answered, `waiting` until it joins, `leaving` until its worker is closed. */
  state: 'known' | 'waiting' | 'joined' | 'leaving'
  outcome: ApproxiferError | 'well' | undefined
  /** The model that it had at its first answer. */
  vote: ModelIdentity | undefined
  /** Whether a warning reported that it could not join. */
  isMissed: boolean
  /** The URL to add it with after it has left, if it was added again meanwhile. */
  again: string | undefined
}

/** The number of machines, whatever names and paths their servers have. */
export function machinesOf(servers: readonly FleetServer[]): number {
  return new Set(servers.map(({ worker, url }) => worker?.identity ?? machineOf(url))).size
}

/**
 * One vote for each server whose model is known. A server that was down for longer than `timeoutMs` has none, since it may come back with
 * another model.
 */
export function* votesOf(
  servers: Iterable<FleetServer>,
  timeoutMs: number,
  counts: (model: ModelIdentity) => boolean,
): Generator<ModelVote<ModelIdentity>> {
  for (const { worker, state } of servers) {
    const model = worker?.model.found
    if (!worker || !model || state === 'leaving' || !counts(model)) continue
    const { isThere, downMs } = worker.health
    const { identity, trusted } = worker
    if (isThere || downMs < timeoutMs) yield { identity, trusted, model, there: isThere }
  }
}

export const beginning = ({ answer }: ModelIdentity) =>
  Array.from<unknown, unknown>(answer[0].data.slice(0, 3), (value) =>
    typeof value === 'number' ? value.toPrecision(4) : value,
  ).join(', ')
