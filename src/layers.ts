/** For layers of one's own: see the option `layers` of `createPredictor`. @module */

export type { Payload } from './payload'
export type { Attempt, Identity } from './pool/attempt'
export type { Answer, Call, Caller, Drop, Failure, Layer, Offer, Outcome, Query, Service } from './service'
export { OutgoingCall, Relay, SettledCall, Tried } from './service'
