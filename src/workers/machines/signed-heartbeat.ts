/**
 * Heartbeats are signed with the machine's key. What is signed names the worker's own address, in which its fleet, its identity and its run
 * are, so that what it said elsewhere proves nothing here.
 */

import { joined } from '../../base/arrays'
import type { KeyPair, Keys } from '../../platform/platform'

export type Verify = ReturnType<Keys['verifier']>

const text = new TextEncoder()

/** The first byte of a signed heartbeat; the signature and its JSON follow. */
const SIGNED = 1
const SIGNATURE = 64

function statement(worker: string, json: Uint8Array): Uint8Array {
  return joined([text.encode(`approxifer beat\n${worker}\n`), json], Uint8Array)
}

/** @param worker  its address */
export async function signedBeat(key: KeyPair, worker: string, json: Uint8Array): Promise<Uint8Array> {
  return joined([Uint8Array.of(SIGNED), await key.sign(statement(worker, json)), json], Uint8Array)
}

/** A heartbeat's JSON, and its signature where it has one. */
export function openBeat(bytes: Uint8Array): { json: Uint8Array; signature: Uint8Array | undefined } {
  if (bytes[0] !== SIGNED) return { json: bytes, signature: undefined }
  return { json: bytes.subarray(1 + SIGNATURE), signature: bytes.subarray(1, 1 + SIGNATURE) }
}

/** Whether its signature is its worker's; what is none, or of no key, is nobody's. @param worker  its address */
export async function isBeatOf(verify: Verify, worker: string, bytes: Uint8Array): Promise<boolean> {
  const { json, signature } = openBeat(bytes)
  try {
    return await verify(statement(worker, json), signature ?? new Uint8Array())
  } catch {
    return false
  }
}
