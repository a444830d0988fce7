/** For layers of your own: see the option `layers` of `createPredictor`. @module */

export type { Payload } from './base/payload'
export { isSame, keyOf } from './layers/exact-cache'
export type { Attempt, Identity } from './pool/attempt'
export type { Answer, Call, Caller, Drop, Failure, Layer, Offer, Outcome, Query, Service } from './service'
export { changed, OutgoingCall, Relay, SettledCall, Tried } from './service'
