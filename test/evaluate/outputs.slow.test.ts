/** A detector on trial: each output is judged by itself, and what cannot be foretold is not recommended. */

import { afterAll, describe, expect, it } from 'vitest'
import { outputRows } from '../../src/cli/figures'
import { loadInputs } from '../../src/cli/npy'
import { Codec } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { evaluate } from '../../src/evaluate/evaluate'
import { advice, recommend } from '../../src/evaluate/recommend'
import { OnnxModel } from '../../src/workers/onnx/model'
import { run, scratch } from '../shared/cli'
import { detector, detectorInputs, unforeseeable } from '../shared/detector'

const core = await loadCore()
const [own, other] = await Promise.all([OnnxModel.load(detector), OnnxModel.load(unforeseeable())])
const inputs = await loadInputs(detectorInputs)
const { write } = scratch()
afterAll(() => Promise.all([own.close(), other.close()]))

async function measured(model: OnnxModel) {
  const scheme = { queries: 8, stragglers: 1 }
  const right = { outputs: { boxes: { within: 80 }, scores: { within: 0.2 } } }
  const codec = new Codec(core, scheme)
  const evaluation = await evaluate({ model, codec, inputs, right, memory: 500, groups: 300, sets: 0 })
  const wishes = { tolerate: 0.01, stragglerRate: 0.01, retryPrice: 1 }
  const one = { ...scheme, code: 'systematic' as const, workers: 9, memory: evaluation.memory, evaluation }
  return { evaluation, advised: advice(recommend([one], wishes)) }
}

describe('a detector', () => {
  it('of which the memory can tell boxes and scores: it is recommended', async () => {
    const { evaluation, advised } = await measured(own)
    expect(advised).toMatch(/a memory of 500, policy auto/)
    expect(evaluation.outputs).toMatchObject([
      { name: 'boxes', right: 'tolerance', tolerance: 80 },
      { name: 'scores', right: 'tolerance', tolerance: 0.2 },
    ])
    const [boxes, scores] = evaluation.outputs ?? []
    expect(boxes.agreement).toBeGreaterThan(scores.agreement)
    expect(evaluation.confidence?.sure.share).toBeGreaterThan(0.3)
    expect(evaluation.confidence?.calibrationError).toBeLessThan(0.1)
  })

  it('with scores that nobody can foretell: nothing is sure, and none is recommended', async () => {
    const { evaluation, advised } = await measured(other)
    expect(advised).toMatch(/^retry, do not recover/)
    expect([evaluation.confidence?.sure.share, evaluation.rivals.memoryAlone?.confidence?.sure.share]).toEqual([0, 0])
    expect(evaluation.outputs?.map(({ agreement }) => agreement > 0.5)).toEqual([true, false])
    expect(outputRows(evaluation.outputs)).toEqual([
      ['  recovered boxes, within 80', expect.stringMatching(/^[89]\d\.\d %$/), ''],
      ['  recovered scores, within 0.2', '0.0 %', ''],
    ])
  })

  it('the command line takes what is right of each, tells how often each is, and refuses what is no output', () => {
    const args = ['evaluate', write('scattered.onnx', unforeseeable()), '--inputs', detectorInputs, '--stream', '0']
    const few = [...args, '--groups', '20', '--memory', '200']
    const { stdout, stderr } = run(...few, '--right', 'boxes=within:80,scores=label')
    expect(stderr).not.toMatch('warning')
    expect(stdout).toMatch(/\n {2}recovered boxes, within 80 .*\n {2}recovered scores, label .*\n/)
    expect(stdout).toMatch("right: { outputs: { boxes: { within: 80 }, scores: 'label' } } })")
    expect(run(...few, '--right', 'box=within:2').stderr).toMatch("outputs.box: expected 'boxes'")
    expect(run(...few, '--right', 'boxes=big').stderr).toMatch('Expected label|labels|equal|axis:N')
    expect(run(...few, '--right', 'within:60').stderr).toMatch('expected { outputs: { boxes: .., scores: .. } }')
  })
})
