/** A defect that can be put back: the file, what stands there, and what stood there or might. */

export interface Defect {
  name: string
  file: string
  from: string
  to: string
}

export const defect = (name: string, file: string, from: string, to: string): Defect => ({ name, file, from, to })

/** A file's text with a defect put back. @throws RangeError where what it replaces does not stand there once */
export function putBack(text: string, { name, file, from, to }: Defect): string {
  if (text.split(from).length !== 2) throw new RangeError(`${name}: ${file} has not once ${JSON.stringify(from)}`)
  return text.replace(from, () => to)
}
