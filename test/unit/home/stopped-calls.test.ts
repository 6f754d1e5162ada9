import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Home, Publishable } from '../../../src/home/home.ts'
import { GatedFiles } from '../../helpers/gated-files.ts'
import { homeAt } from '../../helpers/home.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/**
 * A home in a directory makes each call of the contract of several system calls. A process that
 * stops before any of them leaves what the contract says, and may go on afterwards.
 */

const hour = 'type=a/dt=2019-08-01/hr=03'
const manifest = '_manifests/events/3/00000000000000000000.json'

interface Begun {
  readonly home: Home
  readonly root: string
  readonly files: readonly Publishable[]
}

/** An archive whose first manifest names three staged files; two of them have one directory. */
async function begin(root: string): Promise<Publishable[]> {
  const home = homeAt(root)
  await home.begin()
  const staging = await home.stage('_staging/events/3/w-0a1b2c')
  const files: Publishable[] = []
  for (const [i, directory] of [hour, hour, hour.replace('=a', '=b')].entries()) {
    const bytes = Buffer.from(`content of ${i}`)
    const path = `${directory}/events+3+${i}.jsonl.gz`
    const facts = {
      path,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    }
    files.push({ ...facts, ...(await staging.file(`${i}.part`).complete(facts, bytes)) })
  }
  await staging.sync([manifest])
  assert.equal(await staging.create(manifest, ['{}'], 'files'), true)
  return files
}

/**
 * Stops `act` before each of its system calls; then others do what `others` does, it goes on to its
 * end, and they look again.
 */
async function stopAnywhere(
  t: TestContext,
  act: (begun: Begun) => Promise<unknown>,
  others: (begun: Begun) => Promise<void>,
): Promise<number> {
  const gates = new GatedFiles(t)
  const base = await temporaryDirectory(t)
  const begun = join(base, 'begun')
  const files = await begin(begun)
  for (let calls = 1; ; calls++) {
    const root = join(base, `at-${calls}`)
    await cp(begun, root, { recursive: true })
    const archive = { home: homeAt(root), root, files }
    const actor = gates.start('stops', async () => void (await act(archive)))
    let left = calls
    const isStopped = await gates.runTo(actor, () => --left === 0)
    await others(archive)
    if (!isStopped) return calls
    await gates.thaw(actor)
    assert.equal(actor.failure, undefined, `stopped before call ${calls}`)
    await others(archive)
    await rm(root, { recursive: true })
  }
}

async function textOf(home: Home, name: string): Promise<string | undefined> {
  const file = await home.open(name)
  if (file === undefined) return undefined
  const content = Buffer.alloc(file.bytes)
  await file.read(content, 0)
  await file.close()
  return content.toString()
}

test('a publication that stops anywhere is completed by others, and finds nothing to do', async (t) => {
  const calls = await stopAnywhere(
    t,
    ({ home, files }) => home.publish(files, 'files'),
    async ({ root, files }) => {
      const home = homeAt(root)
      assert.deepEqual(await home.publish(files, 'files'), [])
      for (const [i, { path }] of files.entries())
        assert.equal(await textOf(home, path), `content of ${i}`)
    },
  )
  assert.ok(calls > 8, `${calls} calls`)
})

test('a publication that stops anywhere while a prune removes the files brings none back', async (t) => {
  await stopAnywhere(
    t,
    ({ home, files }) => home.publish(files, 'files'),
    async ({ root, files }) => {
      const home = homeAt(root)
      await home.publish(files, 'files')
      await home.remove(
        files.map(({ path }) => path),
        { emptied: true },
      )
      for await (const name of home.walk('', (directory) => !directory.startsWith('_')))
        assert.ok(!name.endsWith('.gz'), name)
    },
  )
})

test('a commit that stops anywhere gets the name or loses it, whole', async (t) => {
  const name = '_manifests/events/3/00000000000000000003.json'
  const contents = ['{"by":"who stops"}', '{"by":"others"}']
  const won = new Set<boolean>()
  await stopAnywhere(
    t,
    async ({ home }) => {
      const staging = await home.stage('_staging/events/3/stops-0a1b2c')
      await staging.sync([name])
      const isWon = await staging.create(name, [contents[0]!], 'files')
      won.add(isWon)
      assert.equal(await textOf(home, name), contents[isWon ? 0 : 1])
      await staging.remove()
    },
    async ({ root }) => {
      const home = homeAt(root)
      const staging = await home.stage('_staging/events/3/other-abcdef')
      await staging.sync([name])
      const isFree = (await home.stat(name)) === undefined
      assert.equal(await staging.create(name, [contents[1]!], 'files'), isFree)
      assert.ok(contents.includes((await textOf(home, name))!))
      await staging.remove()
    },
  )
  assert.deepEqual(won, new Set([true, false]))
})

test('a removal that stops anywhere is done by others', async (t) => {
  await stopAnywhere(
    t,
    async ({ home, files }) => {
      await home.publish(files, 'files')
      await home.remove(files.map(({ path }) => path))
      await home.removeStaging(['_staging/events/3/w-0a1b2c'])
    },
    async ({ root, files }) => {
      const home = homeAt(root)
      await home.publish(files, 'files')
      await home.remove(files.map(({ path }) => path))
      await home.removeStaging(['_staging/events/3/w-0a1b2c'])
      for (const { path } of files) assert.equal(await home.open(path), undefined)
      assert.deepEqual(await home.list('_staging/events/3'), [])
    },
  )
})
