import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startArchiver } from '../helpers/archiver.ts'
import { bucketSettings, environmentKeys, s3Url } from '../helpers/object-stores.ts'
import { createTopic, produce, uniqueName } from '../helpers/servers.ts'

/**
 * DuckDB reads `s3://` while workers write there. Its module of Python and its extension httpfs are
 * packages (`duckdb`, `duckdb-ext-httpfs`); nothing is installed here.
 */

const run = promisify(execFile)
const program = `
import duckdb, glob, importlib.util, sys
con = duckdb.connect(config={'autoinstall_known_extensions': 'false'})
package = importlib.util.find_spec('duckdb_ext')
files = [f for place in (package.submodule_search_locations if package else [])
  for f in glob.glob(f'{place}/extensions/v{duckdb.__version__}/*/httpfs.duckdb_extension')]
con.sql(f"LOAD '{files[0]}'" if files else 'LOAD httpfs')
for statement in sys.argv[1:-1]: con.sql(statement)
print(*con.sql(sys.argv[-1]).fetchone(), sep=',')
`
const withDuckdb =
  spawnSync('python3', ['-c', program, 'SELECT 1'], { stdio: 'ignore' }).status === 0

const page = readFileSync(new URL('../../docs/object-store.md', import.meta.url), 'utf8')
const example = /^```sql\n([\s\S]+?)^```$/m.exec(page)![1]!
const partitions = 4
const rounds = 8
const perRound = 250

test('DuckDB counts every record once, again and again, while workers write', async (t) => {
  if (!withDuckdb) return t.skip('DuckDB with httpfs is not on this machine')
  const topic = await createTopic(t, { stem: 's3-duckdb', partitions })
  const { bucket, prefix } = bucketSettings(s3Url)
  const argv = [
    ...['run', '--topics', topic, '--group', uniqueName('s3-duckdb'), '--no-elasticsearch'],
    ...['--archive-dir', `s3://${bucket}/${prefix}`, '--s3-endpoint', s3Url, '--s3-path-style'],
    // A merged file is beside those that it replaces for a moment.
    ...['--flush-interval', '1', '--compact-after', '0'],
  ]
  const workers = [startArchiver(t, argv), startArchiver(t, argv)]
  for (const worker of workers) await worker.says('worker_started')

  const { accessKeyId, secretAccessKey } = environmentKeys()
  const [secret, query] = example
    .replace('minio.example:9000', new URL(s3Url).host)
    .replace('USE_SSL true', 'USE_SSL false')
    .replace("KEY_ID '…'", `KEY_ID '${accessKeyId}'`)
    .replace("SECRET '…'", `SECRET '${secretAccessKey}'`)
    .replace('my-archive/prod', `${bucket}/${prefix}`)
    .split(/;\n+/)
  const count = async () => {
    const { stdout } = await run('python3', ['-c', program, secret!, query!]).catch((error) => {
      if (/No files found/.test(String(error))) return { stdout: '0,0' }
      throw error
    })
    const [records, distinct] = stdout.trim().split(',').map(Number)
    assert.equal(records, distinct, 'a record is there twice')
    return records!
  }

  const counts: number[] = []
  for (let round = 0; round < rounds; round++) {
    await produce(
      t,
      topic,
      Array.from({ length: perRound }, (_, i) => ({
        partition: i % partitions,
        value: JSON.stringify({ type: i % 3 === 0 ? 'a' : 'b', n: round * perRound + i }),
      })),
    )
    counts.push(await count())
  }
  for (let i = 0; i < 100 && counts.at(-1) !== rounds * perRound; i++) {
    await sleep(200)
    counts.push(await count())
  }
  t.diagnostic(`counted ${counts.join(', ')}`)
  assert.equal(counts.at(-1), rounds * perRound)
  assert.deepEqual(
    counts,
    [...counts].sort((a, b) => a - b),
    'a record that was there is gone',
  )
  assert.ok(
    counts.some((n) => n > 0 && n < rounds * perRound),
    'it counted while workers wrote',
  )
})
