import { expect, it } from 'vitest'
import { loadCore } from '../../src/core/load'
import { codecWorks, goldenLocators, goldenScheme } from '../shared/core-suites'

const wasm = await loadCore()
const js = await loadCore({ prefer: 'js' })

it('runs on WASM', () => {
  expect([wasm.kind, js.kind]).toEqual(['wasm', 'js'])
})

goldenScheme()
goldenLocators(wasm)
goldenLocators(js)
codecWorks(wasm)
codecWorks(js)
