/** The Content-Security-Policy of a page, or of a worker's script. */

/** The smallest WebAssembly module. */
const SMALLEST = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)

/** @throws RangeError if there is WebAssembly, and the Content-Security-Policy of the page, or of a worker's script, forbids it */
export function checkCompiles(): void {
  if (typeof WebAssembly !== 'object') return
  try {
    new WebAssembly.Module(SMALLEST)
  } catch (cause) {
    const text = "the Content-Security-Policy forbids WebAssembly: script-src must list 'wasm-unsafe-eval'"
    throw new RangeError(text, { cause })
  }
}

/**
 * Watches for violations of the page's Content-Security-Policy, which only events tell.
 *
 * @param blocked  the origin of the URL and its scheme, as in `URL.protocol`. Default: any URL
 */
export function policyViolations(
  directive: string,
  [origin, scheme]: readonly string[] = [],
): { readonly found: boolean; stop(): void } {
  let found = false
  const listen = (event: Event) => {
    const { blockedURI, effectiveDirective, disposition } = event as SecurityPolicyViolationEvent
    const isIts = origin === undefined || blockedURI.startsWith(origin) || `${blockedURI}:` === scheme
    found ||= isIts && effectiveDirective === directive && disposition === 'enforce'
  }
  globalThis.addEventListener?.('securitypolicyviolation', listen)
  return {
    get found() {
      return found
    },
    stop: () => globalThis.removeEventListener?.('securitypolicyviolation', listen),
  }
}

/** Browsers report a violation in a task of its own, Firefox a millisecond after the error. */
const REPORT_MS = 20

/** Resolves when violations that belong to an earlier error have been reported. */
export const reported = () => new Promise<void>((resolve) => setTimeout(resolve, REPORT_MS))
