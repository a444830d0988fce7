/** A worker's report about itself, in JSON. It is sent twice a second, when the worker joins, on request, and when its state changes. */

import { checkBoolean, checkInteger, checkNumber, checkString, checkWord, expected } from '../../base/check'
import { ApproxiferError, asError } from '../../base/errors'
import { rowLength, type Signature, type TensorSpec } from '../../base/tensor'
import { checkSpecs } from '../worker'
import { VERSION } from './frames'
import { isKey, isToken, tagOf } from './names'
import { openBeat } from './signed-heartbeat'

const states = ['up', 'down', 'draining', 'gone'] as const

export interface Heartbeat {
  version: number
  /** The worker's name, which its addresses contain. */
  name: string
  /** `down`: accepts no queries now; `draining`: answers its open calls, then leaves; `gone`: has left. */
  state: (typeof states)[number]
  everyMs: number
  /** Number of the machine's connection: messages that were under way on an earlier connection are lost. */
  connection: number
  /** Open calls of all gateways at this worker. */
  open: number
  /** Time of an inference in milliseconds: the median of the last few, 0 before the first. */
  ms: number
  /** Calls that the worker runs concurrently. */
  slots: number
  /** Whether an abort stops an inference. */
  interruptible?: boolean | undefined
  signature: Signature
  fingerprint?: string | undefined
  /** As `ModelWorker.scales`; they decide which differences between answers are rounding. */
  scales?: readonly number[] | undefined
  /** The machine's identity, shared by its workers: its public key if it has one. */
  identity: string
  /** The machine's X25519 public key, from which the MAC keys of its frames are derived. Only of signed heartbeats. */
  secret?: string | undefined
  /** Increases with each signed heartbeat, so that a replayed one is recognised. */
  sequence?: number | undefined
  /** Whether the identity is a public key. The heartbeat then has a signature, which is verified later. */
  signed: boolean
}

/** Longer heartbeats are rejected, since any member of the fleet can send anything. */
const MOST_BYTES = 65_536
/** Shortest heartbeat interval that is accepted. */
export const LEAST_EVERY_MS = 10
export const MOST_SLOTS = 1024
const MOST = 2 ** 32 - 1
/** Largest number of values in a query: 256 MB. */
const MOST_VALUES = 2 ** 26

/** @throws ApproxiferError PROTOCOL for an invalid heartbeat */
export function decodeHeartbeat(bytes: Uint8Array): Heartbeat {
  try {
    if (bytes.length > MOST_BYTES) throw new RangeError(`expected at most ${MOST_BYTES} bytes, got ${bytes.length}`)
    const { json, signature } = openBeat(bytes)
    const beat = JSON.parse(new TextDecoder().decode(json))
    return checked({ ...beat, signed: signature !== undefined })
  } catch (error) {
    throw new ApproxiferError('PROTOCOL', `heartbeat: ${asError(error, 'PROTOCOL').message}`)
  }
}

function checked(beat: Heartbeat): Heartbeat {
  const { version, name, state, everyMs, connection, open, ms, slots, signature, fingerprint, identity } = beat
  if (version !== VERSION) throw new RangeError(expected('version', `${VERSION}`, version))
  if (!isToken(name)) throw new TypeError(expected('name', 'a token', name))
  checkWord('state', state, states)
  checkInteger('everyMs', everyMs, LEAST_EVERY_MS, MOST)
  checkInteger('connection', connection, 0, MOST)
  checkInteger('open', open, 0, MOST)
  checkInteger('slots', slots, 1, MOST_SLOTS)
  checkNumber('ms', ms, 0, MOST)
  if (fingerprint !== undefined) checkString('fingerprint', fingerprint)
  if (!isToken(identity)) throw new TypeError(expected('identity', 'a token', identity))
  if (!Array.isArray(beat.scales ?? [])) throw new TypeError(expected('scales', 'numbers', beat.scales))
  checkKey(beat)
  if (signature?.batched !== undefined) checkBoolean('signature.batched', signature.batched)
  for (const side of ['inputs', 'outputs'] as const) checkTensors(`signature.${side}`, signature?.[side])
  return beat
}

/** Only a signed heartbeat may have a public key as identity, and its worker's name must contain part of that key. */
function checkKey({ name, identity, secret, sequence, signed }: Heartbeat): void {
  if (signed !== isKey(identity))
    throw new TypeError(expected('identity', signed ? 'a key' : 'none of a key', identity))
  if (!signed) return
  if (!name.includes(tagOf(identity))) throw new TypeError(expected('name', `one with ${tagOf(identity)}`, name))
  if (!isKey(secret)) throw new TypeError(expected('secret', 'a key', secret))
  checkInteger('sequence', sequence, 1)
}

function checkTensors(field: string, specs: readonly TensorSpec[] | undefined): void {
  checkSpecs(field, specs)
  const values = rowLength((specs as TensorSpec[]).map((spec) => ({ ...spec, shape: spec.shape.map(Math.abs) })))
  if (values > MOST_VALUES) throw new RangeError(expected(field, `${MOST_VALUES} values or fewer`, values))
}

/** Whether the sequence number is not new: the heartbeat was replayed. */
export function isAgain({ sequence: last = 0 }: Heartbeat, { sequence }: Heartbeat): boolean {
  return sequence !== undefined && sequence <= last
}
