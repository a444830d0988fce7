// Tells what tests are left out because something is missing, each with the command that gets it: those of `npm test`, with --all those of
// `npm run test:all`. With --install it gets all of them, and fails where something is still missing.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isInstalled, packages } from './packages.js'
import { programs } from './programs.js'

const hasApt = existsSync('/usr/bin/apt-get')
const isRoot = process.getuid?.() === 0

/** The command that gets a program, where it is known. */
function commandOf({ debian, brew }) {
  if (hasApt) return `${isRoot ? '' : 'sudo '}apt-get install ${debian.join(' ')}`
  if (process.platform === 'darwin' && brew) return `brew install ${brew.join(' ')}`
  return 'install it'
}

const missingPrograms = () => programs.filter(({ find }) => !find())
const missingPackages = () => Object.keys(packages).filter((name) => !isInstalled(name))

function tell(all) {
  for (const program of missingPrograms().filter(({ inAll }) => all || !inAll)) {
    const hows = [commandOf(program), ...(program.variable ? [`${program.variable}=/path/to/it`] : [])]
    console.log(`Without ${program.what}, the ${program.for} are left out. To have them: ${hows.join(', or ')}`)
  }
  for (const name of all ? missingPackages() : []) {
    const { what, for: tests } = packages[name]
    console.log(`Without ${what}, the ${tests} are left out. To have them: cd test/${name} && npm ci --ignore-scripts`)
  }
}

/** One that fails does not keep the others from being installed. */
function run(command, args, options) {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options })
  } catch (error) {
    console.log(error.message)
  }
}

function install() {
  const missing = hasApt && isRoot ? missingPrograms() : []
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=600', ...args], { env }) // another installation may be under way
  if (missing.length) apt('update')
  for (const { what, debian } of missing) {
    console.log(`Installing ${what}: Debian's ${debian.join(', ')} ...`)
    apt('install', '-y', '--no-install-recommends', ...debian)
  }
  for (const name of missingPackages()) {
    console.log(`Installing ${packages[name].what} in test/${name} ...`)
    const args = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
    run('npm', args, { cwd: new URL(`../test/${name}/`, import.meta.url) })
  }
}

const isAsked = process.argv.includes('--install')
if (isAsked) install()
tell(isAsked || process.argv.includes('--all'))
if (isAsked && (missingPrograms().length || missingPackages().length)) process.exitCode = 1
