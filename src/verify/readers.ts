import { readLines } from '../files/read/lines.ts'
import type { ReadableHome } from '../home/home.ts'
import { decodeLine, rangeOfValue } from '../record/line/decoder.ts'
import {
  isNote,
  kindsOf,
  type StrictKind,
  scanForStrictReaders,
  strictKinds,
} from '../record/strict-readers.ts'
import { ArchiverError } from '../runtime/errors.ts'

/** A record that strict readers reject. */
export interface NamedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** The records of one kind. */
export interface ReadersFinding {
  readonly kind: StrictKind
  readonly meaning: string
  /** False for a kind that readers round and none rejects. */
  readonly refused: boolean
  records: number
  /** The first ones in order of time. */
  readonly first: NamedRecord[]
}

/** What strict readers would reject in an archive. */
export interface ReadersVerdict {
  /** JSON values that were checked. */
  records: number
  readonly findings: readonly ReadersFinding[]
  /** Why not all of the archive was checked: a file that cannot be read. */
  readonly error?: string
}

const maxNamed = 20
/** Records between two reports of progress. */
const progressEvery = 10_000

/** Checks every value for what strict readers reject, up to a file that cannot be read. */
export async function lookForReaders(
  home: ReadableHome,
  topics: readonly string[] | undefined,
  onProgress: (records: number) => void,
): Promise<ReadersVerdict> {
  const findings = new Map<StrictKind, ReadersFinding>()
  let records = 0
  try {
    for await (const { block, start, end } of readLines(home, { topics }, { order: 'oldest' })) {
      const line = block.subarray(start, end)
      const value = rangeOfValue(line)
      if (value === undefined) continue
      if (++records % progressEvery === 0) onProgress(records)
      const found = scanForStrictReaders(line, value.start, value.end, line.length)
      for (const kind of kindsOf(found)) add(findings, kind, line)
    }
  } catch (error) {
    // The proof names what is damaged, and its verdict must be printed.
    if (!(error instanceof ArchiverError) || error.code !== 'DAMAGED') throw error
    return { records, findings: inOrder(findings), error: error.message }
  }
  return { records, findings: inOrder(findings) }
}

function add(findings: Map<StrictKind, ReadersFinding>, kind: StrictKind, line: Buffer): void {
  let finding = findings.get(kind)
  if (finding === undefined) {
    finding = { kind, meaning: strictKinds[kind], refused: !isNote(kind), records: 0, first: [] }
    findings.set(kind, finding)
  }
  finding.records++
  if (finding.first.length < maxNamed) finding.first.push(positionOf(line))
}

/** In the order in which kinds are declared. */
function inOrder(findings: ReadonlyMap<StrictKind, ReadersFinding>): ReadersFinding[] {
  const order = Object.keys(strictKinds)
  return [...findings.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
}

function positionOf(line: Buffer): NamedRecord {
  const { topic, partition, record } = decodeLine(line)
  return { topic, partition, offset: record.offset }
}
