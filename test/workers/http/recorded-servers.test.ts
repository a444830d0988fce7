import { afterEach, describe, expect, it } from 'vitest'
import { type Exchange, exchanges, type RecordedMessage, replay } from '../../shared/exchanges'
import { toyModel } from '../../shared/oip-fleet'
import { type Mode, QuirkServer } from '../../shared/oip-quirks'

const toy = await toyModel()

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const quirk = async (mode: Mode) => {
  const server = await new QuirkServer(mode, toy).listen()
  closing.push(() => server.kill().catch(() => {}))
  return server
}

/** What of a reply counts: ids that servers make up do not, nor do numbers' last bits. */
function told({ start, headers, body }: RecordedMessage) {
  const length = headers['inference-header-content-length']
  const at = length === undefined ? body.length : Number(length)
  const text = body.subarray(0, at).toString()
  const json = parsed(text)
  const raw = body.subarray(at)
  const form = {
    status: start.split(' ')[1],
    type: headers['content-type'],
    chunked: headers['transfer-encoding'] === 'chunked',
    binary: length !== undefined,
    encoding: headers['content-encoding'],
  }
  return { form, json, raw: [raw.length, ...rawFloats(raw, json)] }
}

function parsed(text: string): unknown {
  try {
    const madeUp = /^[0-9a-f]{8}-[0-9a-f-]{27}$/
    return JSON.parse(text, (_key, value) => {
      if (typeof value === 'number') return Number(value.toPrecision(4))
      return typeof value === 'string' && madeUp.test(value) ? 'made up' : value
    })
  } catch {
    return text
  }
}

/** The FP32 values among raw tensors. */
function rawFloats(raw: Buffer, json: unknown): number[] {
  const outputs = (json as { outputs?: { datatype: string; parameters?: { binary_data_size?: number } }[] })?.outputs
  let at = 0
  return (outputs ?? []).flatMap(({ datatype, parameters }) => {
    const size = parameters?.binary_data_size ?? 0
    const view = new DataView(Uint8Array.from(raw.subarray(at, at + size)).buffer)
    at += size
    if (datatype !== 'FP32') return []
    return Array.from({ length: size / 4 }, (_, i) => Number(view.getFloat32(4 * i, true).toPrecision(4)))
  })
}

describe.each(['kserve', 'mlserver'] as const)('the quirk server answers as the recorded %s', (mode) => {
  const recorded: Exchange[] = exchanges(`test/oip/server-${mode}`)

  it('there are recordings', () => {
    expect(recorded.length).toBeGreaterThan(15)
  })

  it.each(recorded.map((exchange) => [exchange.name, exchange] as const))('%s', async (_name, { request, reply }) => {
    const server = await quirk(mode)
    expect(told(await replay(server.port, request.bytes))).toEqual(told(reply))
  })
})
