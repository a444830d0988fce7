/** What the workers of a fleet share, and a call of one row to one of them. */

import type { Soon } from '../../platform/platform'
import type { OpenCall } from '../open-call'
import type { Assembly } from './frames'
import type { NatsSettings } from './options'
import type { Conversation, Inbox } from './subjects'
import type { NatsWorker } from './worker'

export interface Wire {
  readonly settings: NatsSettings
  readonly inbox: Inbox
  /** Nobody listens to the worker's subject. */
  unheard(worker: NatsWorker): void
  closed(worker: NatsWorker): void
}

/** One that an abort has settled keeps its place until the worker is done with it. */
export interface SentCall {
  readonly call: OpenCall
  readonly conversation: Conversation
  readonly parts: Assembly
  readonly expiresAt: number
  /** Of its row, where answers are signed: taken when it is sent, since the row may be another's when the call has settled. */
  hash: Soon<Uint8Array> | undefined
  /** `never`: nobody listened when it was sent. */
  sent: 'once' | 'again' | 'never'
  /** Heartbeats since it was sent that told of no call at the worker. */
  idleBeats: number
}
