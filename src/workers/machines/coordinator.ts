/** What the workers of a fleet share, and a call of one row to one of them. */

import type { Conversation, Inbox } from '../nats/subjects'
import type { OpenCall } from '../open-call'
import type { Assembly } from './frames'
import type { Channel } from './macs'
import type { NatsSettings } from './options'
import type { Verify } from './signed-heartbeat'
import type { NatsWorker } from './worker'

export interface Wire {
  readonly settings: NatsSettings
  readonly inbox: Inbox
  /** Nobody listens to the worker's subject. */
  unheard(worker: NatsWorker): void
  closed(worker: NatsWorker): void
}

/** How a machine with a key is told from others that speak in its name: by its signature in heartbeats, else by its seal. */
export interface Peer {
  verify: Verify
  channel: Channel
}

/** One that an abort has settled keeps its place until the worker is done with it. */
export interface SentCall {
  readonly call: OpenCall
  readonly conversation: Conversation
  readonly parts: Assembly
  readonly expiresAt: number
  /** The highest number of a frame that came for it: one that is sent again by others does not count twice. */
  heard: number
  /** `never`: nobody listened when it was sent. */
  sent: 'once' | 'again' | 'never'
  /** Heartbeats since it was sent that told of no call at the worker. */
  idleBeats: number
}
