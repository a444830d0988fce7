/** Optional packages in Node. */

/** Why one cannot be imported, without what Node adds: the path of our own file that wanted it. @throws Error */
export function missing(error: Error): never {
  throw new Error(error.message.replace(/ imported from .*/s, ''), { cause: error })
}
