import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { S3Home } from '../../../../src/home/s3/home.ts'
import { Scratch, ScratchFile } from '../../../../src/home/s3/scratch.ts'
import { silentMs } from '../../../../src/home/s3/scratch-folders.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

async function open(t: TestContext, parent: string): Promise<Scratch> {
  const scratch = await Scratch.open(parent, quiet)
  t.after(() => scratch.close())
  return scratch
}

/** What a folder says of this process, changed. */
async function leave(
  parent: string,
  name: string,
  owner: Record<string, unknown> | undefined,
  silent = 0,
): Promise<void> {
  const folder = join(parent, name)
  await mkdir(folder)
  await writeFile(join(folder, '0.part'), 'staged')
  if (owner !== undefined) await writeFile(join(folder, 'owner.json'), JSON.stringify(owner))
  const at = new Date(Date.now() - silent)
  await utimes(folder, at, at)
}

test('a start removes the folders of the dead, and no others', async (t) => {
  const parent = await temporaryDirectory(t)
  await open(t, parent)
  const [own] = await readdir(parent)
  const self = JSON.parse(await readFile(join(parent, own!, 'owner.json'), 'utf8'))
  assert.equal(self.pid, process.pid)
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  const old = silentMs + 60_000
  const dead = { ...self, pid: child.pid, started: '1' }
  const elsewhere = { ...self, namespace: 'pid:[1]' }
  const folders: readonly [string, boolean, Record<string, unknown> | undefined, number?][] = [
    ['archiver-scratch-1-00000001', false, dead],
    // Another process has its id by now.
    ['archiver-scratch-1-00000002', false, { ...self, started: '1' }],
    // However long a live one says nothing.
    ['archiver-scratch-1-00000003', true, self, old],
    // Of a container or a host in which the ids mean others: only silence tells.
    ['archiver-scratch-1-00000004', true, elsewhere],
    ['archiver-scratch-1-00000005', false, elsewhere, old],
    ['archiver-scratch-1-00000006', true, { ...dead, boot: 'another' }],
    ['archiver-scratch-1-00000007', true, undefined],
    ['archiver-scratch-1-00000008', false, undefined, old],
    ['something-else', true, dead, old],
  ]
  for (const [name, , owner, silent] of folders) await leave(parent, name, owner, silent)
  await symlink(parent, join(parent, 'archiver-scratch-1-00000009'))
  await open(t, parent)
  const left = new Set(await readdir(parent))
  assert.ok(left.has(own!) && left.has('archiver-scratch-1-00000009'))
  for (const [name, stays] of folders) assert.equal(left.has(name), stays, name)
})

test('who was taken for dead makes the folder again', async (t) => {
  const parent = await temporaryDirectory(t)
  const scratch = await open(t, parent)
  const other = await Scratch.open(parent, quiet)
  await scratch.close()
  await other.close()
  assert.deepEqual(await readdir(parent), [])
  const file = new ScratchFile(scratch.path('writer', '0.part'))
  await assert.rejects(file.append(Buffer.from('lost')), { code: 'ENOENT' })
  await scratch.ensure()
  await file.append(Buffer.from('staged'))
  assert.equal((await readdir(parent)).length, 1)
})

test('a disk that cannot be used at first is tried again', async (t) => {
  const scratchDir = join(await temporaryDirectory(t), 'scratch')
  await writeFile(scratchDir, 'a file')
  const settings = { ...usualSettings, bucket: 'archive', prefix: '', region: 'us-east-1' }
  const home = await S3Home.open(settings, { scratchDir, log: quiet, patienceMs: 0 })
  t.after(() => home[Symbol.asyncDispose]())
  const stage = () => home.stage('_staging/events/3/worker')
  await assert.rejects(stage(), { code: 'ARCHIVE_UNUSABLE' })
  await rm(scratchDir)
  await stage()
  assert.equal((await readdir(scratchDir)).length, 1)
})

test('a folder that cannot be removed at the end is left, and fails nothing', async (t) => {
  const parent = join(await temporaryDirectory(t), 'scratch')
  const lines: string[] = []
  const log = createLogger({ level: 'debug', stream: { write: (text) => void lines.push(text) } })
  const scratch = await Scratch.open(parent, log)
  await rename(parent, `${parent}-moved`)
  await writeFile(parent, 'a file in the way')
  await scratch.close()
  assert.match(lines.join(''), /"event":"staging_left".*ENOTDIR/)
})
