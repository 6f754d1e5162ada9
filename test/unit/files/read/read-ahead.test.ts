import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  expecting,
  type FileOpener,
  filesAhead,
  ReadAhead,
} from '../../../../src/files/read/read-ahead.ts'
import type { HomeFile } from '../../../../src/home/home.ts'

/** Counts what is open. Files whose names begin with `gone` are not there, `bad` ones fail. */
class CountingOpener implements FileOpener {
  readonly opened: string[] = []
  openNow = 0
  most = 0
  isMended = false

  locate(name: string): string {
    return name
  }

  async open(name: string): Promise<HomeFile | undefined> {
    this.opened.push(name)
    if (!this.isMended && name.startsWith('bad')) throw new Error(`${name} cannot be opened`)
    if (!this.isMended && name.startsWith('gone')) return undefined
    this.most = Math.max(this.most, ++this.openNow)
    return {
      bytes: name.length,
      read: async (target) => target.write(name),
      close: async () => {
        this.openNow--
      },
    }
  }
}

async function nameIn(file: HomeFile | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  const content = Buffer.alloc(file.bytes)
  await file.read(content, 0)
  await file.close()
  return content.toString()
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `file-${i}`)

test('each file is opened once, few of them ahead, whichever the reader leaves out', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.boolean(), { maxLength: 60 }),
    fc.integer({ min: 0, max: 20 }),
    async (isRead, most) => {
      const home = new CountingOpener()
      const ahead = new ReadAhead(home, most)
      const all = names(isRead.length)
      ahead.expect(all)
      for (const [i, name] of all.entries())
        if (isRead[i]!) assert.equal(await nameIn(await ahead.open(name)), name)
      await ahead[Symbol.asyncDispose]()
      assert.equal(home.openNow, 0)
      // Those that were left out close while others open.
      assert.ok(home.most <= 2 * most + 1, `${home.most} were open`)
      assert.equal(new Set(home.opened).size, home.opened.length)
    },
  )
  await fc.assert(property, { numRuns: 50 })
})

test('a file that was not there, or could not be opened, is opened again', async () => {
  const home = new CountingOpener()
  await using ahead = new ReadAhead(home)
  ahead.expect(['gone', 'bad', 'file'])
  await assert.rejects(ahead.open('bad'), /bad cannot be opened/)
  home.isMended = true
  assert.equal(await nameIn(await ahead.open('gone')), 'gone')
  assert.equal(await nameIn(await ahead.open('file')), 'file')
})

test('the files of several items are expected, and all items come in order', async () => {
  const home = new CountingOpener()
  await using ahead = new ReadAhead(home)
  const items = Array.from({ length: 30 }, (_, i) => [`a-${i}`, `b-${i}`])
  const source = (async function* () {
    yield* items
  })()
  const seen: string[][] = []
  for await (const item of expecting(ahead, source, (of) => of)) {
    if (seen.length === 0) assert.equal(home.opened.length, filesAhead)
    for (const name of item) assert.equal(await nameIn(await ahead.open(name)), name)
    seen.push(item)
  }
  assert.deepEqual(seen, items)
  assert.equal(home.opened.length, 60)
})
