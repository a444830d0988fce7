/** Defects at the seams of a network and a disk, as those of `defects.ts`. */

import { type Defect, defect } from './defect'

// biome-ignore format: a line each
export const wireDefects: readonly Defect[] = [
  defect('HTTP: a reply is another request’s', 'workers/http/oip-server.ts', "if (reply.id !== undefined && reply.id !== id) throw this.#error('PROTOCOL', 'answers another request', {})", ''),
  defect('HTTP: a former model answers on', 'workers/http/served-model.ts', 'if (!other) return reply.outcomes', 'if (reply) return reply.outcomes'),
  defect('NATS: what others say in a worker’s name counts', 'workers/machines/worker.ts', 'const frame = isIts ? decode(bytes) : undefined', 'const frame = isIts !== undefined ? decode(bytes) : undefined'),
  defect('NATS: whoever comes is of the fleet’s model', 'workers/machines/fleet.ts', 'if (!this.#isOurs(beat)) return this.#refuse(beat, peer)', ''),
  defect('NATS: a sweep goes on when all is over', 'workers/machines/fleet.ts', '  async close(): Promise<void> {\n    this.#cancelSweep()', '  async close(): Promise<void> {'),
  defect('gateway: rows change places', 'gateway/batch.ts', 'this.outcomes[row] = { prediction: keep(prediction) }', 'this.outcomes[this.outcomes.length] = { prediction: keep(prediction) }'),
  defect('gateway: a reply has the id of another', 'gateway/infer.ts', "const { model = '', version = '', id } = event", "const { model = '', version = '' } = event\n    const id = event.id?.replace(/9$/, '8')"),
  defect('gateway: bytes are held for ever', 'gateway/infer.ts', 'const done = () => hold(0)', 'const done = () => {}'),
  defect('gateway: raw NaN is a defect of ours', 'gateway/refusal.ts', 'if (isMisuse(error)) return new Refusal(400, message)', ''),
  defect('gateway: who takes no gzip gets it', 'gateway/body.ts', 'return weight(best) > 0 && weight(best) >=', 'return weight(best) >= 0 || weight(best) >='),
  defect('gateway: who leaves is waited for', 'gateway/body.ts', 'const parts = await orAborted(signal, reading)', 'const dependencies = await outputKind'),
  defect('gateway: a deadline is in seconds', 'gateway/infer.ts', 'const ms = deadline_ms ??', 'const ms = (deadline_ms as number) * 1000 ||'),
  defect('gateway: an unload ends queries', 'gateway/models.ts', 'await served.inFlight.ended()\n    await', 'await'),
  defect('gateway: an unloaded model is never closed', 'gateway/models.ts', 'await served.predictor.close()\n    this.#draining', 'this.#draining'),
  defect('gateway: an unload forgets what was replaced', 'gateway/models.ts', 'await Promise.all([slot.ended, slot.served', 'await Promise.all([slot.served'),
  defect('gateway: a closed one answers with what is unloaded', 'gateway/models.ts', 'if (slot.served) this.#draining.add(slot.served)', ''),
  defect('gateway: a new version believes who was ejected', 'gateway/models.ts', 'const bytes = await (served ? packStates(served.predictor) :', 'const bytes = await (served ? undefined :'),
  defect('JSON: integers of 64 bits are doubles', 'oip/elements.ts', 'array[at] = BigInt(value)\n    return array[at] === BigInt(value)', 'array[at] = BigInt.asIntN(64, BigInt(Number(value)))\n    return true'),
  defect('raw bytes: strings are counted in letters', 'oip/elements.ts', 'setUint32(0, bytes.length, true)', 'setUint32(0, text.length, true)'),
  defect('disk: a torn state is taken', 'memory/unpack.ts', 'if (sum !== own) {', 'if (sum.length !== own.length) {'),
  defect('disk: who was ejected is believed', 'predictor/tenants.ts', 'return name === NOBODY ? evidence : undefined', 'return evidence && undefined'),
  defect('disk: nobody says that it was refused', 'predictor/tenant-memory.ts', 'warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)', ''),
]
