/** What a model on onnxruntime may be told, checked before a thread is started for it. */

import { platform } from '#platform'
import { checkInteger, checkWord, expected } from '../../errors'
import type { OnnxOptions } from './model'

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkOnnxOptions({ outputs, inputShapes, providers, runtime }: OnnxOptions): void {
  checkList('outputs', outputs)
  checkList('providers', providers)
  if (runtime !== undefined) checkWord('runtime', runtime, platform.runtimes)
  if (inputShapes === undefined) return
  if (typeof inputShapes !== 'object' || inputShapes === null || Array.isArray(inputShapes)) {
    throw new TypeError(expected('inputShapes', 'an object of shapes by input', inputShapes))
  }
  for (const [name, shape] of Object.entries(inputShapes)) {
    const field = `inputShapes.${name}`
    if (!Array.isArray(shape)) throw new TypeError(expected(field, 'an array of integers', shape))
    for (const [i, n] of shape.entries()) checkInteger(`${field}[${i}]`, n, 1)
  }
}

function checkList(field: string, list: unknown): void {
  if (list === undefined) return
  if (!Array.isArray(list)) throw new TypeError(expected(field, 'an array of strings', list))
  if (!list.length) throw new RangeError(`${field}: expected at least one, got []`)
  for (const [i, name] of list.entries()) {
    if (typeof name !== 'string') throw new TypeError(expected(`${field}[${i}]`, 'a string', name))
    if (list.indexOf(name) < i) throw new RangeError(`${field}[${i}]: expected every name once, got ${name} again`)
  }
}
