/** Names and keys of a fleet, which its addresses contain. */

import { expected } from '../../base/check'

/** The part of its identity that a signed worker's name must contain, so that no other machine can use the name. */
export const tagOf = (identity: string) => identity.slice(0, 10)

export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{1,200}$/.test(text)
}

/** Whether the value is a public key in base64url. */
export function isKey(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{43}$/.test(text)
}

export function checkFleet(fleet: unknown): asserts fleet is string {
  if (!isToken(fleet)) throw new TypeError(expected('fleet', 'letters, digits, - and _', fleet))
}
