/** Loads the core that the runtime allows. */

import { platform } from '#platform'
import { checkNames } from '../base/check'
import type { Core } from './core'
import { JsCore } from './js'
import { SizedCore } from './sized'

export interface CoreOptions {
  /**
   * A ready `WebAssembly.Module` of `approxifer/core.wasm`, for runtimes that forbid compiling from bytes. (Typed as an object, since the
   * type itself belongs to the DOM's types, which not every project has.)
   */
  module?: object
  /** 'wasm': fail instead of falling back to JavaScript. 'js': do not try WASM. Default: WASM if it runs, else JavaScript. */
  prefer?: 'wasm' | 'js'
}

/** The fastest core that the runtime allows: `kind` names it, `fallback` says why it is not WASM. */
export async function loadCore(options: CoreOptions = {}): Promise<Core> {
  checkNames('core', options, ['module', 'prefer'])
  const { module, prefer } = options
  if (prefer !== undefined && prefer !== 'wasm' && prefer !== 'js') {
    throw new RangeError(`core.prefer: expected 'wasm' or 'js', got ${JSON.stringify(prefer)}`)
  }
  if (prefer === 'js') return new JsCore()
  try {
    return new SizedCore((module as WebAssembly.Module) ?? (await platform.coreModule()))
  } catch (error) {
    if (prefer === 'wasm' || module) throw error
    return new JsCore(String(error))
  }
}
