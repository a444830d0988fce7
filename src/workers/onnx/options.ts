/** What a model on onnxruntime may be told, checked before a thread is started for it. */

import { platform } from '#platform'
import { checkLengths, checkObject, checkString, checkWord, expected } from '../../check'
import type { OnnxOptions } from './model'

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkOnnxOptions({ outputs, inputShapes, providers, runtime }: OnnxOptions): void {
  checkList('outputs', outputs)
  checkList('providers', providers)
  if (runtime !== undefined) checkWord('runtime', runtime, platform.runtimes)
  if (inputShapes === undefined) return
  const shapes = Object.entries(checkObject('inputShapes', inputShapes, 'an object of shapes by input'))
  for (const [name, shape] of shapes) checkLengths(`inputShapes.${name}`, shape, 'an array of integers')
}

function checkList(field: string, list: unknown): void {
  if (list === undefined) return
  if (!Array.isArray(list)) throw new TypeError(expected(field, 'an array of strings', list))
  if (!list.length) throw new RangeError(`${field}: expected at least one, got []`)
  for (const [i, name] of list.entries()) {
    checkString(`${field}[${i}]`, name)
    if (list.indexOf(name) < i) throw new RangeError(`${field}[${i}]: expected every name once, got ${name} again`)
  }
}
