/** Warnings and the user's callbacks: if one throws, neither a query nor the process may end. */

/** @param worker  the name of the worker that it is about */
export type Warn = (text: string, worker?: string) => void

/** The default of `onWarning`; the text has the worker's name already. */
export const toConsole: Warn = (text) => console.warn(text)

/** Number of different warnings that are given; further ones are dropped. */
const MOST_WARNINGS = 100

/** A callback that never throws and whose promise never rejects unhandled. @param failed  called with the error instead */
export function guarded<T extends unknown[]>(
  callback: (...what: T) => unknown,
  failed: (error: unknown) => void = () => {},
): (...what: T) => void {
  return (...what) => {
    try {
      const result = callback(...what)
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}

/** Turns an error of the named callback into a warning. */
export function threw(name: string, warn: Warn): (error: unknown) => void {
  return (error) => warn(`${name} threw: ${(error as Error | undefined)?.message ?? error}`)
}

/** Gives each different warning once, and never throws. */
export function warnOnce(onWarning: Warn = toConsole): Warn {
  const warned = new Set<string>()
  const warn = guarded(onWarning)
  return (text, worker) => {
    if (warned.has(text) || warned.size >= MOST_WARNINGS) return
    warned.add(text)
    if (worker === undefined) warn(text)
    else warn(text, worker)
  }
}
