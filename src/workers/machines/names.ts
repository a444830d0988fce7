/** Names in a fleet, which stand in its addresses. */

import { expected } from '../../base/check'

/** What a signed worker's name has of its identity, so that nobody else takes it. */
export const tagOf = (identity: string) => identity.slice(0, 10)

export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{1,200}$/.test(text)
}

/** A public key, in base64url. */
export function isKey(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{43}$/.test(text)
}

/** @throws TypeError */
export function checkFleet(fleet: unknown): asserts fleet is string {
  if (!isToken(fleet)) throw new TypeError(expected('fleet', 'letters, digits, - and _', fleet))
}
