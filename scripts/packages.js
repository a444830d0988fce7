// Packages that only `npm run test:all` takes, in folders of their own, so that nobody who works on the rest has to download them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** By the folder in test/, which is also the name of vitest's project. */
export const packages = {
  models: { what: 'real models and other runtimes (180 MB)', for: 'tests with them' },
  consumers: { what: 'bundlers, compilers and runtimes (1.7 GB)', for: 'tests of the packed package in them' },
}

/** Whether every package of such a folder lies there in the version of its lock file. */
export function isInstalled(name) {
  const folder = new URL(`../test/${name}/`, import.meta.url)
  const read = (path) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'))
  const locked = Object.entries(read('package-lock.json').packages).filter(([path, { optional }]) => path && !optional)
  return locked.every(([path, { version }]) => {
    const manifest = `${path}/package.json`
    return existsSync(new URL(manifest, folder)) && read(manifest).version === version
  })
}

const TOOLS = fileURLToPath(new URL('../test/consumers/node_modules/', import.meta.url))

/** The program that a launcher package of test/consumers has for this machine, or undefined. @param scope  of the packages that contain it */
function launched(scope, name) {
  const folder = `${TOOLS}${scope}`
  const packages = existsSync(folder) ? readdirSync(folder) : []
  return packages.flatMap((own) => [`${folder}/${own}/${name}`, `${folder}/${own}/bin/${name}`]).find(existsSync)
}

export const findDeno = () => launched('@deno', 'deno')
/** Its install script, if npm runs it, moves the program into the package `bun`. */
export const findBun = () => launched('@oven', 'bun') ?? [`${TOOLS}bun/bin/bun.exe`].find(existsSync)
