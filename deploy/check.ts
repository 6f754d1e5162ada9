import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { runProgram } from '../src/cmd/lib/program.ts'
import { describeOptions, own, readOptions, text } from '../src/config/options.ts'
import { ArchiverError, messageOf } from '../src/runtime/errors.ts'

/**
 * `npm run check:deploy` runs other projects' validators over the files that deploy this program.
 * It names a validator that is not on this machine, so that nobody takes silence for consent.
 * `npm test` needs none of them.
 */

const options = {
  composeSchema: text({
    placeholder: '<file>',
    explanation:
      'The schema of the Compose specification (schema/compose-spec.json of compose-spec/compose-spec).',
  }),
  kedaDefinition: text({
    placeholder: '<file>',
    explanation:
      'The definition of ScaledObject (config/crd/bases/keda.sh_scaledobjects.yaml of kedacore/keda).',
  }),
  kubernetesSchemas: text({
    placeholder: '<location>',
    explanation:
      'Where kubeconform finds schemas, as its -schema-location; from the network where it is not given.',
  }),
}

const help = `check:deploy: asks those validators of the Compose files, the Dockerfile, the Kubernetes manifests and the systemd unit
that are on this machine. Exit code 1 where one objects, or none is there.

${describeOptions(own(options))}`

const root = fileURLToPath(new URL('..', import.meta.url))
const base = ['--file', 'docker-compose.yml']
const both = [...base, '--file', 'docker-compose.override.yml']

/** What a validator objected to, if anything; or why it did not run. */
type Verdict = { readonly objection: string | undefined } | { readonly notRun: string }

interface Check {
  readonly name: string
  readonly run: () => Verdict
}

/** The first command of several that answers to `probe`. */
function program(
  ways: readonly (readonly string[])[],
  probe: string,
  argv: readonly string[],
): Verdict {
  const answers = ([command, ...words]: readonly string[], more: readonly string[]) =>
    spawnSync(command!, [...words, ...more], { cwd: root, encoding: 'utf8' })
  const way = ways.find((words) => answers(words, [probe]).status === 0)
  if (way === undefined)
    return { notRun: `${ways.map((words) => words.join(' ')).join(' or ')} is not on this machine` }
  const { status, stdout, stderr } = answers(way, argv)
  return { objection: status === 0 ? undefined : `${stdout}${stderr}`.trim() }
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ArchiverError('USAGE', `${flag} ${file} cannot be read: ${messageOf(error)}`)
  }
}

function composeSchema(file: string | undefined, path: string): Verdict {
  if (file === undefined) return { notRun: '--compose-schema is not given' }
  const schema = JSON.parse(readText('--compose-schema', file)) as Record<string, unknown>
  // Ajv spells the name of the draft differently.
  const { $schema: _, ...rest } = schema
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false })
  const isValid = ajv.validate(
    rest,
    parse(readFileSync(`${root}/${path}`, 'utf8'), { merge: true }),
  )
  return { objection: isValid ? undefined : ajv.errorsText() }
}

/** A custom resource against the schema in its definition, which knows all fields. */
function customResource(definition: string | undefined, path: string): Verdict {
  if (definition === undefined) return { notRun: '--keda-definition is not given' }
  const { spec } = parse(readText('--keda-definition', definition)) as Definition
  const resource = parse(readFileSync(`${root}/${path}`, 'utf8')) as { readonly apiVersion: string }
  const version = spec.versions.find(({ name }) => resource.apiVersion === `${spec.group}/${name}`)
  if (version === undefined) return { objection: `no version ${resource.apiVersion} is defined` }
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false })
  const schema = closed(version.schema.openAPIV3Schema) as object
  return { objection: ajv.validate(schema, resource) ? undefined : ajv.errorsText() }
}

interface Definition {
  readonly spec: {
    readonly group: string
    readonly versions: readonly {
      readonly name: string
      readonly schema: { readonly openAPIV3Schema: unknown }
    }[]
  }
}

/** A schema that refuses fields that it does not have, below `spec`. The server drops them. */
function closed(schema: unknown, isTop = true): unknown {
  if (Array.isArray(schema)) return schema.map((item) => closed(item, false))
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]) => [key, closed(value, false)])
  const isOpen = isTop || !('properties' in schema) || 'additionalProperties' in schema
  return {
    ...(Object.fromEntries(entries) as object),
    ...(isOpen ? {} : { additionalProperties: false }),
  }
}

const compose = [['docker', 'compose'], ['docker-compose']]
const kustomize = [
  ['kubectl', 'kustomize'],
  ['kustomize', 'build'],
]
const config = ['--profile', '*', 'config', '--quiet']

await runProgram({
  help,
  main: async (argv) => {
    const values = readOptions(options, { argv, env: process.env })
    const schemas =
      values.kubernetesSchemas === undefined ? [] : ['-schema-location', values.kubernetesSchemas]
    const checks: readonly Check[] = [
      ...['docker-compose.yml', 'docker-compose.override.yml'].map((path) => ({
        name: `schema of Compose, ${path}`,
        run: () => composeSchema(values.composeSchema, path),
      })),
      {
        name: 'compose config, docker-compose.yml',
        run: () => program(compose, 'version', [...base, ...config]),
      },
      {
        name: 'compose config, with the override',
        run: () => program(compose, 'version', [...both, ...config]),
      },
      { name: 'hadolint', run: () => program([['hadolint']], '--version', ['Dockerfile']) },
      {
        name: 'kubeconform',
        run: () =>
          program([['kubeconform']], '-v', [
            '-strict',
            '-summary',
            ...['-skip', 'Kustomization'],
            ...schemas,
            'deploy/kubernetes',
            'deploy/kubernetes-shared-volume/volume.yaml',
            'deploy/autoscaling/hpa.yaml',
          ]),
      },
      {
        name: 'schema of KEDA, deploy/autoscaling/keda.yaml',
        run: () => customResource(values.kedaDefinition, 'deploy/autoscaling/keda.yaml'),
      },
      ...['deploy/kubernetes', 'deploy/kubernetes-shared-volume'].map((path) => ({
        name: `kustomize, ${path}`,
        run: () => program(kustomize, '--help', [path]),
      })),
      {
        name: 'systemd-analyze verify',
        run: () =>
          program([['systemd-analyze']], '--version', [
            'verify',
            'deploy/systemd/archiver.service',
          ]),
      },
    ]
    let ran = 0
    let objected = 0
    for (const { name, run } of checks) {
      const verdict = run()
      if ('notRun' in verdict) {
        console.log(`NOT RUN  ${name}: ${verdict.notRun}`)
        continue
      }
      ran += 1
      if (verdict.objection !== undefined) objected += 1
      console.log(`${verdict.objection === undefined ? 'ok      ' : 'BAD     '} ${name}`)
      if (verdict.objection !== undefined) console.log(verdict.objection)
    }
    console.log(`${ran} of ${checks.length} checks ran, ${objected} objected`)
    if (ran === 0 || objected > 0)
      throw new ArchiverError('DIFFERS', 'what is deployed was not found good')
  },
})
