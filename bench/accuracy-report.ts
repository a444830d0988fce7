import type { Measured } from './accuracy'
export async function report(results: Record<string, Measured>): Promise<void> {
  console.log(Object.keys(results))
}
