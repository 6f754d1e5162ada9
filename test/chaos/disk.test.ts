import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { claimArchive } from '../../src/files/log/archive.ts'
import { homeAt } from '../helpers/home.ts'
import { temporaryDirectory } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'
import { Disk } from './disk.ts'

/**
 * The files sink in a process of its own, with limits and a file system of its own: see
 * `disk-fixture.ts`. The tests of tmpfs need the right to mount; a user who may not has the limits
 * of `prlimit` only, which break the same calls.
 */

const fixture = fileURLToPath(new URL('disk-fixture.ts', import.meta.url))
const mebibyte = 2 ** 20

interface Fixture {
  readonly says: (pattern: RegExp, deadlineMs?: number) => Promise<string>
  readonly tell: (word: string) => void
  readonly ended: Promise<number | null>
}

/** `limits`: arguments of prlimit. */
function startFixture(
  t: TestContext,
  root: string,
  what: Record<string, unknown>,
  limits: readonly string[] = [],
): Fixture {
  const command = [process.execPath, '--expose-gc', fixture, root, JSON.stringify(what)]
  const [program, ...argv] = limits.length === 0 ? command : ['prlimit', ...limits, ...command]
  const unprivileged =
    what.unprivileged === true && process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const child = spawn(program!, argv, { stdio: ['pipe', 'pipe', 'pipe'], ...unprivileged })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    ended,
    tell: (word) => child.stdin.write(`${word}\n`),
    says: async (pattern, deadlineMs = 60_000) => {
      const deadline = performance.now() + deadlineMs
      for (;;) {
        const found = pattern.exec(output)
        if (found !== null) return found[0]
        assert.ok(
          performance.now() < deadline && child.exitCode === null,
          `waited for ${pattern}:\n${output}`,
        )
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
  }
}

async function mountDisk(t: TestContext, size: number): Promise<Disk | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'archiver-disk-'))
  const disk = new Disk(join(directory, 'disk'), size)
  await disk.mount()
  t.after(async () => {
    await disk.unmount()
    await rm(directory, { recursive: true })
  })
  if (disk.isMounted) return disk
  t.skip('no tmpfs may be mounted here; the limit of file sizes stands for it')
  return undefined
}

/**
 * In memory if there is such a place: ten thousand fsyncs of a disk are not what is tried here.
 */
async function fastDirectory(t: TestContext): Promise<string> {
  if (!existsSync('/dev/shm')) return await temporaryDirectory(t)
  const directory = await mkdtemp('/dev/shm/archiver-test-')
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

async function assertAllThere(root: string, records: number): Promise<void> {
  const offsets = (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b)
  assert.equal(offsets.length, records)
  assert.deepEqual(
    offsets,
    Array.from({ length: records }, (_, i) => i),
  )
}

test('a full disk: says which and what is free, goes on by itself when there is room, loses nothing', async (t) => {
  const disk = await mountDisk(t, 64 * mebibyte)
  if (disk === undefined) return
  const root = join(disk.path, 'archive')
  const worker = startFixture(t, root, { records: 4000, batch: 100 })
  await worker.says(/stands at \d{3,}/)
  for (const leave of [0, 4096, 40_960]) {
    await disk.fill(leave)
    await worker.says(new RegExp(`no space left in ${root}.*, 0 MiB free`, 's'))
    await disk.empty()
  }
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 4000)
})

test('a file system that turns read-only, and back', async (t) => {
  const disk = await mountDisk(t, 64 * mebibyte)
  if (disk === undefined) return
  const root = join(disk.path, 'archive')
  const worker = startFixture(t, root, { records: 2000, batch: 100 })
  await worker.says(/stands at \d{3,}/)
  await disk.makeReadOnly()
  await worker.says(/the file system is read-only in /)
  await disk.makeWritable()
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 2000)
})

test('staging on another file system than the rest is refused at the start', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  await claimArchive(homeAt(root), 'cluster', 'group')
  const staging = new Disk(join(root, '_staging'), 4 * mebibyte)
  await staging.mount()
  try {
    if (!staging.isMounted) return t.skip('no tmpfs may be mounted here')
    await assert.rejects(claimArchive(homeAt(root), 'cluster', 'group'), {
      code: 'ARCHIVE_UNUSABLE',
      message: /staging and archive lie on different file systems/,
    })
  } finally {
    await staging.unmount()
  }
})

test('permission that is lost, and given back', async (t) => {
  if (process.getuid?.() !== 0) t.diagnostic('the sink runs as this user')
  const disk = new Disk(join(await temporaryDirectory(t), 'disk'), 0)
  await disk.makeOpenTo(65_534)
  const root = join(disk.path, 'archive')
  const worker = startFixture(t, root, { records: 2000, batch: 100, unprivileged: true })
  await worker.says(/stands at \d{3,}/)
  await disk.forbid()
  await worker.says(/permission denied to user id \d+ in /)
  await disk.permit()
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 2000)
})

test('the limit of file sizes: a flush that meets it is logged, and smaller ones succeed', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const worker = startFixture(
    t,
    root,
    { records: 300, batch: 300, padding: 3000, flushFirst: true },
    ['--fsize=100000'],
  )
  await worker.says(/the file size limit is reached \(see ulimit -f\)/)
  worker.tell('small')
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 300)
})

test('5,000 open buckets with 256 descriptors', async (t) => {
  const root = join(await fastDirectory(t), 'archive')
  const worker = startFixture(
    t,
    root,
    { records: 10_000, batch: 10_000, types: 5000, flushFirst: true },
    ['--nofile=256'],
  )
  await worker.says(/5000 buckets open/)
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 10_000)
})

test('a lack of descriptors is logged, and work continues once there are some', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const worker = startFixture(t, root, { records: 3000, batch: 100, types: 40, hoard: true }, [
    '--nofile=128',
  ])
  await worker.says(/too many open files in this process \(see ulimit -n\)/)
  worker.tell('release')
  worker.tell('finish')
  assert.equal(await worker.ended, 0)
  await assertAllThere(root, 3000)
})

test('10,000 open buckets stay within the memory budget above the base', async (t) => {
  const root = join(await fastDirectory(t), 'archive')
  const budget = 256 * mebibyte
  const worker = startFixture(t, root, {
    records: 20_000,
    batch: 250,
    types: 10_000,
    padding: 4000,
    budget,
    flushFirst: true,
  })
  const open = await worker.says(/10000 buckets open, rss above base at most \d+ MiB/, 180_000)
  worker.tell('finish')
  const flushed = await worker.says(/at the end rss above base at most \d+ MiB/, 180_000)
  t.diagnostic(`${open}; ${flushed}`)
  const mebibytes = (said: string) => Number(/at most (\d+) MiB/.exec(said)![1])
  assert.ok(mebibytes(open) < budget / mebibyte, open)
  // A flush of ten thousand files has their names and a manifest of 7 MB beside the records.
  assert.ok(mebibytes(flushed) < (1.5 * budget) / mebibyte, flushed)
})
