import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { addFlushes, august, type MadeUpRecord, makeArchive } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'

/**
 * The examples of docs/reading-with-other-tools.md, run in an archive as archives are: half
 * compacted, with values that hold the envelope's names, with lines that readers refuse, with types
 * of digits and with records without a day. Nothing is installed; what has no tool on this machine
 * is named.
 */

const page = readFileSync(
  fileURLToPath(new URL('../../docs/reading-with-other-tools.md', import.meta.url)),
  'utf8',
)
const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
const examples = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]+?)^\`\`\`$`, 'gm'))].map(
    ([, code]) => code!,
  )

const works = (tool: string, ...argv: readonly string[]) =>
  spawnSync(tool, argv, { stdio: 'ignore' }).status === 0
const withJq = works('jq', '--version')
const withPython = works('python3', '--version')

/** DuckDB is a program, or a module of Python; both print rows as CSV. */
const duckdbs = [
  ['duckdb', '-csv', '-noheader', '-c'],
  [
    'python3',
    '-c',
    'import duckdb, sys; [print(*row, sep=",") for row in duckdb.sql(sys.argv[1]).fetchall()]',
  ],
] as const
const duckdb = duckdbs.find(([tool, ...argv]) => works(tool, ...argv, 'SELECT 1'))

const topic = 'events'
const order = (i: number) =>
  `{"country":"${i % 3 === 0 ? 'FR' : 'DE'}","kafka":{"topic":"${topic}","partition":0,"offset":5},"amount":1.50,"metric":{"name":"cpu","value":{"value":3}},"note":"},\\"value\\":{ at the end }","type":"object.one"}`

/** What one reader or another refuses. */
const hostile: readonly string[] = [
  '{"type":"object.one","country":"DE","amount":1.50,"text":"cut \\ud83d"}',
  '{"type":"object.one","country":"DE","amount":1.50,"a":{"x":1,"x":2}}',
  '{"type":"object.one","country":"DE","amount":1.50,"ID":1,"id":2}',
  `{"type":"object.one","country":"DE","amount":1.50,"deep":${'['.repeat(3000)}1${']'.repeat(3000)}}`,
  '{"type":"object.one","country":"DE","amount":1.50,"n":1e400}',
  `{"type":"object.one","country":"DE","amount":1.50,"n":1${'0'.repeat(40)}}`,
  `{"type":"object.one","country":"DE","amount":1.50,"text":"${'long '.repeat(600_000)}"}`,
  '{"type":"object.one","country":"DE","amount":1.50,"amounts":[1,"x",{"a":1}]}',
]
const orders = 1000

const others = [
  ...Array.from({ length: 10 }, (_, i) => `{"type":"object.two","latency_ms":${i}.5}`),
  '{"type":"object.two","latency_ms":"none"}',
  '{"type":"object.two","latency_ms":7.5,"text":"\\ud83d"}',
  '{"type":"0200","i":1}',
  '{"type":"0210","i":2}',
  '{"type":"2019-08-01","i":2}',
  'no JSON',
]
/** Their clocks count microseconds. */
const undated = [order(0), '{"type":"object.two","latency_ms":1}', '{"type":"0200","i":3}']
const all = orders + hostile.length + others.length + undated.length

/** Each hostile line is among others that are not. */
function records(): MadeUpRecord[] {
  const values: string[] = []
  for (let i = 0; i < orders; i++) {
    values.push(order(i))
    if (i % 120 === 60) values.push(hostile[Math.floor(i / 120)]!)
  }
  const headers = [{ key: 'h},"value":', value: Buffer.from('},"value":1') }]
  return [...values, ...others, ...undated].map((value, offset) => ({
    offset,
    timestamp: offset < all - undated.length ? august + offset * 1000 : august * 1000,
    value: Buffer.from(value),
    ...(offset % 10 === 0 ? { headers, key: Buffer.from('k"},"value":') } : {}),
  }))
}

/**
 * Compacts what is there, and adds one more flush: an archive is in this state most of the time.
 */
async function halfCompacted(t: TestContext): Promise<string> {
  const tp = { topic, partition: 0 }
  const made = records()
  const root = await makeArchive(t, [{ tp, flushes: [made.slice(0, 400), made.slice(400, 900)] }])
  const compacted = await runArchiver(t, ['compact', '--archive-dir', root, '--compact-after', '0'])
  assert.equal(compacted.code, 0, compacted.output)
  await addFlushes(root, [{ tp, flushes: [made.slice(900)] }])
  const names = await readdir(join(root, '_manifests', topic, '0'))
  assert.ok(
    names.some((name) => name.startsWith('compacted-')) &&
      names.some((name) => /^\d+\.json$/.test(name)),
  )
  return root
}

/** The PATH of the README: `archiver`, and the Node that runs it. */
const path = [
  fileURLToPath(new URL('../../bin', import.meta.url)),
  dirname(process.execPath),
  process.env.PATH,
].join(delimiter)

test('every example of the page is right on a half compacted archive with hostile lines', async (t) => {
  const root = await halfCompacted(t)
  const env = { ...process.env, PATH: path }
  const run = (tool: string, ...argv: readonly string[]) =>
    execFileSync(tool, argv, { cwd: root, encoding: 'utf8', env, maxBuffer: 2 ** 26 })
  const left: string[] = []
  const [countries, byPosition, values, committed, ...otherShell] = examples('sh')
  assert.deepEqual(otherShell, [])
  const shell = (code: string) => run('bash', '-c', code)
  if (withJq) {
    // jq 1.6 refuses the cut surrogate and what is too deep; later ones take more.
    assert.match(shell(countries!), /^ *67[2-4] DE\n *334 FR\n$/)
    assert.equal(shell(committed!), `${all}\n`)
  } else left.push('jq')
  const line = shell(byPosition!)
  assert.equal(line.split('\n').length, 2)
  assert.match(
    line,
    /^\{"@timestamp":"2019-08-01T03:00:05.000Z","type":"object.one","kafka":\{[^{]*"offset":5,/,
  )
  assert.equal(shell(values!), `${order(0)}\n${order(1)}\n${order(2)}\n`)

  // The tour of the README, whose archive lies in a directory below.
  const tour = readme
    .match(/^ {4}zcat .*$/gm)!
    .map((code) => code.trim().replaceAll('./archive/tour/', ''))
  assert.equal(tour.length, 2)
  assert.equal((JSON.parse(shell(tour[0]!)) as { kafka: { offset: number } }).kafka.offset, 0)
  if (withJq) assert.match(shell(tour[1]!), /^ *67[2-4] DE\n *334 FR\n$/)

  // What `cat --strict` prints, readers take to the last line.
  shell('archiver cat --archive-dir . --strict > ../strict.jsonl 2> ../left-out; test $? = 1')
  const strictLines = Number(shell('wc -l < ../strict.jsonl'))
  assert.equal(strictLines, all - 8, shell('cat ../left-out'))
  if (withJq)
    assert.equal(shell('jq -c .kafka.offset ../strict.jsonl | wc -l').trim(), `${strictLines}`)
  if (duckdb !== undefined) {
    const [tool, ...argv] = duckdb
    const sql =
      "SELECT count(*) FROM read_json('../strict.jsonl', format = 'newline_delimited', columns = {'value': 'JSON'})"
    assert.equal(run(tool, ...argv, sql), `${strictLines}\n`)
  }

  const [base, orjson, pandas, polars, pyarrow, manifests, ...otherPython] = examples('python')
  assert.deepEqual(otherPython, [])
  const python = (code: string) => run('python3', '-c', code)
  const pythonIf = (module: string, code: string): string | undefined => {
    if (withPython && works('python3', '-c', `import ${module}`))
      return python(`${base}\n${code}`).split('\n').slice(1).join('\n')
    left.push(module)
    return undefined
  }
  if (withPython) {
    // Python refuses three thousand levels.
    assert.equal(
      python(`${base}\nprint(refused)`),
      `${((orders + hostile.length - 1) * 1.5).toFixed(2)}\n1\n`,
    )
    assert.match(python(`${base}\n${manifests}`), new RegExp(`\\n${all} records\\n$`))
  } else left.push('python3')
  const lines = pythonIf('orjson', orjson!)
  // Versions differ in how deep they go.
  if (lines !== undefined)
    assert.ok([0, 1].includes(orders + hostile.length - Number(lines)), lines)
  const frame = pythonIf('pandas', pandas!)
  if (frame !== undefined) assert.match(frame, /^DE,1009\.5\nFR,501\.0\n/)
  const grouped = pythonIf('polars', polars!)
  if (grouped !== undefined) assert.match(grouped, /^country,len\nDE,673\nFR,334\n/)
  const rows = pythonIf('pyarrow', pyarrow!)
  if (rows !== undefined) assert.equal(rows, `${orders + hostile.length - 1}\n`)

  if (duckdb !== undefined) {
    const [tool, ...argv] = duckdb
    const [requests, days, digits, asJson, ...otherSql] = examples('sql').map((code) =>
      run(tool, ...argv, code),
    )
    assert.deepEqual(otherSql, [])
    assert.equal(requests, '03,12,5.0\n')
    // Of the one with a cut surrogate only its fields are missing; the order without a day is not
    // there.
    assert.match(days!, /^DE,673,1009\.50\nFR,334,501\.00\n(None|NULL)?,1,(None|NULL)?\n$/)
    assert.equal(digits, '0200,2\n0210,1\n')
    assert.equal(asJson, '1,2019-08-01\n2,2019-08-01\n3,unknown\n')
  } else left.push('DuckDB')
  left.push('Spark')
  t.diagnostic(`NOT RUN, as the tool is not on this machine: ${left.join(', ')}`)
})

test('the query of mapping --format duckdb reads a type whose first records say little', async (t) => {
  if (duckdb === undefined) return t.skip('DuckDB is not on this machine')
  const values = Array.from({ length: 3000 }, (_, i) =>
    i < 2500
      ? `{"type":"late","n":${i},"amount":1,"list":[]}`
      : `{"type":"late","n":${9007199254740993n + BigInt(i)},"amount":0.5,"list":[{"q":${i}}],"any":${i % 2 === 0 ? '"x"' : '{"a":1}'}}`,
  )
  const records = values.map((value, offset) => ({
    offset,
    timestamp: august + offset * 1000,
    value: Buffer.from(value),
  }))
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [records] }])
  const options = ['--archive-dir', root, '--no-elasticsearch', '--type', 'late']
  const printed = await runArchiver(t, ['mapping', ...options, '--format', 'duckdb'])
  assert.equal(printed.code, 0, printed.output)
  const [tool, ...argv] = duckdb
  const sql = `SELECT count(*), sum(value.amount), max(value.n), count(value.any), sum(value.list[1].q) FROM (${printed.output})`
  const row = execFileSync(tool, [...argv, sql], { cwd: root, encoding: 'utf8' })
  assert.equal(row, `3000,2750.0,9007199254743992,500,${((2500 + 2999) / 2) * 500}\n`)
})
