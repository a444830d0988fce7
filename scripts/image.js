// Runs the steps of examples/fleet/Dockerfile, in folders in the place of images, on what git has of this folder; then the program of the
// last one. It needs no engine, and shows whether a checkout is enough. A minute or two, most of it npm's.
import { execFileSync, execSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const FILE = 'examples/fleet/Dockerfile'

const folder = mkdtempSync(join(tmpdir(), 'approxifer-image-'))
const context = join(folder, 'context')
const hasUser = spawnSync('id', ['node']).status === 0

/** What a checkout has, with what is not committed yet. */
function checkOut() {
  mkdirSync(context)
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'])
  const packed = execFileSync('tar', ['--create', '--null', '--files-from=-', '--ignore-failed-read'], {
    input: files,
    maxBuffer: 2 ** 30,
  })
  execFileSync('tar', ['--extract', '--directory', context], { input: packed })
}

/** A stage: its root is a folder of ours, and every path of a command from / on lies in it. */
class Stage {
  #place = '/'

  constructor(root, stages) {
    this.root = root
    this.stages = stages
    mkdirSync(join(root, 'usr/local'), { recursive: true })
  }

  /** @returns the program that it starts, after the last step */
  step(word, rest) {
    if (word === 'WORKDIR') {
      this.#place = rest
      mkdirSync(join(this.root, rest), { recursive: true })
    } else if (word === 'COPY') {
      const [, from, source, target] = /^(?:--from=(\S+) )?(\S+) (\S+)$/.exec(rest) ?? []
      const origin = from === undefined ? context : this.stages.get(from)?.root
      cpSync(join(origin, source), join(this.root, resolve(this.#place, target)), { recursive: true })
    } else if (word === 'RUN') {
      const inRoot = rest.replaceAll(/(?<=\s)\/(?=\w)/g, `${this.root}/`)
      const command = hasUser ? inRoot : inRoot.replace(/--owner \w+ /, '')
      const npm = { prefix: join(this.root, 'usr/local'), cache: join(this.root, 'root/.npm'), loglevel: 'error' }
      const own = Object.entries(npm).map(([name, value]) => [`npm_config_${name}`, value])
      const env = { ...process.env, ...Object.fromEntries(own) }
      execSync(command, { cwd: join(this.root, this.#place), env, stdio: ['ignore', 'ignore', 'inherit'] })
    } else if (word === 'ENTRYPOINT') return JSON.parse(rest)[0]
    else if (!['ENV', 'USER', 'EXPOSE'].includes(word))
      throw new Error(`${FILE}: expected a step that is known here, got ${word}`)
  }
}

try {
  checkOut()
  const stages = new Map()
  let stage
  let program
  const lines = readFileSync(FILE, 'utf8').split('\n')
  for (const line of lines.filter((each) => each && !each.startsWith('#'))) {
    const [, word, rest] = /^(\w+) (.*)$/.exec(line)
    console.log(line)
    if (word === 'FROM') {
      const [, name = 'last'] = / AS (\w+)$/.exec(rest) ?? []
      stage = new Stage(join(folder, name), stages)
      stages.set(name, stage)
    } else program = stage.step(word, rest) ?? program
  }
  const path = join(stage.root, 'usr/local/bin', program)
  for (const args of [['--version'], ['demo']])
    console.log(execFileSync(path, args, { cwd: stage.root, encoding: 'utf8' }))
} finally {
  rmSync(folder, { recursive: true })
}
