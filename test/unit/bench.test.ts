import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { bulkDocuments } from '../bench/bodies.ts'
import { shellTimes } from '../bench/child.ts'
import { bucketsOf, recordsOf, topicName } from '../bench/data.ts'
import { expectedOf, kibanaQueries } from '../bench/kibana-queries.ts'
import { busiest } from '../bench/meter.ts'
import { listeningInode, parseMachine, parseStat, treeOf } from '../bench/proc.ts'
import { markdownReport, textReport } from '../bench/report.ts'
import { filesIn, movementIn } from '../bench/rolling/silence.ts'
import { atLeast, atMost, goalRatio, type Run, summarize } from '../bench/run.ts'
import { shopFigures, shopQueries } from '../bench/shop-queries.ts'
import { median, medianOf, perMillion, ratio, spread } from '../bench/statistics.ts'
import { figure, markdownTable, textTable, usedColumns } from '../bench/table.ts'

describe('the arithmetic of the benchmark', () => {
  it('takes the middle, or the mean of the two in the middle, and changes no order', () => {
    const values = [3, 1, 2]
    assert.equal(median(values), 2)
    assert.deepEqual(values, [3, 1, 2])
    assert.equal(median([4, 1, 3, 2]), 2.5)
    assert.equal(median([]), undefined)
  })

  it('has as many values below the median as above it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values)!
        assert.ok(values.filter((value) => value < middle).length <= values.length / 2)
        assert.ok(values.filter((value) => value > middle).length <= values.length / 2)
        assert.ok(middle >= Math.min(...values) && middle <= Math.max(...values))
      }),
    )
  })

  it('gives no median of fewer rounds than there were', () => {
    const runs: { cpu: number | undefined }[] = [{ cpu: 1 }, { cpu: undefined }]
    assert.equal(
      medianOf(runs, ({ cpu }) => cpu),
      undefined,
    )
    assert.equal(
      medianOf([{ cpu: 1 }, { cpu: 3 }], ({ cpu }) => cpu),
      2,
    )
  })

  it('knows no ratio of nothing', () => {
    assert.equal(ratio(6, 3), 2)
    assert.equal(ratio(undefined, 3), undefined)
    assert.equal(ratio(6, 0), undefined)
    assert.equal(perMillion(3, 500_000), 6)
    assert.equal(spread([9, 10, 12]), 0.3)
  })
})

const run = (seconds: number, more: Partial<Run> = {}): Run => ({
  records: 1_000_000,
  seconds,
  startupSeconds: 1,
  cpu: seconds,
  startupCpu: 0.5,
  engineCpu: undefined,
  brokerCpu: 1,
  peakBytes: 200e6,
  fileBytes: undefined,
  indexBytes: undefined,
  loopBusy: 0.5,
  otherLoad: { cores: 0.1, stolen: 0.02, names: ['cc 0.10'] },
  ...more,
})

describe('what runs come to', () => {
  const rival = summarize('rival', [run(11), run(9), run(10)])
  const own = summarize('own', [run(5), run(6), run(7)], rival)

  it('compares with the work of the rival, our start-up counted and not', () => {
    assert.equal(rival.workSeconds, 9)
    assert.equal(own.ratio, 9 / 6)
    assert.equal(own.workRatio, 9 / 5)
    assert.equal(rival.ratio, undefined)
  })

  it('counts CPU per million records', () => {
    const half = summarize('half', [run(6, { records: 500_000 })])
    assert.equal(half.cpu, 12)
    assert.equal(half.workCpu, 11)
    assert.equal(half.engineCpu, undefined)
    assert.equal(half.brokerCpu, 2)
  })

  it('says of a goal how far it is met', () => {
    assert.equal(goalRatio(atMost(10, '', 5)), 2)
    assert.equal(goalRatio(atLeast(10, '', 5)), 0.5)
    assert.equal(goalRatio(atLeast(10, '', undefined)), undefined)
  })

  it('reports tables, goals and who else worked', () => {
    const result = {
      title: 'files',
      summaries: [own, rival],
      goals: [
        atMost(5, 'CPU', own.cpu),
        atLeast(1, 'speed', own.ratio),
        atMost(1, 'nothing', undefined),
      ],
      notes: ['a note'],
    }
    const text = textReport(result)
    assert.match(text, /^own +166,667 +6\.00 /m)
    assert.match(text, /MISSED: CPU: 6\.00, at most 5\.00 \(0\.83 of the goal\)/)
    assert.match(text, /met: speed: 1\.50/)
    assert.match(text, /not measured: nothing/)
    assert.match(text, /in cores: cc 0\.10/)
    assert.doesNotMatch(text, /engine/)
    assert.match(markdownReport(result), /^\| own \| 166,667 \|/m)
  })

  it('prints tables of other figures below, with a dash for what is missing', () => {
    const tables = [{ columns: ['', 'ms'], rows: [['lean', undefined]] }]
    const result = { title: 'x', summaries: [], goals: [], notes: [], tables }
    assert.equal(textReport(result), '\nx\n      ms\nlean   –')
    assert.match(markdownReport(result), /^\| lean \| – \|$/m)
  })

  it('has no summary of no run', () => {
    assert.throws(() => summarize('none', []), /none: no run/)
  })
})

describe('tables', () => {
  const columns = [
    { title: 'name', cell: (row: { name: string }) => row.name },
    { title: 'n', cell: () => undefined },
  ]

  it('aligns, and shows a dash for nothing', () => {
    assert.equal(textTable(columns, [{ name: 'a' }]), 'name  n\na     –')
    assert.equal(
      markdownTable(columns, [{ name: 'a|b' }]),
      '| name | n |\n|---|---:|\n| a\\|b | – |',
    )
    assert.deepEqual(
      usedColumns(columns, [{ name: 'a' }]).map(({ title }) => title),
      ['name'],
    )
  })

  it('prints figures', () => {
    assert.equal(figure(1234.567), '1,234.57')
    assert.equal(figure(1234.567, 0), '1,235')
    assert.equal(figure(undefined), undefined)
  })
})

describe('what Linux says', () => {
  it('finds times behind a name with brackets and spaces', () => {
    const stat = '42 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 150 50 20 5 20 0 1'
    assert.deepEqual(parseStat(stat), { name: 'a) b (c)', parent: 7, own: 2, ofEnded: 0.25 })
  })

  it('counts neither idling nor waiting as work, and the host apart', () => {
    assert.deepEqual(parseMachine('cpu  100 200 300 9000 50 10 20 400 0 0\ncpu0 1 1'), {
      busy: 6.3,
      stolen: 4,
    })
  })

  it('finds who listens on a port', () => {
    const table =
      '  sl  local_address rem_address   st\n' +
      '   0: 0100007F:23F0 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 11 1\n' +
      '   1: 0100007F:23F0 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1\n'
    assert.equal(listeningInode(table, 9201), undefined)
    assert.equal(listeningInode(table, 9200), '12')
  })

  it('knows all descendants of a process', () => {
    const times = (parent: number) => ({ name: 'x', parent, own: 0, ofEnded: 0 })
    const processes = new Map([
      [1, times(0)],
      [2, times(1)],
      [3, times(2)],
      [4, times(0)],
    ])
    assert.deepEqual(treeOf(1, processes), [1, 2, 3])
  })

  it('adds up what bash says of time, and names the busiest processes', () => {
    assert.equal(shellTimes('1\n0m0.500s 0m0.250s\n1m1.000s 0m0.250s\n'), 62)
    const processes = [
      { name: 'a', cores: 0.02 },
      { name: 'b', cores: 0.2 },
      { name: 'a', cores: 0.3 },
      { name: 'c', cores: 0.01 },
    ]
    assert.deepEqual(busiest(processes), ['a 0.32', 'b 0.20'])
  })
})

describe('the data', () => {
  it('is the same each time, and its topic is named after it', () => {
    const [first, second] = [recordsOf('plain', 't', 1000), recordsOf('plain', 't', 1000)]
    for (const i of [0, 1, 999]) assert.deepEqual(first(i), second(i))
    assert.match(topicName('plain', 1000), /^bench-plain-1000-[0-9a-f]{8}$/)
    assert.notEqual(topicName('buckets', 1000), topicName('plain', 1000))
  })

  it('fills six hours of three types in four partitions', () => {
    assert.equal(seen('plain', 5000), bucketsOf('plain'))
  })

  it('opens 10,000 buckets', () => {
    assert.equal(bucketsOf('buckets'), 10_000)
    // Most of them with the first 50,000 records, so all of them with the million.
    assert.ok(seen('buckets', 50_000) > 9_500)
  })

  it('knows the right answers of what Kibana asks', () => {
    const expected = expectedOf(recordsOf('plain', 't', 2000), 2000)
    const figures = kibanaQueries.map(({ name }) => expected.get(name)!)
    assert.deepEqual(figures.slice(0, 2), [2000, 500])
    // Each of the others is about some records, and not about all.
    for (const figure of figures.slice(2)) assert.ok(figure > 20 && figure < 2000, String(figures))
  })

  it('knows the right answers of what a shop asks', () => {
    const expected = shopFigures(recordsOf('shop', 't', 2000), 2000)
    const figure = (name: string) => expected.get(name)!
    assert.deepEqual(
      shopQueries.map(({ name }) => name),
      [...expected.keys()],
    )
    for (const name of ['filtered', 'free text', 'network', 'same item'])
      assert.ok(figure(name) > 20 && figure(name) < 1000, `${name}: ${figure(name)}`)
    // A few dates are none.
    assert.ok(figure('by its own date') > 1980 && figure('by its own date') < 2000)
    assert.ok(figure('sum') > 100_000)
  })

  it('posts what the worker would post', () => {
    const value = Buffer.from('{"type":"a","n":1.0}')
    const records = [0, 1].map((offset) => ({
      offset,
      timestamp: 1_564_629_783_000,
      key: null,
      value,
      headers: [],
    }))
    const batch = new LineEncoder({ from: 'value', path: ['type'] }).encode({
      topic: 't',
      partition: 3,
      from: 0,
      next: 2,
      records,
    })
    const [, second] = bulkDocuments(batch, new IndexNames('p-')).map(String)
    assert.equal(
      second,
      '{"create":{"_index":"p-a-2019.08.01","_id":"t+3+1"}}\n' +
        '{"@timestamp":"2019-08-01T03:23:03.000Z","type":"a","kafka":{"topic":"t","partition":3,"offset":1,"timestamp":1564629783000},"value":{"type":"a","n":1.0}}\n',
    )
  })
})

/** How many types × hours × partitions the first records fall into. */
function seen(profile: 'plain' | 'buckets', count: number): number {
  const make = recordsOf(profile, 't', count)
  const buckets = new Set<string>()
  for (let i = 0; i < count; i++) {
    const { type, timestamp, partition } = make(i)
    buckets.add(`${type} ${Math.floor(timestamp / 3_600_000)} ${partition}`)
  }
  return buckets.size
}

describe('what a rolling deployment costs', () => {
  const window = { from: 1000, to: 5000 }
  const writes = (partition: string, times: readonly (readonly [number, number, number?])[]) =>
    times.map(([at, slot, life = 0]) => ({ at, partition, slot, life }))

  it('is silence between two batches, whoever takes them', () => {
    const { moves, kept, moved } = movementIn(
      [
        // Nothing is silent: batches come within the resolution.
        ...writes('t/0', [[900, 0], [1300, 0], ...steady(1300, 5000, 0)]),
        ...writes('t/1', [[900, 0], [1200, 0], [2200, 1], ...steady(2200, 5000, 1)]),
        // The same worker, another process.
        ...writes('t/2', [[900, 0], [3900, 0, 1], ...steady(3900, 5000, 0, 1)]),
        // Silent until the end.
        ...writes('t/3', [[900, 1]]),
      ].toSorted((a, b) => a.at - b.at),
      window,
    )
    assert.equal(moves, 1)
    // A silence that began before the window counts from its beginning.
    assert.deepEqual(moved, { partitions: 2, mean: (1 + 2.9) / 2, longest: 2.9 })
    assert.deepEqual(kept, { partitions: 2, mean: 2, longest: 4 })
  })

  it('is files that are flushed before the interval is over', () => {
    const flushes = [
      [0, 1000, 2000, 2500, 3500],
      [500, 5100],
    ]
    assert.deepEqual(filesIn(flushes, 1000, window), { steady: 3, extra: 1 })
  })

  function steady(from: number, to: number, slot: number, life = 0) {
    const times: [number, number, number][] = []
    for (let at = from + 100; at <= to; at += 100) times.push([at, slot, life])
    return times
  }
})
