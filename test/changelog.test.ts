/** `npm run release`: what it makes of CHANGELOG.md, and of a repository. */

import { execSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../package.json'
import { notesOf, released } from '../scripts/changelog.js'

const HEAD = '# Changelog\n\nWords.\n\n'
const OLD = '## 0.1.0 - 2026-01-02\n\n### Added\n\n- Old.\n'

describe('a changelog', () => {
  it('has what was under Unreleased under the version and its date', () => {
    const text = `${HEAD}## Unreleased\n\n### Fixed\n\n- New.\n\n${OLD}`
    expect(released(text, '0.1.1', '2026-02-03')).toBe(
      `${HEAD}## Unreleased\n\n## 0.1.1 - 2026-02-03\n\n### Fixed\n\n- New.\n\n${OLD}`,
    )
  })

  it('of a first release, which stands under its version, gets a date', () => {
    const text = `${HEAD}## Unreleased\n\n## 0.1.0\n\n### Added\n\n- Old.\n`
    expect(released(text, '0.1.0', '2026-01-02')).toBe(`${HEAD}## Unreleased\n\n${OLD}`)
  })

  it.each([
    ['without entries', `## Unreleased\n\n${OLD}`, '0.1.1', 'CHANGELOG.md has no entries under Unreleased'],
    ['of that version', `## Unreleased\n\n- New.\n\n${OLD}`, '0.1.0', 'CHANGELOG.md has 0.1.0 already'],
    [
      'with both',
      '## Unreleased\n\n- New.\n\n## 0.1.0\n\n- Old.\n',
      '0.1.0',
      'under Unreleased and under 0.1.0: join them',
    ],
  ])('%s is refused', (_, text, version, message) => {
    expect(() => released(HEAD + text, version, '2026-02-03')).toThrow(message)
  })

  it('tells the notes of one version', () => {
    const text = `${HEAD}## Unreleased\n\n## 0.1.10 - 2026-02-03\n\n- New.\n\n${OLD}`
    expect(notesOf(text, '0.1.0')).toBe('### Added\n\n- Old.')
    expect(notesOf(text, '0.1.10')).toBe('- New.')
    expect(() => notesOf(text, '0.1.1')).toThrow('CHANGELOG.md has no entries of 0.1.1')
  })

  it('of this package has notes of the version that it has', () => {
    expect(notesOf(readFileSync('CHANGELOG.md', 'utf8'), manifest.version)).toContain('### ')
  })
})

describe('npm run release', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-'))
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')) // of a hook that runs these tests
  const env = {
    ...Object.fromEntries(inherited),
    ...{
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@a.invalid',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@a.invalid',
    },
    ...{ GIT_CONFIG_GLOBAL: join(folder, 'none'), GIT_CONFIG_NOSYSTEM: '1', npm_config_update_notifier: 'false' },
  }
  /** A shell, since npm is a script of one on Windows. */
  const run = (command: string) => execSync(command, { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' })
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')

  beforeAll(() => {
    const { release, preversion, version, postversion } = manifest.scripts
    const scripts = { release, preversion: preversion.split(' && ')[0], version, postversion } // not the tests again
    cpSync('scripts/changelog.js', join(folder, 'scripts/changelog.js'))
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'a', version: '0.1.0', type: 'module', scripts }),
    )
    writeFileSync(join(folder, 'CHANGELOG.md'), `${HEAD}## Unreleased\n\n- New.\n\n${OLD}`)
    run('git init --quiet && git add . && git commit --quiet --message first')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('commits the version, its entries and the date, and tags it', () => {
    run('npm run release -- minor')
    expect(JSON.parse(read('package.json')).version).toBe('0.2.0')
    expect(read('CHANGELOG.md')).toMatch(/^## Unreleased\n\n## 0\.2\.0 - \d{4}-\d\d-\d\d\n\n- New\.$/m)
    expect(run('git status --porcelain')).toBe('')
    expect(run('git describe').trim()).toBe('v0.2.0')
    expect(run('node scripts/changelog.js 0.2.0')).toBe('- New.\n')
  })

  it('changes nothing where there is nothing to release', () => {
    expect(() => run('npm run release -- patch')).toThrow('CHANGELOG.md has no entries under Unreleased')
    expect(run('git status --porcelain')).toBe('')
    expect(run('git describe').trim()).toBe('v0.2.0')
  })
})
