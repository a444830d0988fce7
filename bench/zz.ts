import { createPredictor } from 'approxifer'

const signature = { inputs: [{ name: 'x', shape: [784] }], outputs: [{ name: 'y', shape: [10] }] }
const answer = Float32Array.from({ length: 10 }, (_, i) => Math.sin(i))
const instant = (i: number) => ({
  name: `worker ${i}`,
  signature,
  free: true,
  onFree: undefined,
  infer: async () => answer.slice(),
  restart() {},
  async close() {},
})
const M = +(process.argv[2] ?? 9),
  mode = process.argv[3] ?? 'none'
const opts =
  mode === 'none'
    ? {}
    : mode === 'off'
      ? { scheme: { queries: 8, stragglers: 1 }, memory: false as const }
      : { scheme: { queries: 8, stragglers: 1 } }
const p = await createPredictor({
  workers: Array.from({ length: M }, (_, i) => instant(i)),
  maxQueries: 1e6,
  onWarning() {},
  ...opts,
})
const queries = Array.from({ length: 500 }, (_, i) => Float32Array.from({ length: 784 }, (_, j) => Math.sin(i + j)))
for (let r = 0; r < 6; r++) {
  let left = 20000
  const c = process.cpuUsage()
  const t = performance.now()
  await Promise.all(
    Array.from({ length: M }, async () => {
      while (left-- > 0) await p.predict(queries[left % 500])
    }),
  )
  const u = process.cpuUsage(c)
  const mu = process.memoryUsage()
  console.log((mu.heapUsed / 1e6).toFixed(1), (mu.arrayBuffers / 1e6).toFixed(1))
  console.log(((performance.now() - t) / 20).toFixed(1), 'us wall', ((u.user + u.system) / 20000).toFixed(1), 'us cpu')
}
await p.close()
