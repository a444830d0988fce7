/** Heartbeats as they come: those with a key's identity count where they are signed with it. */

import { keys } from '#keys'
import { ApproxiferError } from '../../errors'
import type { NatsMessage } from './connection'
import { decodeHeartbeat, type Heartbeat } from './heartbeat'
import type { NatsSettings } from './options'
import { isBeatOf, type Verify } from './signature'
import type { NatsWorker } from './worker'

/** @param known  the worker of a name. @param believe  a heartbeat is its worker's own; at once where nothing is signed */
export function hear(
  { subject, data }: NatsMessage,
  { subjects, warn, forgeries }: NatsSettings,
  known: (name: string) => NatsWorker | undefined,
  believe: (beat: Heartbeat, verify?: Verify) => void,
): void {
  try {
    const beat = decodeHeartbeat(data)
    if (subjects.beat(beat) !== subject) throw new ApproxiferError('PROTOCOL', 'heartbeat: of another worker')
    if (!beat.signed) return believe(beat)
    const { name, identity = '' } = beat
    const worker = known(name)
    const own = worker?.identity === identity ? worker : undefined
    const verify = own?.peer?.verify ?? keys.verifier(identity)
    const look = async () => {
      if (await isBeatOf(verify, subjects.worker(beat), data)) believe(beat, verify)
      else forgeries.drop(name)
    }
    if (own) own.inTurn.take(look)
    else void look()
  } catch (error) {
    warn(`${subject}: ${(error as Error).message}`)
  }
}
