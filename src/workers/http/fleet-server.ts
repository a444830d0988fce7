/** One server of a fleet, and what servers tell of their models. */

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
  /** The model that it had when it answered first. */
  vote: ModelIdentity | undefined
  /** A warning said that it could not join. */
  isMissed: boolean
  /** Its URL, where it was added again while it was leaving. */
  again: string | undefined
}

/** How many machines they are on, whatever their names and paths. */
export function machinesOf(servers: readonly FleetServer[]): number {
  return new Set(servers.map(({ worker, url }) => worker?.identity ?? machineOf(url))).size
}

/** What is known of the servers' models; one that was down for long will not come back as it was. */
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
