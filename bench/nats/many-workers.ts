/** For bench nats: a process with as many workers as a large fleet has, which have nothing to do. */

import process from 'node:process'
import type { ModelWorker } from 'approxifer'
import { serveNats } from 'approxifer/nats'

const signature = { inputs: [{ name: 'input', shape: [1, 28, 28] }], outputs: [{ name: 'logits', shape: [10] }] }
const idle = (name: string): ModelWorker => ({
  ...{ name, signature, free: true, onFree: undefined, fingerprint: '0123456789abcdef' },
  infer: async () => [{ data: new Float32Array(10), shape: [10] }],
  close: async () => {},
})

const [server, fleet, count] = process.argv.slice(2)
await serveNats(server, { fleet, workers: Array.from({ length: Number(count) }, (_, i) => idle(`w${i}`)) })
console.log('ready')
