import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { Home, ReadableHome } from '../../src/home/home.ts'
import { GatedFiles } from './gated-files.ts'
import { Gates } from './gates.ts'
import { homeAt } from './home.ts'
import { type FaultOf, MemoryHome, MemoryStore } from './memory-home.ts'
import { temporaryDirectory } from './servers.ts'
import { recordsOf, type StoredRecord } from './stores.ts'

/** An archive of a test, in whatever home. */
export interface TestArchive {
  /** A handle of its own, as another process has. */
  home(): Home
  copy(): Promise<TestArchive>
  /** Everything of it. */
  drop(): Promise<void>
  /** What another program does to a file, without the home. */
  read(name: string): Promise<Buffer>
  write(name: string, content: Buffer): Promise<void>
  remove(name: string): Promise<void>
}

/** A kind of home, and how its calls are stopped. */
export interface HomeKind {
  readonly name: string
  /**
   * Begins to gate the calls of archives that are created with it. Steps are named by system calls
   * in each kind, so one condition finds the same step.
   */
  begin(t: TestContext): Promise<{
    readonly gates: Gates
    create(): TestArchive
  }>
}

export const inDirectory: HomeKind = {
  name: 'a directory',
  async begin(t) {
    const gates = new GatedFiles(t)
    const base = await temporaryDirectory(t)
    let count = 0
    const at = (root: string): TestArchive => ({
      home: () => homeAt(root),
      async copy() {
        const other = join(base, `archive-${count++}`)
        await cp(root, other, { recursive: true })
        return at(other)
      },
      drop: () => rm(root, { recursive: true }),
      read: (name) => readFile(join(root, name)),
      write: (name, content) => writeFile(join(root, name), content),
      remove: (name) => rm(join(root, name)),
    })
    return { gates, create: () => at(join(base, `archive-${count++}`)) }
  },
}

export const inMemory = {
  name: 'memory',
  async begin(_: TestContext) {
    const gates = new Gates()
    const of = (store: MemoryStore, faultOf?: FaultOf): TestArchive => ({
      home: () => new MemoryHome(store, (...step) => gates.pass(...step), faultOf),
      copy: async () => of(new MemoryStore(store)),
      async drop() {},
      read: async (name) => store.files.get(name)!.bytes,
      write: async (name, content) => store.put(name, content),
      remove: async (name) => void store.files.delete(name),
    })
    return {
      gates,
      create: (store = new MemoryStore(), faultOf?: FaultOf) => of(store, faultOf),
    }
  },
} satisfies HomeKind

/** The data files that readers see, by name. */
export async function dataFilesIn(home: ReadableHome): Promise<string[]> {
  const files: string[] = []
  for await (const name of home.walk('', (directory) => directory.startsWith('type=')))
    if (name.endsWith('.jsonl.gz')) files.push(name)
  return files.sort()
}

/** Every record in the files. Reads independently of the program's own readers. */
export async function recordsIn(home: ReadableHome): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (const name of await dataFilesIn(home)) {
    const file = (await home.open(name))!
    const content = Buffer.alloc(file.bytes)
    await file.read(content, 0)
    await file.close()
    records.push(...recordsOf(name, gunzipSync(content).toString('utf8')))
  }
  return records
}
