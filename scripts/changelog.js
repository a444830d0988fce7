// CHANGELOG.md at a release; npm version runs it, the release workflow prints with it.
// node scripts/changelog.js: gives what is under Unreleased the new version and today's date. With --check: only says whether it can.
// node scripts/changelog.js VERSION: prints the notes of a version.
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const FILE = 'CHANGELOG.md'

/** The text before the first version, and a section for each. */
function parsed(text) {
  const [head, ...rest] = text.split(/^(?=## )/m)
  const sections = rest.map((section) => {
    const [title, ...lines] = section.split('\n')
    return { title: title.slice('## '.length).trim(), body: lines.join('\n').trim() }
  })
  return { head, sections }
}

/** The first release stands under its version, without a date, before it is made. */
const isPending = (title, version) => title === 'Unreleased' || title === version

/** @returns {string} the changelog with the version released, and nothing under Unreleased */
export function released(text, version, date) {
  const { head, sections } = parsed(text)
  if (sections.some(({ title }) => title.startsWith(`${version} - `))) throw new Error(`${FILE} has ${version} already`)
  const pending = sections.filter(({ title, body }) => isPending(title, version) && body)
  if (!pending.length) throw new Error(`${FILE} has no entries under Unreleased`)
  if (pending.length > 1) throw new Error(`${FILE} has entries under Unreleased and under ${version}: join them`)
  const kept = sections.filter(({ title }) => !isPending(title, version))
  const all = [{ title: 'Unreleased', body: '' }, { title: `${version} - ${date}`, body: pending[0].body }, ...kept]
  return head + all.map(({ title, body }) => `## ${title}\n${body && `\n${body}\n`}`).join('\n')
}

/** @returns {string} what changed in the version */
export function notesOf(text, version) {
  const found = parsed(text).sections.find(({ title }) => title === version || title.startsWith(`${version} - `))
  if (!found?.body) throw new Error(`${FILE} has no entries of ${version}`)
  return found.body
}

function main([argument]) {
  const text = readFileSync(FILE, 'utf8')
  if (argument && argument !== '--check') return console.log(notesOf(text, argument))
  const version = process.env.npm_new_version
  if (!version) throw new Error('the new version is missing: start this by npm run release')
  const changed = released(text, version, new Date().toISOString().slice(0, 10))
  if (!argument) writeFileSync(FILE, changed)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main(process.argv.slice(2))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
