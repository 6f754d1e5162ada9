import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { describeOptions, integer, own, readOptions, text } from '../src/config/options.ts'
import { createKafka } from '../src/kafka/client.ts'
import { ArchiverError, messageOf } from '../src/runtime/errors.ts'
import { createLogger } from '../src/runtime/log.ts'
import { openStack } from './stack-control.ts'

/**
 * `npm run demo`: from nothing to data in both stores, with the commands that a user would type.
 * Ends with 0 only if Kafka, the files and Elasticsearch agree on how many records there are of
 * each type.
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const topics = ['demo.shop', 'demo.plant']
const group = 'demo'

const options = {
  count: integer({
    default: '20000',
    min: 1,
    explanation: 'How many records the generator makes.',
  }),
  kibana: text({
    placeholder: '<url>',
    explanation: 'A Kibana to put dashboards of the demo data into.',
  }),
}

class DemoFailed extends Error {}

function say(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** Shows a command as a user would type it, runs it, and gives its lines two spaces. */
async function show(
  script: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const command = script === 'cmd/archiver' ? 'npx archiver' : `node src/${script}.ts`
  say(`\n$ ${command} ${argv.join(' ')}`)
  const child = spawn(process.execPath, [join(root, 'src', `${script}.ts`), ...argv], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  if (code !== 0) throw new DemoFailed(`${script} ended with exit code ${code}`)
}

/** How many records Kafka has of the demo's topics. */
async function countInKafka(brokers: string): Promise<number> {
  const admin = createKafka({
    brokers: brokers.split(','),
    clientId: 'archiver-demo',
    log: createLogger({ level: 'error', stream: process.stderr }),
  }).admin()
  await admin.connect()
  try {
    const offsets = await Promise.all(topics.map((topic) => admin.fetchTopicOffsets(topic)))
    return offsets.flat().reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
  } finally {
    await admin.disconnect()
  }
}

interface Count {
  files: number
  elasticsearch: number
}

/**
 * Lines of all files by type, counted in the files themselves and not in what the archiver says of
 * them.
 */
function countInFiles(archive: string): { counts: Map<string, number>; files: readonly string[] } {
  const counts = new Map<string, number>()
  const files = readdirSync(archive, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.jsonl.gz'))
    .sort()
  for (const path of files) {
    const type = decodeURIComponent(/^type=([^/]+)/.exec(path)![1]!)
    const lines = gunzipSync(readFileSync(join(archive, path))).filter(
      (byte) => byte === 0x0a,
    ).length
    counts.set(type, (counts.get(type) ?? 0) + lines)
  }
  return { counts, files }
}

async function countInElasticsearch(url: string): Promise<Map<string, number>> {
  await fetch(`${url}/archive-*/_refresh`, { method: 'POST' })
  const response = await fetch(`${url}/archive-*/_search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      size: 0,
      query: { terms: { 'kafka.topic': topics } },
      aggs: { index: { terms: { field: '_index', size: 1000 } } },
    }),
  })
  const { aggregations } = (await response.json()) as {
    aggregations: { index: { buckets: readonly { key: string; doc_count: number }[] } }
  }
  const counts = new Map<string, number>()
  for (const { key, doc_count } of aggregations.index.buckets) {
    const type = decodeURIComponent(/^archive-(.+)-[^-]+$/.exec(key)![1]!)
    counts.set(type, (counts.get(type) ?? 0) + doc_count)
  }
  return counts
}

/** The archive's directories as a tree, with what is in each day. */
function printTree(archive: string, files: readonly string[]): void {
  const days = new Map<string, Map<string, { hours: Set<string>; files: number; bytes: number }>>()
  for (const path of files) {
    const [type, day, hour] = path.split('/') as [string, string, string]
    const ofType = days.get(type) ?? new Map()
    days.set(type, ofType)
    const entry = ofType.get(day) ?? { hours: new Set<string>(), files: 0, bytes: 0 }
    ofType.set(day, entry)
    entry.hours.add(hour)
    entry.files++
    entry.bytes += readFileSync(join(archive, path)).length
  }
  say(`${relative(root, archive)}/`)
  for (const [type, ofType] of days) {
    say(`  ${type}/`)
    for (const [day, { hours, files, bytes }] of ofType) {
      say(`    ${day}/  ${hours.size} hours, ${files} files, ${(bytes / 1024).toFixed(0)} KiB`)
    }
  }
  say('  _manifests/  the commit log: which file holds which offsets')
}

async function demo({
  count,
  kibana,
}: {
  count: number
  kibana: string | undefined
}): Promise<void> {
  const stack = openStack({}, { update: () => {}, say })
  const isGiven =
    process.env.ARCHIVER_BROKERS !== undefined && process.env.ARCHIVER_ELASTICSEARCH !== undefined
  const brokers = isGiven ? process.env.ARCHIVER_BROKERS! : stack.brokers
  const url = isGiven ? process.env.ARCHIVER_ELASTICSEARCH! : stack.elasticsearchUrl
  const archive = isGiven ? join(root, 'archive', 'demo') : join(stack.settings.dir, 'demo-archive')
  const env = { ARCHIVER_BROKERS: brokers, ARCHIVER_ELASTICSEARCH: url }
  if (!isGiven) {
    say('$ npm run stack -- up')
    await stack.start()
  }

  await show('traffic/generator', ['--topics', topics.join(','), '--count', String(count)], env)
  const archiveDir = relative(root, archive)
  const shared = ['--topics', topics.join(','), '--group', group, '--archive-dir', archiveDir]
  await show('cmd/archiver', ['run', ...shared, '--until-end'], env)

  const { counts: inFiles, files } = countInFiles(archive)
  const inElasticsearch = await countInElasticsearch(url)
  const inKafka = await countInKafka(brokers)

  say('\nThe archive\n')
  printTree(archive, files)
  const example = files.find((path) => path.startsWith('type=object.one')) ?? files[0]!
  const [line] = gunzipSync(readFileSync(join(archive, example)))
    .toString('utf8')
    .split('\n', 1)
  say(`\nOne line of ${example}\n\n${line}`)

  say('\nRecords by type')
  const types = new Map<string, Count>()
  for (const [type, files] of inFiles) types.set(type, { files, elasticsearch: 0 })
  for (const [type, elasticsearch] of inElasticsearch) {
    types.set(type, { files: types.get(type)?.files ?? 0, elasticsearch })
  }
  const row = (
    name: string,
    files: string | number,
    elasticsearch: string | number,
    verdict = '',
  ) =>
    say(
      `  ${name.padEnd(16)}${String(files).padStart(10)}${String(elasticsearch).padStart(16)}  ${verdict}`,
    )
  row('', 'files', 'Elasticsearch')
  const total: Count = { files: 0, elasticsearch: 0 }
  for (const [type, { files, elasticsearch }] of [...types].sort(([a], [b]) => (a < b ? -1 : 1))) {
    row(type, files, elasticsearch, files === elasticsearch ? '' : 'DIFFERENT')
    total.files += files
    total.elasticsearch += elasticsearch
  }
  row('in all', total.files, total.elasticsearch, `of ${inKafka} in Kafka`)
  const agree =
    total.files === inKafka &&
    total.elasticsearch === inKafka &&
    [...types.values()].every(({ files, elasticsearch }) => files === elasticsearch)
  if (!agree) throw new DemoFailed('Kafka, the files and Elasticsearch do not agree')
  say('\nKafka, the files and Elasticsearch agree.')

  if (kibana !== undefined) {
    await show('cmd/archiver', ['setup', '--kibana', kibana], env)
    const own = [...types.keys()].filter((type) => !type.startsWith('_')).sort()
    for (const type of own)
      await show('cmd/archiver', ['dashboard', '--type', type, '--kibana', kibana], env)
  }

  say(`
Try next
  zcat ${archiveDir}/type=object.one/dt=*/hr=12/*.gz | head -3 | jq .value
  curl -s '${url}/archive-object.two-*/_search?q=value.status_code:500&size=1&pretty'
  npm run --silent producer -- --topic ${topics[0]}          one message a second …
  npx archiver run ${shared.join(' ')} --flush-interval 5   … and the archiver that keeps them
  npm run stack -- down                                  the data stays; wipe removes it`)
}

const argv = process.argv.slice(2)
if (argv.includes('--help') || argv.includes('-h')) {
  say(
    `npm run demo [-- options]: Kafka to files and Elasticsearch, from nothing, in a minute.\n\n${describeOptions(own(options))}`,
  )
} else {
  try {
    const startedAt = performance.now()
    await demo(readOptions(options, { argv, env: process.env }))
    say(`\n${((performance.now() - startedAt) / 1000).toFixed(0)} s in all.`)
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n`)
    process.exitCode = error instanceof ArchiverError ? error.exitCode : 1
  }
}
