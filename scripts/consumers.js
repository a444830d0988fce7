// Installs the tools that test/consumers runs the packed package with: 1.2 GB, so only for CI and test:consumers.
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'

const folder = new URL('../test/consumers/', import.meta.url)
const since = (file) => statSync(new URL(file, folder), { throwIfNoEntry: false })?.mtimeMs ?? 0
const upToDate = since('node_modules/.package-lock.json') > since('package-lock.json')

if (process.env.CI && !upToDate) {
  console.log('Installing the tools of test/consumers ...')
  const args = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
}
