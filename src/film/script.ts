/** What goes wrong in the film, when, and in which words: for all who show it. */

/** Machines of each band. */
export const MACHINES = 9
/** How many of them may lie: what approxifer is set for. */
export const LIARS = 1
/** Milliseconds of the film. */
export const LENGTH_MS = 12_000

/** `slow`: it takes six times as long; `hung`: it never answers; `lying`: it swaps the two likeliest labels; `dead`: it refuses connections. */
export type Fault = 'slow' | 'hung' | 'lying' | 'dead'

/** A machine's state in words. */
export const faultWords: Record<Fault, string> = { slow: 'slow', hung: 'hangs', lying: 'lies', dead: 'dead' }

export interface Act {
  /** Milliseconds of the film. */
  readonly at: number
  readonly machine: number
  readonly fault: Fault
}

/** What happens by itself. */
export const SCRIPT: readonly Act[] = [
  { at: 2000, machine: 2, fault: 'hung' },
  { at: 5000, machine: 5, fault: 'lying' },
  { at: 8000, machine: 7, fault: 'dead' },
]

/** An act in words, such as "machine 3 hangs". */
export function wordsOfAct({ machine, fault }: Act): string {
  return `machine ${machine + 1} ${fault === 'dead' ? 'dies' : faultWords[fault]}`
}
