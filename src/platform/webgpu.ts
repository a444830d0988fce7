/** Browsers, with the larger runtime that supports WebGPU and WebNN; used only by the script `approxifer/worker.webgpu`. */

import type { Platform } from './platform'
import { platform as web } from './web'

export const platform: Platform = { ...web, importOrt: () => import('onnxruntime-web/webgpu') }
