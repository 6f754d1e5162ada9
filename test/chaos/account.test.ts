import assert from 'node:assert/strict'
import { appendFile, copyFile, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { assertExactlyOnce, compare, messages, recordsOf } from '../helpers/exactly-once.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearch, produce } from '../helpers/servers.ts'
import { dataFiles } from '../helpers/stores.ts'
import { isClean } from './account.ts'

test('the account sees an archive that was broken on purpose', async (t) => {
  const topic = await createTopic(t, { stem: 'broken' })
  const scenario = await createScenario(t)
  await produce(t, topic, messages(90))
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  const known = await recordsOf(topic)
  await assertExactlyOnce(scenario, [topic], [], known)
  const { root, prefix } = scenario
  const paths = await dataFiles(root)
  const path = join(root, paths.find((name) => name.startsWith('type=b'))!)
  const whole = await readFile(path)
  const lines = gunzipSync(whole).toString('utf8').split('\n').slice(0, -1)
  const writeLines = (kept: readonly string[]) => writeFile(path, gzipSync(`${kept.join('\n')}\n`))
  const breakFiles = async (doIt: () => Promise<unknown>) => {
    await doIt()
    const found = await compare(scenario, [topic], [], known)
    await writeFile(path, whole)
    return found
  }

  const lost = await breakFiles(() => writeLines(lines.toSpliced(2, 1)))
  assert.equal(lost.files.missing, 1)
  assert.ok(lost.chains.problems.some((problem) => problem.includes('sha256')))

  const twice = await breakFiles(() => writeLines(lines.toSpliced(2, 0, lines[2]!)))
  assert.equal(twice.files.duplicate, 1)

  const flipped = await breakFiles(() =>
    writeLines(lines.with(1, lines[1]!.replace('"n":', '"m":'))),
  )
  assert.deepEqual([flipped.files.changed, flipped.files.missing], [1, 0])

  const otherKey = await breakFiles(() =>
    writeLines(lines.with(1, lines[1]!.replace('"key":"key-', '"key":"kez-'))),
  )
  assert.equal(otherKey.files.changed, 1)

  const torn = await breakFiles(() => writeFile(path, whole.subarray(0, whole.length - 9)))
  assert.equal(torn.files.missing, lines.length)
  assert.ok(torn.problems.some((problem) => problem.includes('cannot be read')))

  const trailing = await breakFiles(() => appendFile(path, Buffer.from([1])))
  assert.ok(trailing.chains.problems.some((problem) => problem.includes('sha256')))

  const copy = path.replace('.jsonl.gz', '').replace(/\d{20}$/, '00000000000000000999.jsonl.gz')
  await copyFile(path, copy)
  const doubled = await compare(scenario, [topic], [], known)
  assert.equal(doubled.files.duplicate, lines.length)
  assert.ok(doubled.chains.problems.some((problem) => problem.includes('belongs to no manifest')))
  await unlink(copy)

  const misplaced = join(root, 'type=a', 'dt=2026-01-15', 'hr=00', path.split('/').at(-1)!)
  await copyFile(path, misplaced)
  await unlink(path)
  const elsewhere = await compare(scenario, [topic], [], known)
  assert.equal(
    elsewhere.files.changed,
    path.includes('type=a/dt=2026-01-15/hr=00') ? 0 : lines.length,
  )
  assert.ok(elsewhere.chains.problems.some((problem) => problem.includes('is not there')))
  await unlink(misplaced)
  await writeFile(path, whole)

  const manifests = join(root, '_manifests', topic, '0')
  const manifest = join(
    manifests,
    (await readdir(manifests)).find((name) => name !== 'origin.json')!,
  )
  const text = await readFile(manifest, 'utf8')
  await writeFile(
    manifest,
    text.replace(/"next": (\d+)/, (_, next: string) => `"next": ${Number(next) - 1}`),
  )
  const hole = await compare(scenario, [topic], [], known)
  assert.ok(hole.chains.problems.some((problem) => problem.includes('the manifests end at')))
  await writeFile(manifest, text)

  interface Hits {
    readonly hits: {
      readonly hits: readonly {
        readonly _index: string
        readonly _id: string
        readonly _source: Record<string, unknown>
      }[]
    }
  }
  const { hits } = (await elasticsearch<Hits>('GET', `/${prefix}b-*/_search?size=3`)).hits
  const [removed, changed, copied] = hits
  await elasticsearch('DELETE', `/${removed!._index}/_doc/${removed!._id}`)
  await elasticsearch('PUT', `/${changed!._index}/_doc/${changed!._id}`, {
    ...changed!._source,
    value: { type: 'b', n: -1 },
  })
  await elasticsearch('PUT', `/${prefix}b-2026.01.16/_doc/${copied!._id}`, copied!._source)
  const engine = await compare(scenario, [topic], [], known)
  assert.deepEqual(
    [engine.elasticsearch.missing, engine.elasticsearch.changed, engine.elasticsearch.duplicate],
    [1, 1, 1],
  )
  assert.ok(isClean(engine.files), 'the files are whole again')
})
