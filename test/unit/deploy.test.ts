import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { runSet } from '../../src/config/commands/run.ts'
import { flagName, readOptions, variableName } from '../../src/config/options.ts'
import { metrics } from '../../src/monitor/metrics-table.ts'
import { kafkaVersion } from '../../stack/fetch.ts'
import { elasticsearchVersions } from '../../stack/settings.ts'
import { temporaryDirectory } from '../helpers/servers.ts'
import { versitygwVersion } from '../helpers/versitygw.ts'

/**
 * What is deployed says nothing that this program does not know, and gives it the time that it
 * needs.
 */

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

interface ComposeFile {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image: string
        readonly command?: readonly string[]
        readonly environment?: Readonly<Record<string, string>>
        readonly stop_grace_period?: string
        readonly profiles?: readonly string[]
        readonly volumes?: readonly string[]
      }
    >
  >
}

const compose = ['docker-compose.yml', 'docker-compose.override.yml'].map(
  (path) => parse(read(path), { merge: true }) as ComposeFile,
)
const services = new Map(compose.flatMap(({ services }) => Object.entries(services)))
const bucketDirectory = 'deploy/kubernetes'
const volumeDirectory = 'deploy/kubernetes-shared-volume'
const kustomization = (directory: string) =>
  parse(read(`${directory}/kustomization.yaml`)) as {
    readonly resources: readonly string[]
    readonly patches?: readonly { readonly path: string }[]
  }
const manifestsOf = (path: string) =>
  parseAllDocuments(read(path)).map((document) => document.toJS() as Manifest)
const kubernetes = kustomization(bucketDirectory).resources.flatMap((file) =>
  manifestsOf(`${bucketDirectory}/${file}`),
)
/** What the workers with a shared volume have in place of a bucket. */
const volumePatch = podOf(manifestsOf(`${volumeDirectory}/statefulset.yaml`))
const unit = read('deploy/systemd/archiver.service')
const runOptions = runSet.options
const shutdownTimeout = runOptions.shutdownTimeout.defaultValue
const runVariables = new Set(Object.keys(runOptions).map(variableName))

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: {
    readonly serviceName?: string
    readonly podManagementPolicy?: string
    readonly template?: { readonly spec: PodSpec }
  }
}

interface ScaledBy {
  readonly spec: {
    readonly scaleTargetRef: { readonly kind: string; readonly name: string }
    readonly minReplicaCount?: number
    readonly minReplicas?: number
    readonly triggers?: readonly { readonly metadata: { readonly query: string } }[]
    readonly metrics?: readonly { readonly external: { readonly metric: object } }[]
    readonly behavior?: object
    readonly advanced?: { readonly horizontalPodAutoscalerConfig: { readonly behavior: object } }
  }
}

/** Of a patch: what it takes away. */
interface Removable {
  readonly $patch?: 'delete'
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number
  readonly serviceAccountName: string
  readonly containers: readonly {
    readonly image: string
    readonly args: readonly string[]
    readonly command?: readonly string[]
    readonly env?: readonly (Removable & {
      readonly name: string
      readonly value?: string
      readonly valueFrom?: object
    })[]
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
    readonly volumeMounts: readonly (Removable & {
      readonly name: string
      readonly mountPath: string
    })[]
  }[]
  readonly volumes: readonly (Removable & {
    readonly name: string
    readonly secret?: { readonly secretName: string }
    readonly emptyDir?: { readonly sizeLimit?: string }
    readonly persistentVolumeClaim?: { readonly claimName: string }
  })[]
}

function podOf(manifests: readonly Manifest[]): PodSpec {
  return manifests.find(({ kind }) => kind === 'StatefulSet')!.spec!.template!.spec
}

/** Variables with values of their own. */
function environmentOf({ containers }: PodSpec): Record<string, string> {
  const env = containers[0]!.env ?? []
  return Object.fromEntries(
    env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
  )
}

it('keeps the archive of the manifests in a bucket, and what waits for it on limited scratch', () => {
  const set = kubernetes.find(({ kind }) => kind === 'StatefulSet')!
  assert.equal(set.spec?.podManagementPolicy, 'Parallel')
  const named = (wanted: string, name: string | undefined) =>
    kubernetes.some(({ kind, metadata }) => kind === wanted && metadata.name === name)
  assert.ok(named('Service', set.spec.serviceName))
  const pod = podOf(kubernetes)
  assert.ok(named('ServiceAccount', pod.serviceAccountName))
  const ofPod = pod.containers[0]!.env!.filter(({ valueFrom }) => valueFrom !== undefined)
  assert.deepEqual(ofPod, [
    {
      name: 'ARCHIVER_GROUP_INSTANCE_ID',
      valueFrom: { fieldRef: { fieldPath: 'metadata.name' } },
    },
  ])
  const { ARCHIVER_ARCHIVE_DIR: place, ARCHIVER_SCRATCH_DIR: scratch } = environmentOf(pod)
  assert.match(place!, /^s3:/)
  const { name } = pod.containers[0]!.volumeMounts.find(({ mountPath }) => mountPath === scratch)!
  assert.match(pod.volumes.find((volume) => volume.name === name)!.emptyDir!.sizeLimit!, /Gi$/)
  assert.ok(pod.volumes.every(({ persistentVolumeClaim }) => persistentVolumeClaim === undefined))
})

it('keeps a variant with a shared volume, which takes away only what there is', () => {
  const { resources, patches } = kustomization(volumeDirectory)
  assert.deepEqual([resources[0], patches], ['../kubernetes', [{ path: 'statefulset.yaml' }]])
  const [claim] = manifestsOf(`${volumeDirectory}/${resources[1]}`)
  const base = podOf(kubernetes)
  const [container] = volumePatch.containers
  const removed = <T extends Removable>(all: readonly T[] = []) =>
    all.filter(({ $patch }) => $patch !== undefined)
  for (const { name } of removed(volumePatch.volumes))
    assert.ok(
      base.volumes.some((volume) => volume.name === name),
      name,
    )
  for (const { mountPath } of removed(container!.volumeMounts))
    assert.ok(base.containers[0]!.volumeMounts.some((mount) => mount.mountPath === mountPath))
  for (const { name } of removed(container!.env)) assert.ok(name in environmentOf(base), name)
  const added = volumePatch.volumes.find(({ persistentVolumeClaim }) => persistentVolumeClaim)!
  assert.equal(added.persistentVolumeClaim!.claimName, claim!.metadata.name)
  assert.deepEqual(
    container!.volumeMounts.filter(({ name }) => name === added.name).map((m) => m.mountPath),
    [environmentOf(volumePatch).ARCHIVER_ARCHIVE_DIR],
  )
})

it('scales the StatefulSet by a metric that there is, and never to none', () => {
  const [keda, hpa] = ['keda', 'hpa'].map(
    (name) => parse(read(`deploy/autoscaling/${name}.yaml`)) as ScaledBy,
  )
  const { data } = kubernetes.find(({ kind }) => kind === 'ConfigMap')!
  const { group } = parse(data!['archiver.yaml']!) as { readonly group: string }
  const metric = metrics.find(({ name }) => name === 'archiver_group_lag')!
  assert.deepEqual(metric.labels, ['group'])
  assert.ok(keda!.spec.triggers![0]!.metadata.query.includes(`${metric.name}{group="${group}"}`))
  const { external } = hpa!.spec.metrics![0]!
  assert.deepEqual(external.metric, { name: metric.name, selector: { matchLabels: { group } } })
  for (const { spec } of [keda!, hpa!]) {
    assert.deepEqual(
      { kind: spec.scaleTargetRef.kind, name: spec.scaleTargetRef.name },
      { kind: 'StatefulSet', name: 'archiver' },
    )
    assert.ok((spec.minReplicaCount ?? spec.minReplicas)! > 0)
  }
  assert.deepEqual(keda!.spec.advanced!.horizontalPodAutoscalerConfig.behavior, hpa!.spec.behavior)
})

it('gives a worker longer to stop than its last flush may take', () => {
  const grace = Number(/^(\d+)s$/.exec(services.get('archiver')!.stop_grace_period!)![1])
  const systemd = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])
  for (const seconds of [grace, systemd, podOf(kubernetes).terminationGracePeriodSeconds]) {
    assert.ok(seconds > shutdownTimeout, `${seconds} s`)
  }
})

it('configures workers with options that there are', () => {
  for (const worker of ['archiver', 'bucket-archiver']) {
    const { environment, command } = services.get(worker)!
    readOptions(runOptions, { argv: command!.slice(1), env: environment! })
  }
  const { environment } = services.get('archiver')!
  const [container] = podOf(kubernetes).containers
  for (const name of [
    ...Object.keys(environment!),
    ...(container!.env ?? []).map(({ name }) => name),
  ]) {
    assert.ok(runVariables.has(name), name)
  }
  const assigned = [...unit.matchAll(/^Environment=(.+)$/gm)].map(([, words]) => words).join('\n')
  const names = [...assigned.matchAll(/(ARCHIVER_\w+)=/g)].map(([, name]) => name!)
  assert.ok(names.length > 0)
  for (const name of names) assert.ok(runVariables.has(name), name)
})

it('lets the worker with a bucket into the store, as a group of its own', () => {
  const [worker, other, store] = ['bucket-archiver', 'archiver', 's3'].map(
    (name) => services.get(name)!.environment!,
  )
  const options = readOptions(runOptions, { argv: [], env: worker! })
  const { archiveDir } = options
  assert.ok(typeof archiveDir !== 'string')
  assert.equal(new URL(options.s3Endpoint!).hostname, 's3')
  assert.equal(worker!.AWS_ACCESS_KEY_ID, store!.ROOT_ACCESS_KEY)
  assert.equal(worker!.AWS_SECRET_ACCESS_KEY, store!.ROOT_SECRET_KEY)
  assert.ok(
    services.get('s3')!.volumes!.some((v) => v.endsWith(`/${archiveDir.bucket}`)),
    'a bucket is a directory below that of the store',
  )
  // Two archives of one group would each have a part.
  assert.notEqual(options.group, readOptions(runOptions, { argv: [], env: other! }).group)
  for (const name of ['s3', 'bucket-archiver'])
    assert.deepEqual(services.get(name)!.profiles, ['s3'])
})

it('gives workers their secrets as files, never in an environment', () => {
  const isSecret = (name: string) => /(PASSWORD|SECRET|TOKEN|KEY)$/.test(name)
  const pod = podOf(kubernetes)
  for (const { env = [] } of pod.containers)
    assert.deepEqual(env.map(({ name }) => name).filter(isSecret), [])
  assert.doesNotMatch(unit, /^Environment=ARCHIVER_\w*(PASSWORD|SECRET|TOKEN|KEY)=/m)
  assert.doesNotMatch(unit, /^EnvironmentFile=/m)
  const credentials = [...unit.matchAll(/^LoadCredential=([^:]+):/gm)].map(([, name]) => name!)
  const files = [...unit.matchAll(/^Environment=ARCHIVER_\w+_FILE=%d\/(\S+)$/gm)].map(
    ([, name]) => name!,
  )
  assert.deepEqual(files, credentials)
  const mounted = pod.containers[0]!.volumeMounts.filter(({ name }) =>
    pod.volumes.some((volume) => volume.name === name && volume.secret !== undefined),
  )
  const values = parse(
    kubernetes.find(({ kind }) => kind === 'ConfigMap')!.data!['archiver.yaml']!,
  ) as object
  const named = Object.values(values).filter((value) =>
    mounted.some((m) => String(value).startsWith(`${m.mountPath}/`)),
  )
  assert.equal(named.length, mounted.length, 'an option for each secret that is mounted')
})

it('lets only the namespace of Prometheus reach a worker', () => {
  const policy = kubernetes.find(({ kind }) => kind === 'NetworkPolicy') as unknown as {
    readonly spec: {
      readonly podSelector: { readonly matchLabels: object }
      readonly policyTypes: readonly string[]
      readonly ingress: readonly {
        readonly from?: readonly object[]
        readonly ports: readonly { port: string }[]
      }[]
    }
  }
  assert.deepEqual(policy.spec.policyTypes, ['Ingress', 'Egress'])
  assert.deepEqual(policy.spec.podSelector.matchLabels, { 'app.kubernetes.io/name': 'archiver' })
  const ports = podOf(kubernetes).containers[0]!.ports.map(({ name }) => name)
  for (const { from = [], ports: open } of policy.spec.ingress) {
    assert.ok(from.length > 0, 'an ingress without `from` lets everybody in')
    for (const { port } of open) assert.ok(ports.includes(port), port)
  }
})

it('names third parties by digest, and every package of the lock by its integrity', () => {
  const foreign = [...services.values()]
    .map(({ image }) => image)
    .filter((image) => !image.startsWith('archiver:'))
  const bases = [...read('Dockerfile').matchAll(/^FROM (\S+:\S+)/gm)].map(([, image]) => image!)
  assert.ok(foreign.length >= 4 && bases.length >= 2)
  for (const image of [...foreign, ...bases]) assert.match(image, /:[\w.-]+@sha256:[0-9a-f]{64}$/)
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { integrity?: string }>
  }
  const bare = Object.entries(packages).filter(
    ([path, { integrity }]) => path !== '' && integrity === undefined,
  )
  assert.deepEqual(bare, [])
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
  const pod = podOf(kubernetes)
  const options = readOptions(runOptions, { argv, env: environmentOf(pod) })
  const withVolume = { ...environmentOf(pod), ...environmentOf(volumePatch) }
  for (const { name, $patch } of volumePatch.containers[0]!.env!)
    if ($patch !== undefined) delete withVolume[name]
  assert.equal(readOptions(runOptions, { argv, env: withVolume }).archiveDir, '/archive')
  assert.ok(options.shutdownTimeout < pod.terminationGracePeriodSeconds)
  assert.deepEqual(
    pod.containers[0]!.ports.map(({ containerPort }) => containerPort),
    [options.http!.port],
  )
})

it('runs the versions that are tested here', () => {
  const images = [...services.values()].map(({ image }) => image)
  for (const image of images) assert.match(image, /^archiver:dev$|:v?\d+\.\d+\.\d+(@|$)/)
  const versionsOf = (name: string) =>
    new Set(
      images
        .filter((image) => image.includes(`/${name}:`))
        .map((image) => /:(v?[\d.]+)(@|$)/.exec(image)![1]),
    )
  assert.deepEqual(versionsOf('kafka'), new Set([kafkaVersion()]))
  assert.deepEqual(versionsOf('elasticsearch'), new Set([elasticsearchVersions[0]]))
  assert.deepEqual(versionsOf('kibana'), versionsOf('elasticsearch'))
  assert.deepEqual(versionsOf('versitygw'), new Set([versitygwVersion]))

  const { devDependencies } = JSON.parse(read('package.json')) as {
    devDependencies: { node: string }
  }
  const nodes = [...read('Dockerfile').matchAll(/^FROM node:([\d.]+)-/gm)].map(
    ([, version]) => version,
  )
  assert.deepEqual(new Set(nodes), new Set([devDependencies.node]))
})

it('names the image of this version everywhere, and what has to be there before it runs', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  const own = [...services.values(), ...podOf(kubernetes).containers].map(({ image }) => image)
  assert.deepEqual(
    new Set(own.filter((image) => image.startsWith('archiver:'))),
    new Set([`archiver:${version}`, 'archiver:dev']),
  )
  const page = read('docs/getting-started.md')
  const needed = [...read('deploy/kubernetes/statefulset.yaml').matchAll(/secretName: (\S+)/g)]
  assert.equal(needed.length, 2)
  for (const [, name] of needed) assert.ok(page.includes(`kubectl create secret generic ${name} `))
  assert.ok(page.includes(`/archiver:${version} `))
})

it('is checked by the validators that are there, and says which are not', async (t) => {
  const bin = await temporaryDirectory(t)
  const check = () => {
    const path = fileURLToPath(new URL('../../deploy/check.ts', import.meta.url))
    return spawnSync(process.execPath, [path], {
      encoding: 'utf8',
      env: { PATH: bin },
    })
  }
  const none = check()
  assert.equal(none.status, 1, none.stdout)
  assert.match(none.stdout, /^NOT RUN {2}hadolint: hadolint is not on this machine$/m)
  assert.match(none.stdout, /^0 of 10 checks ran/m)
  const fake = (name: string, script: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  fake('hadolint', 'exit 0')
  fake('docker-compose', 'exit 0')
  const good = check()
  assert.equal(good.status, 0, good.stdout)
  assert.match(good.stdout, /^ok {7}hadolint$/m)
  assert.match(good.stdout, /^3 of 10 checks ran, 0 objected$/m)
  fake('kubeconform', '[ "$1" = -v ] || { echo replicas is no number; exit 1; }')
  const bad = check()
  assert.equal(bad.status, 1, bad.stdout)
  assert.match(bad.stdout, /^BAD {6}kubeconform\nreplicas is no number$/m)
})

it('lets workers be multiplied: none has a name or a published port of its own', () => {
  const archiver = services.get('archiver')!
  assert.equal('container_name' in archiver || 'ports' in archiver, false)
})

it('starts Node so that no signal opens its debugger', () => {
  assert.match(read('Dockerfile'), /^ENTRYPOINT \[.*"node", "--disable-sigusr1", /m)
  assert.match(unit, /^ExecStart=\S+node --disable-sigusr1 /m)
  for (const { command } of podOf(kubernetes).containers)
    assert.equal(command, undefined, 'the image knows how')
})

it('starts programs that the build makes', () => {
  const named = ['docker-compose.yml', 'docker-compose.override.yml', 'Dockerfile', 'package.json']
    .flatMap((path) => [...read(path).matchAll(/\bdist\/([\w/-]+)\.js\b/g)])
    .map(([, program]) => program!)
  assert.ok(named.length >= 4, String(named))
  assert.deepEqual(
    named.filter((program) => !existsSync(new URL(`../../src/${program}.ts`, import.meta.url))),
    [],
  )
})
