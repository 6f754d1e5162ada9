import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultCacheDir, settingsFile } from '../../stack/settings.ts'
import { until } from '../helpers/servers.ts'
import { startKibana } from '../helpers/stand-in-kibana.ts'
import { bare, commandsOf, type TourCommand } from '../helpers/tour.ts'

/**
 * Types what README.md tells its reader to type: every command, from its own text and in its order,
 * in a directory that has nothing but the files of this repository. Only the ports are others.
 */

const repository = fileURLToPath(new URL('../../', import.meta.url))
const readme = readFileSync(join(repository, 'README.md'), 'utf8')
const ports = { kafkaPort: 19_692, elasticsearchPort: 19_690 }

interface Way {
  /** Why it is not run. */
  readonly skip?: string
  /** What is typed instead of a command that is only named. */
  readonly as?: string
  /** Its output. */
  readonly says?: RegExp
  /** It runs until the section ends; `says` shows that it works. */
  readonly staysOn?: true
}

/** Every other command has to end with 0 and to print something. */
const ways: Readonly<Record<string, Way>> = {
  'npm run demo': { says: /Kafka, the files and Elasticsearch agree\./ },
  'npm test': { skip: 'takes ten minutes, and runs by itself before this' },
  'npm run stack -- status | down | up | wipe': {
    as: 'npm run stack -- status',
    says: /kafka[\s\S]+elasticsearch/,
  },
  "zcat ./archive/tour/type=object.one/dt=2019-08-01/hr=*/*.gz | jq -Rr 'fromjson? | .value.country' | sort | uniq -c | sort -rn | head -3":
    { says: /^( +\d+ [A-Z]{2}\n){3}$/ },
  "archiver run --topics-regex '^(events|orders)$' --archive-dir ./archive/tour --group tour --flush-interval 5":
    { staysOn: true, says: /archiving started/ },
  'npm run --silent producer -- --topic events': { staysOn: true, says: /events/ },
  'npm run --silent echo-consumer -- --topics events': { staysOn: true, says: /events\/\d@\d+/ },
  'kill -9': { skip: 'names no process; the chaos harness does it' },
  'npx archiver': { as: 'npx archiver --help', says: /--flush-interval/ },
  'npx tsx src/cmd/archiver.ts': { as: 'npx tsx src/cmd/archiver.ts --help', says: /--flush-/ },
  'archiver verify --archive-dir ./archive/tour': { says: /./ },
  'zcat ./archive/tour/type=object.one/dt=2019-08-01/hr=03/*.gz | head -1': { says: sample() },
  'archiver cat --archive-dir ./archive/tour --topic events --partition 0 --offset 231': {
    says: sample(),
  },
  'npm run chaos -- --seconds 120 --workers 3': {
    skip: 'test/soak/two-minutes.test.ts is such a run',
  },
}

/** The record that README shows, with what it leaves out. */
function sample(): RegExp {
  const [, line] = /```json\n(.+)\n```/.exec(readme)!
  return new RegExp(
    line!
      .split('…')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  )
}

/** A copy of the files of this repository, as they are now. The first command installs the rest. */
function cleanCheckout(): string {
  const directory = mkdtempSync(join(tmpdir(), 'archiver-readme-'))
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: repository,
      encoding: 'utf8',
    },
  )
  for (const path of listed.split('\0').filter((name) => name !== '' && name !== 'node_modules')) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    cpSync(join(repository, path), join(directory, path))
  }
  return directory
}

/** A shell in that directory, without what npm put into this one's environment. */
class Shell {
  readonly #directory: string
  readonly #environment: NodeJS.ProcessEnv
  readonly #servers: Readonly<Record<string, string>>
  /** The `export` lines so far. */
  readonly #exports: string[] = []
  readonly #running: ChildProcess[] = []

  /** `servers`: the variables that name them, instead of the default ports. */
  constructor(directory: string, servers: Readonly<Record<string, string>>) {
    this.#directory = directory
    this.#servers = servers
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(npm_|INIT_CWD$|NODE_|ARCHIVER_)/.test(name),
    )
    this.#environment = { ...Object.fromEntries(kept), npm_config_prefer_offline: 'true' }
  }

  export(line: string): void {
    this.#exports.push(line)
  }

  start(text: string): { child: ChildProcess; output: () => string; ended: Promise<number> } {
    // What starts the servers finds their ports in its folder.
    const servers = /^npm run (--silent )?(demo|stack)\b/.test(text) ? {} : this.#servers
    const child = spawn('bash', ['-c', [...this.#exports, text].join('\n')], {
      cwd: this.#directory,
      env: { ...this.#environment, ...servers },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (words: string) => {
        output += words
      })
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve(signal === null ? code! : 1))
    })
    return { child, output: () => output, ended }
  }

  async stay(text: string, says: RegExp): Promise<void> {
    const { child, output } = this.start(text)
    this.#running.push(child)
    await until(`${text} says ${says}`, () => says.test(output()), 60_000)
  }

  /** Ends what stays on, and waits until it is gone. */
  async end(): Promise<void> {
    const running = this.#running.splice(0)
    for (const { pid } of running) process.kill(-pid!, 'SIGTERM')
    await until('all have ended', () =>
      running.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null),
    )
  }
}

test('every command of the README runs', { timeout: 900_000 }, async (t) => {
  const commands = commandsOf(readme)
  const known = new Set(commands.map(({ text }) => bare(text)))
  assert.deepEqual(
    Object.keys(ways).filter((text) => !known.has(text)),
    [],
    'the list names what the README has',
  )

  const directory = cleanCheckout()
  const stackDirectory = join(directory, '.stack')
  mkdirSync(stackDirectory)
  mkdirSync(defaultCacheDir, { recursive: true })
  symlinkSync(defaultCacheDir, join(stackDirectory, 'cache'))
  await writeFile(settingsFile(stackDirectory), JSON.stringify(ports))
  const kibana = await startKibana(t)
  const shell = new Shell(directory, {
    ARCHIVER_BROKERS: `127.0.0.1:${ports.kafkaPort}`,
    ARCHIVER_ELASTICSEARCH: `http://127.0.0.1:${ports.elasticsearchPort}`,
  })
  t.after(async () => {
    await shell.end()
    await shell.start('npm run --silent stack -- down').ended
    rmSync(directory, { recursive: true, force: true })
  })
  const here = (text: string) =>
    text
      .replaceAll('127.0.0.1:9200', `127.0.0.1:${ports.elasticsearchPort}`)
      .replaceAll('http://127.0.0.1:5601', kibana.url)

  const run = async ({ line, text, section }: TourCommand) => {
    const { skip, as = text, says = /\S/, staysOn }: Way = ways[bare(text)] ?? {}
    if (skip !== undefined) return t.diagnostic(`README.md:${line}: not run: ${skip}`)
    if (as.startsWith('export ')) return shell.export(as)
    if (staysOn) return await shell.stay(here(as), says)
    // A reader takes longer than an index to refresh.
    if (as.startsWith('curl '))
      await fetch(`http://127.0.0.1:${ports.elasticsearchPort}/_refresh`, { method: 'POST' })
    const { output, ended } = shell.start(here(as))
    const code = await ended
    const where = `README.md:${line} (${section}): ${text}\n${output()}`
    assert.equal(code, 0, where)
    assert.match(output(), says, where)
    assert.doesNotMatch(output(), /command not found|No such file/, where)
    if (as.startsWith('curl ')) {
      const { hits } = JSON.parse(/\{[\s\S]+/.exec(output())![0]) as {
        hits: { total: { value: number } }
      }
      assert.ok(hits.total.value > 0, where)
    }
  }

  let section = ''
  for (const command of commands) {
    if (command.section !== section) await shell.end()
    section = command.section
    await run(command)
  }
})
