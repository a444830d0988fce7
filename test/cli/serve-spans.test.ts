import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { json, LENET, Served } from '../shared/served-process'

const { folder } = scratch()

describe('OpenTelemetry', () => {
  it('gets a span per request, under the caller’s own, with an event per row', async () => {
    const preload = join(folder, 'tracing.mjs')
    writeFileSync(preload, TRACING)
    const served = await Served.start([`digits=${LENET}`, '--workers', '1'], { NODE_OPTIONS: `--import ${preload}` })
    await served.infer(json(0), { headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } })
    const { span } = (await served.line(({ span }) => span !== undefined)) as { span: Record<string, unknown> }
    expect(span).toMatchObject({ name: 'infer digits', parent: 'b'.repeat(16), ended: true })
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 200, 'approxifer.queries': 1 })
    expect(span.events).toEqual([
      ['row', expect.objectContaining({ status: 'exact', attempts: ['worker 0, first: answered'] })],
    ])
    const { trace } = await served.line(({ route }) => route === 'infer')
    expect(trace).toBe('a'.repeat(32))
    expect(await served.stop()).toBe(0)
  })
})

/** Stands in for an SDK, with the newest API that SDKs of today take, another copy than the command line's: what ends is written to stdout. */
const TRACING = `
import { propagation, trace } from '${pathToFileURL(createRequire(import.meta.url).resolve('opentelemetry-api-1.9')).href}'
propagation.setGlobalPropagator({
  inject() {},
  fields: () => ['traceparent'],
  extract: (context, carrier, { get }) => {
    const [, traceId, spanId] = (get(carrier, 'traceparent') ?? '').split('-')
    return spanId ? trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true }) : context
  },
})
const startSpan = (name, { attributes }, context) => {
  const parent = trace.getSpanContext(context)
  const span = { name, parent: parent?.spanId, attributes: { ...attributes }, events: [] }
  return {
    isRecording: () => true,
    spanContext: () => ({ traceId: parent?.traceId ?? '${'c'.repeat(32)}', spanId: '${'d'.repeat(16)}', traceFlags: 1 }),
    updateName: (name) => Object.assign(span, { name }),
    setAttributes: (more) => Object.assign(span.attributes, more),
    setStatus() {},
    addEvent: (event, about) => span.events.push([event, about]),
    end: () => console.log(JSON.stringify({ span: { ...span, ended: true } })),
  }
}
trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan }) })
`
