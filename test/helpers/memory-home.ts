import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { basename, dirname } from 'node:path/posix'
import {
  type CommitLabel,
  type Home,
  type HomeFile,
  MayBeCreated,
  type NameStat,
  type Publishable,
  type Space,
  type StagedFacts,
  type StagedFile,
  type StagedInDirectory,
  type Staging,
  StagingGone,
} from '../../src/home/home.ts'
import { ArchiverError, messageOf } from '../../src/runtime/errors.ts'
import { type Fault, InjectedFault } from './faults.ts'

interface StoredFile {
  readonly bytes: Buffer
  readonly stamp: number
}

/**
 * Makes one step of a home: a system call of `PosixHome`, and by its name. `Gates.pass` lets a test
 * stop before it.
 */
export type PassStep = <T>(call: string, names: readonly string[], act: () => T) => Promise<T>

/** What a step comes to, if a test wants that: see `Fault`. */
export type FaultOf = (call: string, names: readonly string[]) => Fault | undefined

/** What all handles of one home share: the machine that holds it, so to speak. */
export class MemoryStore {
  readonly files: Map<string, StoredFile>
  readonly directories: Set<string>
  /** Effects of calls that were given up before they took place. */
  readonly late: (() => void)[] = []
  /** The next `create` is sent again, and finds what it did. */
  losesNextAnswer = false
  #stamps = 0

  constructor(like?: MemoryStore) {
    this.files = new Map(like?.files)
    this.directories = new Set(like?.directories)
    this.#stamps = like?.files.size ?? 0
  }

  /** Something that is late takes effect now. */
  takeEffect(): void {
    try {
      this.late.shift()?.()
    } catch (error) {
      // Its staging is gone by now; no caller waits for the answer.
      if (!(error instanceof StagingGone)) throw error
    }
  }

  /**
   * Ends what a committed file would be published from, as a store ends an open upload. False if
   * there is no such file.
   */
  expire(choose: <T>(items: readonly T[]) => T): boolean {
    const staged = [...this.files].flatMap(([name, { bytes }]) => {
      if (!/^_manifests\/.*\/(compacted-)?\d{20}[-\d]*\.json$/.test(name)) return []
      const { files } = JSON.parse(bytes.toString()) as {
        files: readonly { readonly staged: string }[]
      }
      return files.flatMap((file) => (this.files.has(file.staged) ? [file.staged] : []))
    })
    return staged.length > 0 && this.files.delete(choose(staged))
  }

  put(name: string, bytes: Buffer): void {
    this.files.set(name, { bytes, stamp: ++this.#stamps })
  }

  /** False if the name is taken, by another content if this one's answer got lost. */
  create(name: string, bytes: Buffer): boolean {
    const isLost = this.losesNextAnswer
    this.losesNextAnswer = false
    const isFree = !this.files.has(name)
    if (isFree) this.put(name, bytes)
    return isLost ? this.files.get(name)!.bytes.equals(bytes) : isFree
  }

  /** False if nothing has the name. */
  rename(from: string, to: string): boolean {
    const file = this.files.get(from)
    if (file === undefined) return false
    this.files.delete(from)
    this.files.set(to, file)
    return true
  }
}

/**
 * A home in memory. Its steps are those of `PosixHome`, each atomic, with the same names, so that
 * what stops before one of them finds the same state; it knows no directories but those of staging,
 * and no links. Each handle is a process of its own.
 */
export class MemoryHome implements Home {
  readonly manifestFormat = 1
  readonly title = 'memory'
  readonly store: MemoryStore
  readonly #pass: PassStep
  readonly #faultOf: FaultOf

  constructor(
    store = new MemoryStore(),
    pass: PassStep = async (_, __, act) => act(),
    faultOf: FaultOf = () => undefined,
  ) {
    this.store = store
    this.#pass = pass
    this.#faultOf = faultOf
  }

  locate(name: string): string {
    return `${this.title}/${name}`
  }

  /** Makes a step, with the fault that the test wants it to meet. */
  async step<T>(call: string, names: readonly string[], act: () => T): Promise<T> {
    const fault = this.#faultOf(call, names)
    if (fault === undefined) return this.#pass(call, names, act)
    await this.#pass(call, names, () => {
      if (fault === 'lost answer') act()
      if (fault === 'late') this.store.late.push(act)
    })
    throw new InjectedFault(fault, call, names)
  }

  async open(name: string): Promise<HomeFile | undefined> {
    const file = await this.step('open', [name], () => this.store.files.get(name))
    return (
      file && {
        bytes: file.bytes.length,
        read: async (target, at) => file.bytes.subarray(at).copy(target),
        close: async () => {},
      }
    )
  }

  stat(name: string): Promise<NameStat | undefined> {
    return this.step('lstat', [name], () => {
      const file = this.store.files.get(name)
      return file && { bytes: file.bytes.length, stamp: String(file.stamp) }
    })
  }

  list(directory: string, beginning = ''): Promise<string[]> {
    return this.step('readdir', [directory], () =>
      this.#namesIn(directory).filter((name) => name.startsWith(beginning)),
    )
  }

  #namesIn(directory: string): string[] {
    const above = directory === '' ? '' : `${directory}/`
    const names = new Set<string>()
    for (const name of [...this.store.files.keys(), ...this.store.directories]) {
      if (name.startsWith(above)) names.add(name.slice(above.length).split('/', 1)[0]!)
    }
    return [...names].sort()
  }

  async *walk(directory: string, enters: (directory: string) => boolean): AsyncGenerator<string> {
    for (const name of await this.step('readdir', [directory], () => this.#namesIn(directory))) {
      const path = directory === '' ? name : `${directory}/${name}`
      if (!this.store.files.has(path) && enters(path)) yield* this.walk(path, enters)
      else yield path
    }
  }

  sizes(): undefined {}

  async isStaged(file: Publishable): Promise<boolean> {
    return (await this.stat(stagedName(file))) !== undefined
  }

  async explain(error: unknown): Promise<ArchiverError> {
    if (error instanceof ArchiverError) return error
    return new ArchiverError('ARCHIVE_UNUSABLE', `${messageOf(error)} in memory`, {}, error)
  }

  async begin(): Promise<void> {}

  /** Nothing lies above the memory of a test. */
  async above(): Promise<undefined> {}

  async prove(): Promise<void> {}

  create(name: string, content: string): Promise<boolean> {
    return this.step('link', [name], () => this.store.create(name, Buffer.from(content)))
  }

  async replace(name: string, content: string): Promise<void> {
    await this.step('rename', [name], () => this.store.put(name, Buffer.from(content)))
  }

  async confirm(name: string): Promise<void> {
    await this.step('open', [dirname(name)], () => {})
  }

  async stage(directory: string): Promise<Staging> {
    await this.step('mkdir', [directory], () => this.store.directories.add(directory))
    return new MemoryStaging(this, directory)
  }

  async publish<T extends Publishable>(files: readonly T[]): Promise<T[]> {
    const nowhere: T[] = []
    for (const file of files) {
      const isMoved = await this.step('rename', [stagedName(file), file.path], () =>
        this.store.rename(stagedName(file), file.path),
      )
      if (!isMoved && (await this.stat(file.path)) === undefined) nowhere.push(file)
    }
    return nowhere
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.step('unlink', [name], () => this.store.files.delete(name))
    }
  }

  async removeStaging(directories: readonly string[]): Promise<void> {
    for (const directory of directories) {
      const names = await this.step('readdir', [directory], () => this.#namesIn(directory))
      await this.remove(names.map((name) => `${directory}/${name}`))
      await this.step('rmdir', [directory], () => {
        if (this.#namesIn(directory).length === 0) this.store.directories.delete(directory)
      })
    }
  }

  async space(): Promise<Space | undefined> {
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function stagedName(file: Publishable): string {
  if ('staged' in file) return file.staged
  throw new Error(`${file.path} is an upload`)
}

class MemoryStaging implements Staging {
  readonly directory: string
  readonly #home: MemoryHome

  constructor(home: MemoryHome, directory: string) {
    this.#home = home
    this.directory = directory
  }

  get #scratch(): string {
    return join(tmpdir(), `memory-home-${process.pid}`, this.directory)
  }

  scratch(name: string): string {
    mkdirSync(this.#scratch, { recursive: true })
    return join(this.#scratch, name)
  }

  file(name: string): StagedFile {
    return new MemoryFile(this.#home, `${this.directory}/${name}`)
  }

  async sync(): Promise<void> {
    await this.#home.step('open', [this.directory], () =>
      requireStaging(this.#home, this.directory),
    )
  }

  async create(name: string, content: Iterable<string>, _label: CommitLabel): Promise<boolean> {
    const { store } = this.#home
    const bytes = Buffer.from([...content].join(''))
    const beside = `${this.directory}/${basename(name)}`
    await this.#home.step('open', [beside], () => {
      requireStaging(this.#home, this.directory)
      store.put(beside, bytes)
    })
    try {
      const isCreated = await this.#home.step('link', [beside, name], () => {
        if (!store.files.has(beside)) throw new StagingGone(beside, new Error('link: no such file'))
        return store.create(name, bytes)
      })
      await this.#home.remove([beside])
      return isCreated
    } catch (error) {
      throw error instanceof StagingGone ? error : new MayBeCreated(name, error)
    }
  }

  async remove(): Promise<void> {
    rmSync(this.#scratch, { recursive: true, force: true })
    await this.#home.removeStaging([this.directory])
  }
}

class MemoryFile implements StagedFile {
  readonly #home: MemoryHome
  readonly #name: string
  #isBegun = false

  constructor(home: MemoryHome, name: string) {
    this.#home = home
    this.#name = name
  }

  async append(bytes: Buffer | AsyncIterable<Buffer>): Promise<void> {
    const pieces: Buffer[] = []
    if (Buffer.isBuffer(bytes)) pieces.push(Buffer.from(bytes))
    else for await (const piece of bytes) pieces.push(Buffer.from(piece))
    const { store } = this.#home
    await this.#home.step('open', [this.#name], () => {
      requireStaging(this.#home, dirname(this.#name))
      const present = store.files.get(this.#name)?.bytes
      if (this.#isBegun && present === undefined)
        throw new StagingGone(this.#name, new Error('open: no such file'))
      if (!this.#isBegun && present !== undefined) throw new Error(`${this.#name} exists`)
      store.put(this.#name, Buffer.concat([present ?? Buffer.alloc(0), ...pieces]))
    })
    this.#isBegun = true
  }

  async complete({ bytes }: StagedFacts, last = Buffer.alloc(0)): Promise<StagedInDirectory> {
    await this.append(last)
    const size = this.#home.store.files.get(this.#name)?.bytes.length
    if (size !== bytes)
      throw new ArchiverError('ARCHIVE_UNUSABLE', `${this.#name} has ${size} bytes of ${bytes}`)
    return { staged: this.#name }
  }

  async remove(): Promise<void> {
    await this.#home.remove([this.#name])
  }
}

function requireStaging({ store }: MemoryHome, directory: string): void {
  if (store.directories.has(directory)) return
  throw new StagingGone(directory, new Error(`open: no such directory, ${directory}`))
}
