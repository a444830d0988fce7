import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lenet, run, runWith, scratch, unlabelled } from '../shared/cli'

const { folder, write } = scratch()

/** The package as installed by somebody who has onnxruntime-web but not Vega. */
function withoutVega(): string {
  const home = join(folder, 'home')
  mkdirSync(join(home, 'node_modules'), { recursive: true })
  cpSync('dist', join(home, 'dist'), { recursive: true })
  cpSync('package.json', join(home, 'package.json'))
  symlinkSync(resolve('node_modules/onnxruntime-web'), join(home, 'node_modules/onnxruntime-web'))
  return join(home, 'dist/cli.js')
}

describe('--report', () => {
  it('writes Markdown and plots', () => {
    const report = join(folder, 'deep/report')
    const args = ['--code', 'systematic', '--groups', '120', '--grid', '2,4:1', '--policy', 'auto']
    const { status, stdout } = run('evaluate', ...lenet, ...args, '--report', report)
    expect(status).toBe(0)
    expect(stdout).toContain(`\nreport: ${report}/report.md\n`)
    const text = readFileSync(join(report, 'report.md'), 'utf8')
    expect(text).toMatch(/The model alone: \d+\.\d %\. Code systematic/)
    expect(text).toMatch(/\| 2 \| 1 \| 3 \| 1\.50x \|/)
    for (const [plot, axis] of [
      ['accuracy.svg', 'workers per query'],
      ['confidence.svg', 'stated confidence'],
    ]) {
      expect(text).toContain(`(${plot})`)
      const svg = readFileSync(join(report, plot), 'utf8')
      expect(svg).toMatch(/^<svg/)
      expect(svg).toContain(axis)
    }
  })

  it('without labels it speaks of agreement', () => {
    const report = join(folder, 'agreement')
    expect(run('evaluate', ...unlabelled, '--groups', '10', '--report', report).status).toBe(0)
    const text = readFileSync(join(report, 'report.md'), 'utf8')
    expect(text).toMatch(/Agreement with the model itself\. Code systematic/)
    expect(text.replaceAll('(accuracy.svg)', '')).not.toMatch(/accuracy|model alone/)
    expect(readFileSync(join(report, 'accuracy.svg'), 'utf8')).toContain('agreement, all queries')
  })

  it('without Vega it is refused at once, and nothing is written', () => {
    const cli = withoutVega()
    const report = join(folder, 'no-vega')
    const { status, stdout, stderr } = runWith({ cli }, 'evaluate', ...lenet, '--groups', '2', '--report', report)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/plots need Vega: npm install vega vega-lite/)
    expect(existsSync(report)).toBe(false)
    expect(runWith({ cli }, 'evaluate', ...lenet, '--groups', '2').status).toBe(0) // all else works
  })

  it.each([
    ['a model that is none', ['evaluate', 'package.json', '--inputs', 'models/mnist-digits.npy']],
    ['inputs that are none', ['evaluate', ...lenet.with(2, 'package.json')]],
    ['a memory larger than the data', ['evaluate', ...lenet, '--memory', '100000']],
  ])('%s: it fails and leaves no empty folder', (_, args) => {
    const before = readdirSync(folder)
    expect(run(...args, '--report', join(folder, 'never/written')).status).not.toBe(0)
    expect(readdirSync(folder)).toEqual(before)
  })

  it('a folder that cannot be made is refused before anything is measured', () => {
    const file = write('file', new Uint8Array(1))
    for (const report of [file, join(file, 'below')]) {
      const { status, stdout, stderr } = run('evaluate', ...lenet, '--report', report)
      expect([status, stdout]).toEqual([2, ''])
      expect(stderr).toContain(`--report ${report}: expected a folder that can be written, got ${file}`)
    }
  })
})
