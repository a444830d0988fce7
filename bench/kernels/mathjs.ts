/** Of mathjs only the product, so that a page need not fetch all of it. */

import { create, matrixDependencies, multiplyDependencies } from 'mathjs'

const { multiply: product } = create({ matrixDependencies, multiplyDependencies })

export const multiply = (a: number[][], b: number[][]): number[][] => product?.(a, b) as number[][]
