/** Messages of the Open Inference Protocol as bytes, and what is made of them. */

import type { Signature } from '../../src/base/tensor'
import { type OipMessage, readMessage } from '../../src/oip/read'

export const signature: Signature = { inputs: [{ name: 'x', shape: [8] }], outputs: [{ name: 'y', shape: [3] }] }

export const bytesOf = (text: string) => new TextEncoder().encode(text)

export const messageOf = (json: unknown, binary = new Uint8Array()): Promise<OipMessage> => {
  const text = bytesOf(typeof json === 'string' ? json : JSON.stringify(json))
  const body = new Uint8Array([...text, ...binary])
  return readMessage(body, binary.length ? String(text.length) : null)
}
