/** Browsers, with the runtime that has WebGPU and WebNN; only in a worker script of its own. */

import type { Platform } from './platform'
import { platform as web } from './web'

export const platform: Platform = { ...web, importOrt: () => import('onnxruntime-web/webgpu') }
