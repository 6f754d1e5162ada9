// Runs an npm script with the dependencies installed first:
// `node stack/bootstrap.mjs <script> [arguments]`. Plain JavaScript for whatever Node is on the
// machine: the scripts themselves run on the Node of devDependencies.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const lock = join(root, 'package-lock.json')
const installed = join(root, 'node_modules', '.package-lock.json')

function npm(...words) {
  const { status, signal, error } = spawnSync('npm', words, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1))
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.log('Installing the dependencies (npm ci) …')
  npm('ci', '--no-audit', '--no-fund', '--loglevel=error')
}
const [script, ...rest] = process.argv.slice(2)
npm('run', '--silent', script, '--', ...rest)
