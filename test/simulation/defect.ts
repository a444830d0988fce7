/** A defect that can be put back: the file, what stands there, and what stood there or might. */

export interface Defect {
  name: string
  file: string
  from: string
  to: string
}

export const defect = (name: string, file: string, from: string, to: string): Defect => ({ name, file, from, to })
