/** Warnings and the user's callbacks: if one fails, no query and no process may end. */

export type Warn = (text: string) => void

/** Different warnings that are given; further ones are dropped. */
const MOST_WARNINGS = 100

/** A user's callback that never throws, and whose promise never rejects unhandled. @param failed  called with the error instead */
export function guarded<T>(
  callback: (what: T) => unknown,
  failed: (error: unknown) => void = () => {},
): (what: T) => void {
  return (what) => {
    try {
      const result = callback(what)
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}

/** Turns an error of the user's callback of this name into a warning. */
export function threw(name: string, warn: Warn): (error: unknown) => void {
  return (error) => warn(`${name} threw: ${(error as Error | undefined)?.message ?? error}`)
}

/** Gives each different warning once, and never throws. */
export function warnOnce(onWarning: Warn = console.warn): Warn {
  const warned = new Set<string>()
  const warn = guarded(onWarning)
  return (text) => {
    if (warned.has(text) || warned.size >= MOST_WARNINGS) return
    warned.add(text)
    warn(text)
  }
}
