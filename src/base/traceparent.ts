/** The trace of a query: a header of W3C Trace Context, which is passed on unchanged. */

/** https://www.w3.org/TR/trace-context/#traceparent-header-field-values */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Characters of a traceparent. */
export const TRACEPARENT_LENGTH = 55

export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && TRACEPARENT.test(value)
}
