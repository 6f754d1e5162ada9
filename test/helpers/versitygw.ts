import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const versitygwVersion = 'v1.8.0'
const tools = fileURLToPath(new URL('../../.stack/cache/versitygw', import.meta.url))

/** The program, built once; undefined without Go. */
export function versitygwProgram(): string | undefined {
  const program = join(tools, `versitygw-${versitygwVersion}`, 'versitygw')
  if (existsSync(program)) return program
  const go = ['go', '/usr/local/go/bin/go'].find(
    (candidate) => spawnSync(candidate, ['version']).status === 0,
  )
  if (go === undefined) return undefined
  mkdirSync(join(program, '..'), { recursive: true })
  const { status } = spawnSync(
    go,
    [
      'install',
      '-trimpath',
      '-ldflags',
      '-s -w',
      `github.com/versity/versitygw/cmd/versitygw@${versitygwVersion}`,
    ],
    { env: { ...process.env, CGO_ENABLED: '0', GOBIN: join(program, '..') }, stdio: 'inherit' },
  )
  return status === 0 ? program : undefined
}
