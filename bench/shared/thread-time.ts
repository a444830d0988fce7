/** Processor time of this thread alone, in milliseconds: `process.cpuUsage` counts other threads, which collect garbage and compile, and a clock counts other processes. */

import { WASI } from 'node:wasi'

const memory = new WebAssembly.Memory({ initial: 1 })
const wasi = new WASI({ version: 'preview1' })
wasi.initialize({ exports: { memory } })
const clock = wasi.wasiImport.clock_time_get as (clock: number, precision: bigint, at: number) => number
const THREAD = 3
const time = new BigUint64Array(memory.buffer, 0, 1)

/** It takes a microsecond to say. */
export function threadTime(): number {
  clock(THREAD, 1n, 0)
  return Number(time[0]) / 1e6
}
