/** Which core a runtime gets. */

import { platform } from '#platform'
import { checkNames } from '../base/check'
import type { Core } from './core'
import { JsCore } from './js'
import { WasmCore } from './wasm'

export interface CoreOptions {
  /**
   * A ready `WebAssembly.Module` of `approxifer/core.wasm`, where compiling from bytes is forbidden. (Typed as an
   * object: the type itself comes with the DOM's, which not every project has.)
   */
  module?: object
  /** 'wasm': fail rather than fall back. 'js': do not try WASM. Default: WASM if it runs, else JS. */
  prefer?: 'wasm' | 'js'
}

/** The fastest core this runtime allows; `kind` says which, `fallback` why. */
export async function loadCore(options: CoreOptions = {}): Promise<Core> {
  checkNames('core', options, ['module', 'prefer'])
  const { module, prefer } = options
  if (prefer !== undefined && prefer !== 'wasm' && prefer !== 'js') {
    throw new RangeError(`core.prefer: expected 'wasm' or 'js', got ${JSON.stringify(prefer)}`)
  }
  if (prefer === 'js') return new JsCore()
  try {
    return new WasmCore((module as WebAssembly.Module) ?? (await platform.coreModule()))
  } catch (error) {
    if (prefer === 'wasm' || module) throw error
    return new JsCore(String(error))
  }
}
