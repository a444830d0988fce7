/** Browsers, with the larger runtime that supports WebGPU and WebNN; used only by the script `approxifer/worker.webgpu`. */

import type { Platform } from './platform'
import { checkCompiles } from './policy'
import { platform as web } from './web'

export const platform: Platform = {
  ...web,
  importOrt() {
    checkCompiles()
    return import('onnxruntime-web/webgpu')
  },
}
