import type { Results } from './latency'
export async function report(_: Results): Promise<void> {}
