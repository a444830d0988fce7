/** A defect that can be put back: the file, what stands there, and what stood there or might. */

import type { Change } from '../../scripts/changed-copy'

export type Defect = Change

export const defect = (name: string, file: string, from: string, to: string): Defect => ({ name, file, from, to })
