import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { runOptions } from '../../src/config.ts'
import { flagName, readOptions, variableName } from '../../src/options.ts'
import { kafkaVersion } from '../../stack/fetch.ts'
import { elasticsearchVersions } from '../../stack/settings.ts'

/** What is deployed says nothing that this program does not know, and gives it the time that it needs. */

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

interface ComposeFile {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image: string
        readonly command?: readonly string[]
        readonly environment?: Readonly<Record<string, string>>
        readonly stop_grace_period?: string
      }
    >
  >
}

const compose = ['docker-compose.yml', 'docker-compose.override.yml'].map(
  (path) => parse(read(path), { merge: true }) as ComposeFile,
)
const services = new Map(compose.flatMap(({ services }) => Object.entries(services)))
const kubernetes = ['volume', 'configuration', 'deployment'].flatMap((name) =>
  parseAllDocuments(read(`deploy/kubernetes/${name}.yaml`)).map((document) => document.toJS() as Manifest),
)
const unit = read('deploy/systemd/archiver.service')
const shutdownTimeout = runOptions.shutdownTimeout.defaultValue
const runVariables = new Set(Object.keys(runOptions).map(variableName))

interface Manifest {
  readonly kind: string
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: { readonly template?: { readonly spec: PodSpec } }
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number
  readonly containers: readonly {
    readonly args: readonly string[]
    readonly env: readonly { readonly name: string }[]
    readonly ports: readonly { readonly containerPort: number }[]
  }[]
}

function podOf(manifests: readonly Manifest[]): PodSpec {
  return manifests.find(({ kind }) => kind === 'Deployment')!.spec!.template!.spec
}

it('gives a worker longer to stop than its last flush may take', () => {
  const grace = Number(/^(\d+)s$/.exec(services.get('archiver')!.stop_grace_period!)![1])
  const systemd = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])
  for (const seconds of [grace, systemd, podOf(kubernetes).terminationGracePeriodSeconds]) {
    assert.ok(seconds > shutdownTimeout, `${seconds} s`)
  }
})

it('configures workers with options that there are', () => {
  const { environment, command } = services.get('archiver')!
  readOptions(runOptions, { argv: command!.slice(1), env: environment! })
  const [container] = podOf(kubernetes).containers
  for (const name of [...Object.keys(environment!), ...container!.env.map(({ name }) => name)]) {
    assert.ok(runVariables.has(name), name)
  }
  const [, assigned] = /^Environment=(.+)$/m.exec(unit)!
  for (const [, name] of assigned!.matchAll(/(ARCHIVER_\w+)=/g)) assert.ok(runVariables.has(name!), name)
})

it('has only known keys in the configuration for Kubernetes, and its values are allowed', () => {
  const file = kubernetes.find(({ kind }) => kind === 'ConfigMap')!.data!['archiver.yaml']!
  const values = parse(file) as Record<string, unknown>
  const flags = new Set(Object.keys(runOptions).map(flagName))
  assert.deepEqual(
    Object.keys(values).filter((name) => !flags.has(name)),
    [],
  )
  const argv = Object.entries(values).map(([name, value]) => `--${name}=${String(value)}`)
  const options = readOptions(runOptions, { argv, env: {} })
  const pod = podOf(kubernetes)
  assert.ok(options.shutdownTimeout < pod.terminationGracePeriodSeconds)
  assert.deepEqual(
    pod.containers[0]!.ports.map(({ containerPort }) => containerPort),
    [options.http!.port],
  )
})

it('runs the versions that are tested here', () => {
  const images = [...services.values()].map(({ image }) => image)
  for (const image of images) assert.match(image, /^archiver:(local|dev)$|:\d+\.\d+\.\d+$/)
  const versionsOf = (name: string) =>
    new Set(images.filter((image) => image.includes(`/${name}:`)).map((image) => image.replace(/^.*:/, '')))
  assert.deepEqual(versionsOf('kafka'), new Set([kafkaVersion()]))
  assert.deepEqual(versionsOf('elasticsearch'), new Set([elasticsearchVersions[0]]))
  assert.deepEqual(versionsOf('kibana'), versionsOf('elasticsearch'))

  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } }
  const nodes = [...read('Dockerfile').matchAll(/^FROM node:([\d.]+)-/gm)].map(([, version]) => version)
  assert.deepEqual(new Set(nodes), new Set([devDependencies.node]))
})

it('lets workers be multiplied: none has a name or a published port of its own', () => {
  const archiver = services.get('archiver')!
  assert.equal('container_name' in archiver || 'ports' in archiver, false)
})
