/** What a worker says of itself, in JSON: twice a second, when it joins or is called, and when its state changes. */

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
  /** The worker's, as in its addresses. */
  name: string
  /** `down`: takes no rows now; `draining`: answers those that it has, and will be gone; `gone`: has left. */
  state: (typeof states)[number]
  everyMs: number
  /** Counts the worker's connections: after a new one, what was on its way over the old one is lost. */
  connection: number
  /** Calls that it has, of all gateways. */
  open: number
  /** How long an inference takes: the median of the last few, 0 before the first. */
  ms: number
  /** Calls that it answers at once. */
  slots: number
  /** Whether an abort ends its work. */
  interruptible?: boolean | undefined
  signature: Signature
  fingerprint?: string | undefined
  /** Whether it reads the traceparent of a row. Absent: one that it does not expect would spoil the row. */
  traced?: boolean | undefined
  /** As those of a `ModelWorker`: what counts as a lie goes by them, where it would else go by what callers ask. */
  scales?: readonly number[] | undefined
  /** Of the machine, the same for all its workers: its public key where it has one. */
  identity: string
  /** Of a signed one: its machine's public key of X25519, from which the MACs of calls and answers follow. */
  secret?: string | undefined
  /** Of a signed one: each has a higher number, so that none counts twice. */
  sequence?: number | undefined
  /** Whether its identity is a key: it came with a signature, and whose that is has yet to be seen; or over a link that proves who speaks. */
  signed: boolean
}

/** Longer ones are not read: anybody whom the link lets in can send anything. */
const MOST_BYTES = 65_536
/** No worker needs to say more often that it is there. */
export const LEAST_EVERY_MS = 10
export const MOST_SLOTS = 1024
const MOST = 2 ** 32 - 1
/** Values that a row may have: 256 MB. */
const MOST_VALUES = 2 ** 26

/** @param isProven  the link proves who speaks: it needs no signature @throws ApproxiferError PROTOCOL for what is no heartbeat */
export function decodeHeartbeat(bytes: Uint8Array, isProven = false): Heartbeat {
  try {
    if (bytes.length > MOST_BYTES) throw new RangeError(`expected at most ${MOST_BYTES} bytes, got ${bytes.length}`)
    const { json, signature } = openBeat(bytes)
    const beat = JSON.parse(new TextDecoder().decode(json))
    const signed = isProven ? isKey(beat.identity) : signature !== undefined
    return checked({ ...beat, signed }, isProven)
  } catch (error) {
    throw new ApproxiferError('PROTOCOL', `heartbeat: ${asError(error, 'PROTOCOL').message}`)
  }
}

function checked(beat: Heartbeat, isProven: boolean): Heartbeat {
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
  checkKey(beat, isProven)
  if (signature?.batched !== undefined) checkBoolean('signature.batched', signature.batched)
  for (const side of ['inputs', 'outputs'] as const) checkTensors(`signature.${side}`, signature?.[side])
  return beat
}

/** A key's name is nobody else's, and a machine that signs nothing has none. */
function checkKey({ name, identity, secret, sequence, signed }: Heartbeat, isProven: boolean): void {
  if (signed !== isKey(identity))
    throw new TypeError(expected('identity', signed ? 'a key' : 'none of a key', identity))
  if (!signed) return
  if (!name.includes(tagOf(identity))) throw new TypeError(expected('name', `one with ${tagOf(identity)}`, name))
  if (isProven) return
  if (!isKey(secret)) throw new TypeError(expected('secret', 'a key', secret))
  checkInteger('sequence', sequence, 1)
}

function checkTensors(field: string, specs: readonly TensorSpec[] | undefined): void {
  checkSpecs(field, specs)
  const values = rowLength((specs as TensorSpec[]).map((spec) => ({ ...spec, shape: spec.shape.map(Math.abs) })))
  if (values > MOST_VALUES) throw new RangeError(expected(field, `${MOST_VALUES} values or fewer`, values))
}

/** Whether it came before: it is sent again by somebody else. */
export function isAgain({ sequence: last = 0 }: Heartbeat, { sequence }: Heartbeat): boolean {
  return sequence !== undefined && sequence <= last
}
