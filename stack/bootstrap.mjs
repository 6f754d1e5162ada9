// Runs a program of this repository with the dependencies installed first:
// `node stack/bootstrap.mjs test/all.ts [arguments]`. Plain JavaScript for any Node on the machine:
// the programs run on the Node of devDependencies.
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const lock = join(root, 'package-lock.json')
const installed = join(root, 'node_modules', '.package-lock.json')
const commands = join(root, 'node_modules', '.bin')

function run(command, words) {
  const { status, signal, error } = spawnSync(command, words, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, PATH: `${commands}${delimiter}${process.env.PATH}` },
  })
  if (error) throw error
  return status ?? (signal === 'SIGINT' ? 130 : 1)
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  const modules = join(root, 'node_modules')
  // npm ci empties the directory that a link points to: another checkout's.
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    console.error(
      `${modules} is a link, and what it names is older than package-lock.json: run npm ci there`,
    )
    process.exit(1)
  }
  console.log('Installing the dependencies (npm ci) …')
  const status = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  if (status !== 0) process.exit(status)
}
process.exit(run('node', process.argv.slice(2)))
