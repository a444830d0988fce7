/**
 * Signs and verifies heartbeats with the machine's key. The signature covers the worker's address, which contains its fleet, its identity
 * and a token of this run, so that a heartbeat cannot be replayed elsewhere.
 */

import { joined } from '../../base/arrays'
import type { KeyPair, Keys } from '../../platform/platform'

export type Verify = ReturnType<Keys['verifier']>

const text = new TextEncoder()

/** First byte of a signed heartbeat; the signature and the JSON follow. */
const SIGNED = 1
const SIGNATURE = 64

function statement(worker: string, json: Uint8Array): Uint8Array {
  return joined([text.encode(`approxifer beat\n${worker}\n`), json], Uint8Array)
}

/** @param worker  the worker's address */
export async function signedBeat(key: KeyPair, worker: string, json: Uint8Array): Promise<Uint8Array> {
  return joined([Uint8Array.of(SIGNED), await key.sign(statement(worker, json)), json], Uint8Array)
}

/** Splits a heartbeat into its JSON and its signature, if it has one. */
export function openBeat(bytes: Uint8Array): { json: Uint8Array; signature: Uint8Array | undefined } {
  if (bytes[0] !== SIGNED) return { json: bytes, signature: undefined }
  return { json: bytes.subarray(1 + SIGNATURE), signature: bytes.subarray(1, 1 + SIGNATURE) }
}

/** Whether the heartbeat has a valid signature. @param worker  the worker's address */
export async function isBeatOf(verify: Verify, worker: string, bytes: Uint8Array): Promise<boolean> {
  const { json, signature } = openBeat(bytes)
  try {
    return await verify(statement(worker, json), signature ?? new Uint8Array())
  } catch {
    return false
  }
}
