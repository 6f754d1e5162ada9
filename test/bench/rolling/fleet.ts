import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { type RunningChild, startNode } from '../child.ts'
import type { Archive, Context, Program } from '../context.ts'
import { resolutionMs, type Window, type Write } from './silence.ts'

export const flushSeconds = 10
const pollMs = 200
/**
 * A group is at rest when all workers have joined and, for this time, nobody has joined and each
 * partition was written every second.
 */
const restMs = 2000
const maxUnrestMs = 90_000

const hook = fileURLToPath(new URL('hook.ts', import.meta.url))

interface Life {
  readonly child: RunningChild
  readonly slot: number
  readonly life: number
  readonly writesFile: string
  read: number
  hasEnded: boolean
}

/** Workers of one program, one group and one archive. */
export class Fleet {
  readonly #context: Context
  readonly #program: Program
  readonly #isStatic: boolean
  readonly #pattern: string
  readonly archive: Archive
  readonly #lives: Life[] = []
  readonly writes: Write[] = []

  constructor(context: Context, program: Program, isStatic: boolean, pattern: string) {
    this.#context = context
    this.#program = program
    this.#isStatic = isStatic
    this.#pattern = pattern
    this.archive = context.archive('rolling')
  }

  async start(slot: number): Promise<void> {
    const { brokers } = this.#context.servers
    const { archive } = this
    const directory = `${archive.directory}-writes`
    await mkdir(directory, { recursive: true })
    const life = this.#lives.filter((one) => one.slot === slot).length
    const writesFile = join(directory, `${slot}-${life}`)
    const words = ['run', '--brokers', brokers, '--topics-regex', this.#pattern]
    words.push('--group', archive.group, '--archive-dir', archive.directory, '--no-elasticsearch')
    words.push('--flush-interval', String(flushSeconds), '--compact-after', '0')
    words.push('--topics-refresh', '5')
    if (this.#isStatic) words.push('--group-instance-id', `${archive.group}-${slot}`)
    const child = await startNode(
      join(this.#program.root, 'src/cmd/archiver.ts'),
      [...words, ...this.#context.options.workerOptions],
      {
        cwd: this.#program.root,
        imports: [hook],
        env: { BENCH_WRITES_FILE: writesFile, BENCH_ROOT: this.#program.root },
      },
    )
    this.#lives.push({ child, slot, life, writesFile, read: 0, hasEnded: false })
  }

  #current(slot: number): Life {
    return this.#lives.findLast((one) => one.slot === slot)!
  }

  /** Stops a worker as a deployment does, and waits until it has ended. */
  async stop(slot: number): Promise<void> {
    const life = this.#current(slot)
    life.hasEnded = true
    life.child.kill('SIGTERM')
    await life.child.ended
  }

  async kill(slot: number): Promise<void> {
    const life = this.#current(slot)
    life.hasEnded = true
    life.child.kill('SIGKILL')
    await life.child.ended.catch(() => {})
  }

  /** Those that run leave the group, so that it can be deleted. */
  async stopAll(): Promise<void> {
    const slots = [...new Set(this.#lives.map(({ slot }) => slot))]
    await Promise.all(
      slots.map(async (slot) => {
        this.#current(slot).child.kill('SIGTERM')
        await this.#current(slot).child.ended.catch(() => {})
      }),
    )
  }

  /** The log of every process, for an error. */
  get logs(): string {
    return this.#lives
      .map(({ slot, life, child }) => `worker ${slot}, process ${life}:\n${child.output()}`)
      .join('\n')
  }

  /** How often each process joined the group in a window: the most of all. */
  joinsIn({ from, to }: Window): number {
    const joins = this.#lives.map(
      (life) => joinsOf(life).filter((at) => at >= from && at <= to).length,
    )
    return Math.max(0, ...joins)
  }

  /** When the last process joined; undefined while one that runs never has. */
  get #lastJoin(): number | undefined {
    const running = this.#lives.filter(({ hasEnded }) => !hasEnded).map(joinsOf)
    return running.every(({ length }) => length > 0) ? Math.max(...running.flat()) : undefined
  }

  /** When each partition was flushed, in ms since 1970, in order. */
  async flushTimes(): Promise<readonly (readonly number[])[]> {
    const root = join(this.archive.directory, '_manifests')
    const times = new Map<string, number[]>()
    for (const name of await readdir(root, { recursive: true })) {
      if (!/\/\d{20}\.json$/.test(name)) continue
      const partition = dirname(name)
      const ofPartition = times.get(partition) ?? []
      ofPartition.push((await stat(join(root, name))).mtimeMs)
      times.set(partition, ofPartition)
    }
    return [...times.values()].map((all) => all.toSorted((a, b) => a - b))
  }

  /** Reads what the workers have noted since the last time. */
  readWrites(): void {
    const news: Write[] = []
    for (const one of this.#lives) {
      for (const line of linesOf(one)) {
        const [at, partition] = line.split(' ')
        news.push({ at: Number(at), partition: partition!, slot: one.slot, life: one.life })
      }
    }
    this.writes.push(...news)
    this.writes.sort((a, b) => a.at - b.at)
  }

  /** Waits until all partitions are written, and have been for a while. */
  async atRest(partitions: number): Promise<void> {
    const deadline = Date.now() + maxUnrestMs
    let since: number | undefined
    for (;;) {
      await sleep(pollMs)
      this.readWrites()
      const now = Date.now()
      const written = new Set<string>()
      for (let i = this.writes.length - 1; i >= 0; i--) {
        const { at, partition } = this.writes[i]!
        if (at < now - 2 * resolutionMs) break
        written.add(partition)
      }
      const lastJoin = this.#lastJoin
      const isJoining = lastJoin === undefined || now - lastJoin < restMs
      if (isJoining || written.size < partitions) since = undefined
      else since ??= now
      if (since !== undefined && now - since >= restMs) return
      if (now > deadline) {
        throw new ArchiverError(
          'INTERNAL',
          `${written.size} of ${partitions} partitions are read after ${maxUnrestMs / 1000} s\n${this.logs.slice(-5000)}`,
        )
      }
    }
  }
}

/** When a process joined the group, in ms since 1970. */
function joinsOf({ child }: Life): readonly number[] {
  return child
    .output()
    .split('\n')
    .filter((line) => line.includes('"event":"group_joined"'))
    .map((line) => Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? ''))
}

/** The lines that a file has got since it was read last. */
function linesOf(life: Life): readonly string[] {
  if (!existsSync(life.writesFile)) return []
  const { size } = statSync(life.writesFile)
  const bytes = Buffer.alloc(size - life.read)
  const file = openSync(life.writesFile, 'r')
  try {
    readSync(file, bytes, 0, bytes.length, life.read)
  } finally {
    closeSync(file)
  }
  const end = bytes.lastIndexOf(10) + 1
  life.read += end
  return end === 0 ? [] : bytes.toString('utf8', 0, end - 1).split('\n')
}
