import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import {
  type Home,
  MayBeCreated,
  type Publishable,
  type ReadableHome,
  type StagedFile,
  type Staging,
  StagingGone,
} from '../../src/home/home.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'

/** A place for an archive, empty at first. */
export interface HomePlace {
  /** Another handle of it, as another process has: begun, and not proven. */
  another(): Promise<Home>
  /**
   * Lets the answer of the next call that gives a manifest its name get lost, so that the home asks
   * again.
   */
  loseNextAnswer(): void
}

/** What one clause of the contract works with. */
interface Clause {
  readonly place: HomePlace
  readonly home: Home
  readonly other: Home
}

const log = '_manifests/events/3'
const staged = '_staging/events/3'
const hour = 'type=a%2Fb/dt=2019-08-01/hr=03'

/** The name of a manifest. */
function manifest(from: number): string {
  return `${log}/${String(from).padStart(20, '0')}.json`
}

function dataName(first: number): string {
  const digits = String(first).padStart(20, '0')
  return `${hour}/events+3+${digits}-${digits}.jsonl.gz`
}

/** A unique directory of staging. */
function newStaging(home: Home): Promise<Staging> {
  return home.stage(`${staged}/w-${randomBytes(3).toString('hex')}`)
}

async function contentOf(home: ReadableHome, name: string): Promise<Buffer | undefined> {
  const file = await home.open(name)
  if (file === undefined) return undefined
  const content = Buffer.alloc(file.bytes)
  assert.equal(await file.read(content, 0), file.bytes)
  await file.close()
  return content
}

async function textOf(home: ReadableHome, name: string): Promise<string | undefined> {
  return (await contentOf(home, name))?.toString()
}

async function walked(home: ReadableHome, directory = ''): Promise<string[]> {
  const names: string[] = []
  for await (const name of home.walk(directory, () => true)) names.push(name)
  return names.sort()
}

/** Looks again and again while something is done. */
async function meanwhile<T>(look: () => Promise<unknown>, act: () => Promise<T>): Promise<T> {
  let isOver = false
  const acting = act().finally(() => {
    isOver = true
  })
  const looking = (async () => {
    for (; !isOver; await turn()) await look()
  })()
  const [result] = await Promise.all([acting, looking])
  return result
}

/** Completes a staged file that holds `content`, the last part of it at the end. */
async function complete(
  file: StagedFile,
  path: string,
  content: Buffer,
  last = content,
): Promise<Publishable> {
  const sha256 = createHash('sha256').update(content).digest('hex')
  const facts = { path, bytes: content.length, sha256 }
  return { ...facts, ...(await file.complete(facts, last)) }
}

/** Commits files by a manifest that begins at `from`; they are not published. */
async function commit(
  home: Home,
  from: number,
  contents: readonly Buffer[] = [Buffer.from(`content ${from}`)],
): Promise<Publishable[]> {
  const staging = await newStaging(home)
  const files: Publishable[] = []
  for (const [i, content] of contents.entries()) {
    const file = staging.file(`${String(from + i).padStart(20, '0')}.part`)
    files.push(await complete(file, dataName(from + i), content))
  }
  await staging.sync([manifest(from), ...files.map(({ path }) => path)])
  assert.equal(await staging.create(manifest(from), [JSON.stringify(files)], 'files'), true)
  return files
}

const clauses: Readonly<Record<string, (clause: Clause) => Promise<void>>> = {
  'a name that nothing has is undefined, and its directory is empty': async ({ home }) => {
    assert.equal(await home.open(dataName(0)), undefined)
    assert.equal(await home.open(manifest(0)), undefined)
    assert.equal(await home.stat(dataName(0)), undefined)
    assert.deepEqual(await home.list(log), [])
    assert.deepEqual(await walked(home, hour), [])
    await home.remove([dataName(0)])
    await home.removeStaging([`${staged}/gone-0a1b2c`])
  },

  'a home says where a name is, for people': async ({ home }) => {
    assert.ok(home.title.length > 0)
    assert.ok(home.locate(manifest(0)).startsWith(home.title))
    assert.ok(home.locate(manifest(0)).endsWith(manifest(0)))
    const error = await home.explain(new Error('something odd'))
    assert.ok(error instanceof ArchiverError)
    assert.match(error.message, /something odd/)
    const own = new ArchiverError('FENCED', 'mine')
    assert.equal(await home.explain(own), own)
    const space = await home.space()
    assert.ok(space === undefined || (space.free >= 0 && space.total >= space.free))
  },

  'of all who create a name exactly one gets it, and its content is there, whole': async ({
    home,
    other,
  }) => {
    for (let round = 0; round < 10; round++) {
      const name = `_manifests/pruned-${round}.json`
      const contents = Array.from({ length: 20 }, (_, i) => `${i} of ${round} `.repeat(1000))
      const seen = new Set<string | undefined>()
      const won = await meanwhile(
        async () => seen.add(await textOf(other, name)),
        () =>
          Promise.all(
            contents.map((content, i) => (i % 2 === 0 ? home : other).create(name, content)),
          ),
      )
      const winners = contents.filter((_, i) => won[i])
      assert.equal(winners.length, 1)
      assert.equal(await textOf(home, name), winners[0])
      for (const content of seen) assert.ok(content === undefined || content === winners[0])
      assert.equal(await other.create(name, 'too late'), false)
      assert.equal(await textOf(other, name), winners[0])
      await other.remove([name])
      assert.equal(await home.create(name, 'free again'), true)
    }
  },

  'of all who commit the same manifest exactly one does, and the others may drop what they staged':
    async ({ place, home }) => {
      const rivals = await Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const own = await place.another()
          const staging = await newStaging(own)
          const file = await complete(
            staging.file('00000000000000000007.part'),
            dataName(7),
            Buffer.from(`of ${i}`),
          )
          await staging.sync([manifest(7), file.path])
          return { own, staging, file }
        }),
      )
      const won = await Promise.all(
        rivals.map(({ staging }, i) => staging.create(manifest(7), [`{"by":${i}}`], 'files')),
      )
      assert.equal(won.filter((isWon) => isWon).length, 1)
      const winner = won.indexOf(true)
      assert.equal(await textOf(home, manifest(7)), `{"by":${winner}}`)
      for (const [i, { staging }] of rivals.entries()) if (i !== winner) await staging.remove()
      const { file } = rivals[winner]!
      assert.deepEqual(await home.publish([file], 'files'), [])
      assert.equal(await textOf(home, dataName(7)), `of ${winner}`)
    },

  'a commit whose answer got lost is won all the same': async ({ place, home }) => {
    const staging = await newStaging(home)
    await staging.sync([manifest(0)])
    place.loseNextAnswer()
    assert.equal(await staging.create(manifest(0), ['{"nonce":1}'], 'files'), true)
    assert.equal(await textOf(home, manifest(0)), '{"nonce":1}')
    place.loseNextAnswer()
    assert.equal(await staging.create(manifest(0), ['{"nonce":2}'], 'files'), false)
  },

  'a manifest may be larger than a string, and comes in pieces': async ({ home, other }) => {
    const staging = await newStaging(home)
    const pieces = Array.from({ length: 300 }, (_, i) => String(i % 10).repeat(10_000))
    await staging.sync([manifest(0)])
    assert.equal(await staging.create(manifest(0), pieces, 'compaction'), true)
    assert.equal(await textOf(other, manifest(0)), pieces.join(''))
  },

  'what is replaced is there whole, the old one or the new one': async ({ home, other }) => {
    const name = '_manifests/pruned.json'
    const contents = Array.from({ length: 30 }, (_, i) => String(i % 10).repeat(10_000 + i))
    await home.replace(name, contents[0]!)
    const stamps = new Set([(await home.stat(name))!.stamp])
    await meanwhile(
      async () => assert.ok(contents.includes((await textOf(other, name))!)),
      async () => {
        for (const content of contents.slice(1)) {
          await home.replace(name, content)
          assert.equal(await textOf(other, name), content)
          stamps.add((await other.stat(name))!.stamp)
        }
      },
    )
    assert.equal(stamps.size, contents.length, 'each content has its own stamp')
    assert.deepEqual(await home.list('_manifests', 'pruned'), ['pruned.json'])
  },

  'a file is read from any byte on, and nothing is behind its end': async ({ home, other }) => {
    const content = randomBytes(3 * 2 ** 20 + 5)
    await home.publish(await commit(home, 0, [content]), 'files')
    const file = (await other.open(dataName(0)))!
    assert.equal(file.bytes, content.length)
    assert.equal((await other.stat(dataName(0)))!.bytes, content.length)
    for (const [at, length] of [
      [0, 10],
      [2 ** 20 - 3, 2 ** 20],
      [content.length - 4, 100],
      [content.length, 10],
      [content.length + 10, 10],
      [7, 7],
    ] as const) {
      const target = Buffer.alloc(length, 0xee)
      const read = await file.read(target, at)
      const expected = content.subarray(at, at + length)
      assert.equal(read, expected.length, `${length} bytes at ${at}`)
      assert.ok(target.subarray(0, read).equals(expected), `${length} bytes at ${at}`)
    }
    await file.close()
  },

  'an open file is one content, whatever becomes of its name': async ({ home, other }) => {
    const content = Buffer.from('x'.repeat(100_000))
    await home.publish(await commit(home, 0, [content]), 'files')
    const file = (await other.open(dataName(0)))!
    await home.remove([dataName(0)])
    const target = Buffer.alloc(content.length)
    const read = await file.read(target, 0).catch(() => undefined)
    await file.close()
    // A bucket may have lost it by now, and then says so.
    if (read !== undefined) assert.ok(read === content.length && target.equals(content))
    assert.equal(await other.open(dataName(0)), undefined)
  },

  'a listing has what was created, and not what was removed, by whomever': async ({
    home,
    other,
  }) => {
    for (let from = 0; from < 20; from++) {
      const [one, two] = from % 2 === 0 ? [home, other] : [other, home]
      const files = await commit(one, from)
      const name = manifest(from).slice(log.length + 1)
      assert.ok((await two.list(log)).includes(name))
      assert.deepEqual(await two.list(hour), [])
      await one.publish(files, 'files')
      assert.deepEqual(await two.list(hour), [dataName(from).slice(hour.length + 1)])
      await two.remove([manifest(from), dataName(from)])
      assert.deepEqual(await one.list(log), [])
      assert.deepEqual(await one.list(hour), [])
    }
  },

  'a listing is of one directory, and of what begins as asked': async ({ home }) => {
    const names = ['compacted-1.json', 'compacted-2.json', '1.json', 'pruned-1.json']
    for (const name of names) await home.replace(`_manifests/${name}`, name)
    await commit(home, 0)
    assert.deepEqual((await home.list('_manifests')).sort(), [...names, 'events'].sort())
    assert.deepEqual((await home.list('_manifests', 'compacted-')).sort(), names.slice(0, 2))
    assert.deepEqual(await home.list('_manifests', 'nothing'), [])
    assert.deepEqual(await home.list('_manifests/events'), ['3'])
    // The beginning of a name is no directory.
    assert.deepEqual(await home.list('_manifests/event'), [])
    assert.ok((await home.list('')).includes('_manifests'))
  },

  'a walk enters the directories that a filter picks, and gives the names of others': async ({
    home,
  }) => {
    for (const from of [0, 1, 2]) await home.publish(await commit(home, from), 'files')
    const files = [0, 1, 2].map(dataName)
    assert.deepEqual(await walked(home, hour), files)
    assert.deepEqual(await walked(home, 'type=a%2Fb'), files)
    const hours: string[] = []
    const isAboveHours = (directory: string) =>
      directory.startsWith('type=') && directory.split('/').length < 3
    for await (const name of home.walk('', isAboveHours)) hours.push(name)
    assert.deepEqual(
      hours.filter((name) => !name.startsWith('_')),
      [hour],
    )
    assert.ok(hours.includes('_manifests'))
    assert.deepEqual(await walked(home, dataName(0)), [], 'a file has nothing below it')
  },

  'what is staged is seen by no reader until it is published': async ({ home, other }) => {
    const content = Buffer.from('one\ntwo\n')
    const [file] = await commit(home, 0, [content])
    assert.equal(await other.open(dataName(0)), undefined)
    assert.deepEqual(await other.list(hour), [])
    assert.equal(await other.isStaged(file!), true)
    assert.deepEqual(await other.publish([file!], 'files'), [])
    assert.equal(await home.isStaged(file!), false)
    assert.ok((await contentOf(home, dataName(0)))!.equals(content))
  },

  'a file is staged in pieces, and its last bytes come at the end or before': async ({ home }) => {
    const pieces = Array.from({ length: 5 }, (_, i) => randomBytes(300_000 + i))
    const content = Buffer.concat(pieces)
    const staging = await newStaging(home)
    const one = staging.file('00000000000000000000.part')
    for (const piece of pieces.slice(0, 4)) await one.append(piece)
    const other = staging.file('00000000000000000001.part')
    const buffer = Buffer.alloc(400_000)
    await other.append(
      (async function* () {
        // As a reader does that has one buffer.
        for (const piece of pieces) {
          piece.copy(buffer)
          yield buffer.subarray(0, piece.length)
        }
      })(),
    )
    const files = [
      await complete(one, dataName(0), content, pieces[4]),
      await complete(other, dataName(1), content, Buffer.alloc(0)),
      await complete(staging.file('00000000000000000002.part'), dataName(2), Buffer.alloc(0)),
    ]
    await staging.sync([manifest(0), ...files.map(({ path }) => path)])
    assert.equal(await staging.create(manifest(0), ['{}'], 'files'), true)
    assert.deepEqual(await home.publish(files, 'files'), [])
    assert.ok((await contentOf(home, dataName(0)))!.equals(content))
    assert.ok((await contentOf(home, dataName(1)))!.equals(content))
    assert.equal((await contentOf(home, dataName(2)))!.length, 0)
  },

  'a publication is repeated by anybody, at the same moment too, and changes nothing': async ({
    place,
    home,
  }) => {
    const contents = Array.from({ length: 12 }, (_, i) => Buffer.from(`content of ${i}`))
    const files = await commit(home, 0, contents)
    // A writer died in the middle.
    assert.deepEqual(await home.publish(files.slice(0, 3), 'files'), [])
    const handles = await Promise.all(Array.from({ length: 6 }, () => place.another()))
    const nowhere = await Promise.all(handles.map((one) => one.publish(files, 'files')))
    assert.deepEqual(nowhere.flat(), [])
    assert.deepEqual(await home.publish(files, 'files'), [])
    for (const [i, content] of contents.entries())
      assert.ok((await contentOf(home, dataName(i)))!.equals(content))
    assert.equal((await home.list(hour)).length, contents.length)
  },

  'what was published and removed is nowhere, and does not come back': async ({ home, other }) => {
    const files = await commit(home, 0, [Buffer.from('a'), Buffer.from('b')])
    await home.publish(files, 'files')
    await other.remove([dataName(0)])
    assert.deepEqual(await home.publish(files, 'files'), [files[0]])
    assert.equal(await other.open(dataName(0)), undefined)
    assert.equal(await textOf(other, dataName(1)), 'b')
  },

  'what a writer removes of its staging can be published by nobody': async ({ home, other }) => {
    const staging = await newStaging(home)
    const file = await complete(
      staging.file('00000000000000000000.part'),
      dataName(0),
      Buffer.from('dropped'),
    )
    await staging.file('00000000000000000001.part').append(Buffer.from('never completed'))
    await staging.remove()
    assert.deepEqual(await other.list(staged), [])
    assert.equal(await other.isStaged(file), false)
    assert.deepEqual(await other.publish([file], 'files'), [file])
    assert.equal(await other.open(dataName(0)), undefined)
    await staging.remove()
  },

  'whose staging others removed hears it, and commits nothing': async ({ home, other }) => {
    const staging = await newStaging(home)
    const file = staging.file('00000000000000000000.part')
    await file.append(Buffer.from('begun'))
    const names = await other.list(staged)
    // A bucket has no staging that others could remove.
    if (names.length === 0) return
    await other.removeStaging(names.map((name) => `${staged}/${name}`))
    assert.deepEqual(await other.list(staged), [])
    await assert.rejects(file.append(Buffer.from('more')), StagingGone)
    await assert.rejects(
      complete(staging.file('00000000000000000001.part'), dataName(1), Buffer.from('x')),
      StagingGone,
    )
    await assert.rejects(staging.sync([]), StagingGone)
    const error = await staging.create(manifest(0), ['{}'], 'files').catch((thrown) => thrown)
    assert.ok(error instanceof StagingGone && !(error instanceof MayBeCreated))
    assert.equal((await home.explain(error)).code, 'ARCHIVE_UNUSABLE')
    assert.equal(await home.open(manifest(0)), undefined)
    await staging.remove()
  },

  'the spill of a writer is a local file, and goes with its staging': async ({ home }) => {
    const staging = await newStaging(home)
    const { writeFile, readFile } = await import('node:fs/promises')
    const path = staging.scratch('00000000000000000000.spill')
    await writeFile(path, 'lines')
    assert.equal(await readFile(path, 'utf8'), 'lines')
    await staging.remove()
    await assert.rejects(readFile(path), { code: 'ENOENT' })
  },

  'a removal may be repeated, by many names at once': async ({ home, other }) => {
    const names = Array.from({ length: 40 }, (_, i) => `_manifests/n-${i}.json`)
    for (const name of names) await home.replace(name, name)
    await home.remove(names.slice(0, 30), { label: 'compaction.manifest' })
    await Promise.all([home.remove(names), other.remove(names)])
    assert.deepEqual(await other.list('_manifests', 'n-'), [])
    for (const from of [0, 1]) await home.publish(await commit(home, from), 'files')
    await home.remove([dataName(0)], { emptied: true })
    assert.deepEqual(await walked(home, 'type=a%2Fb'), [dataName(1)])
    await other.remove([dataName(0), dataName(1)], { emptied: true })
    assert.ok(!(await home.list('')).includes('type=a%2Fb'))
    await home.publish(await commit(home, 2), 'files')
    assert.deepEqual(await walked(home, hour), [dataName(2)], 'its directories come back')
  },

  'a name of others is confirmed': async ({ home, other }) => {
    await commit(home, 0)
    await other.confirm(manifest(0))
  },

  'a proof leaves nothing behind, and several at the same moment go well': async ({
    place,
    home,
  }) => {
    const handles = await Promise.all(Array.from({ length: 4 }, () => place.another()))
    await Promise.all(
      handles.map((one, i) =>
        one.prove({
          staged: `_staging/probe-${i}`,
          created: `_manifests/probe-${i}`,
          published: `_archive.json.probe-${i}`,
        }),
      ),
    )
    assert.deepEqual(await walked(home), [])
  },
}

/**
 * The promises of `home/home.ts`, as tests of one home. `create` makes a place for an archive that
 * is empty.
 */
export function testHome(kind: string, create: (t: TestContext) => Promise<HomePlace>): void {
  for (const [promise, hold] of Object.entries(clauses)) {
    test(`${kind}: ${promise}`, async (t) => {
      const place = await create(t)
      const [home, other] = [await place.another(), await place.another()]
      await home.prove({
        staged: '_staging/probe',
        created: '_manifests/probe',
        published: '_archive.json.probe',
      })
      await hold({ place, home, other })
    })
  }
}
