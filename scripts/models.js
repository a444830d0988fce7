// Whether the real models and other runtimes of test/models are installed; run as a script, installs them in CI.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = new URL('../test/models/', import.meta.url)

/** Whether every package lies there in the version of the lock file. */
export function modelsInstalled() {
  const read = (path) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'))
  const locked = Object.entries(read('package-lock.json').packages).filter(([path, { optional }]) => path && !optional)
  return locked.every(([path, { version }]) => {
    const manifest = `${path}/package.json`
    return existsSync(new URL(manifest, folder)) && read(manifest).version === version
  })
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href && !modelsInstalled()) {
  if (process.env.CI) {
    console.log('Installing real models and runtimes for the tests in test/models (about 180 MB) ...')
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
    execFileSync('npm', args, { cwd: fileURLToPath(folder), stdio: ['ignore', 'ignore', 'inherit'] })
  } else {
    console.log('The tests with real models are left out; to have them (180 MB): cd test/models && npm ci')
  }
}
