import { lineStart, type RecordBatch, type RecordType } from '../record/record.ts'
import { msPerDay } from '../record/time.ts'
import { nameOfType } from '../record/type-name.ts'
import { FactsCollector, factLimits } from './facts.ts'
import { type ClusterMapping, type OutgrownField, outgrownFields } from './outgrown.ts'

/** What bounds the work and the memory of learning. A round is the time between two comparisons. */
export const learnLimits = {
  /** Types that are looked at at a time. */
  types: 100,
  /** Fields of all of them together; about 4 KB each. */
  fields: 10_000,
  /** Fields of one type. */
  fieldsOfType: 1000,
  /** Lines of a type in a round. */
  lines: 200,
  /** A longer line is passed over. */
  lineBytes: 65_536,
  /** Bytes of lines in a round: of a type, and of all. */
  typeBytes: 2 ** 18,
  roundBytes: 2 ** 23,
  /** Fewer records say too little of a type. */
  minRecords: 100,
  /** Facts of this many records, or of a day, make room for those of others. */
  maxRecords: 10_000,
  maxAgeMs: msPerDay,
  /** Types whose proposals are remembered. */
  proposed: 1000,
}

/** A type whose mapping no longer fits. */
export interface LearnedProposal {
  readonly type: RecordType
  /** How many were looked at. */
  readonly records: number
  readonly fields: readonly OutgrownField[]
}

interface LearnedType {
  readonly type: RecordType
  readonly facts: FactsCollector
  readonly since: number
  /** Lines and bytes that were taken in this round. */
  lines: number
  bytes: number
  /** Records at the last comparison. */
  compared: number
}

/** What was proposed for a type while its template had this version. */
interface Proposed {
  readonly version: number
  readonly fields: Set<string>
}

/**
 * Looks at samples of what is archived, and says when the fields of a type outgrow its mapping. It
 * applies nothing. A line counts once every sink has it, so a proposal speaks of records that the
 * archive has. Each field is proposed once, until another mapping fits it or the template changes.
 */
export class Learner {
  readonly #read: (type: RecordType) => Promise<ClusterMapping | undefined>
  readonly #propose: (proposal: LearnedProposal) => void
  readonly #now: () => number
  readonly #limits: typeof learnLimits
  readonly #types = new Map<string, LearnedType>()
  readonly #proposed = new Map<string, Proposed>()
  #bytes = 0

  /**
   * `read` asks the cluster for the mapping of a type; undefined: nothing is to be proposed. `now`
   * is in ms.
   */
  constructor(parts: {
    read: (type: RecordType) => Promise<ClusterMapping | undefined>
    propose: (proposal: LearnedProposal) => void
    now: () => number
    limits?: Partial<typeof learnLimits>
  }) {
    this.#read = parts.read
    this.#propose = parts.propose
    this.#now = parts.now
    this.#limits = { ...learnLimits, ...parts.limits }
  }

  /**
   * Copies some lines of a batch.
   * @returns what is to be called once all sinks hold the batch; undefined if no line was taken
   */
  delivered(batch: RecordBatch): (() => void) | undefined {
    const wanted = batch.types.map((type) => this.#wanting(type))
    if (wanted.every((one) => one === undefined)) return undefined
    const taken: { readonly of: LearnedType; readonly line: Buffer }[] = []
    for (let i = 0; i < batch.count; i++) {
      const of = wanted[batch.typeIndexes[i]!]
      if (of === undefined || !this.#hasRoom(of)) continue
      const [start, end] = [lineStart(batch, i), batch.ends[i]!]
      if (end - start > this.#limits.lineBytes) continue
      of.lines++
      of.bytes += end - start
      this.#bytes += end - start
      taken.push({ of, line: Buffer.from(batch.lines.subarray(start, end)) })
    }
    if (taken.length === 0) return undefined
    return () => {
      for (const { of, line } of taken) of.facts.addLine(line)
    }
  }

  /** Undefined if no line of this type is to be taken now. */
  #wanting(type: RecordType): LearnedType | undefined {
    if (type.reserved) return undefined
    const name = nameOfType(type)
    let found = this.#types.get(name)
    if (found === undefined && this.#hasRoomForTypes()) {
      const { fieldsOfType } = this.#limits
      const keys = Math.min(factLimits.keptKeys, fieldsOfType >> 1)
      const facts = new FactsCollector({
        ...factLimits,
        fields: fieldsOfType,
        keys: 2 * keys,
        keptKeys: keys,
      })
      found = { type, facts, since: this.#now(), lines: 0, bytes: 0, compared: 0 }
      this.#types.set(name, found)
    }
    return found !== undefined && this.#hasRoom(found) ? found : undefined
  }

  #hasRoom({ lines, bytes }: LearnedType): boolean {
    const limits = this.#limits
    return lines < limits.lines && bytes < limits.typeBytes && this.#bytes < limits.roundBytes
  }

  #hasRoomForTypes(): boolean {
    if (this.#types.size >= this.#limits.types) return false
    const fields = [...this.#types.values()].reduce((sum, { facts }) => sum + facts.fieldCount, 0)
    return fields < this.#limits.fields
  }

  /** Compares what was learned since the last round, proposes, and begins the next round. */
  async round(): Promise<void> {
    this.#bytes = 0
    for (const [name, of] of [...this.#types]) {
      of.lines = 0
      of.bytes = 0
      const { records } = of.facts
      if (records >= this.#limits.minRecords && records > of.compared) {
        await this.#compare(name, of)
        of.compared = records
      }
      const isOld = this.#now() - of.since >= this.#limits.maxAgeMs
      if (isOld || records >= this.#limits.maxRecords) this.#types.delete(name)
    }
  }

  async #compare(name: string, { type, facts }: LearnedType): Promise<void> {
    const mapping = await this.#read(type)
    if (mapping === undefined) return
    const learned = facts.facts()
    const fields = outgrownFields(learned, mapping)
    const before = this.#proposedFor(name, mapping.version)
    const isNew = fields.some((field) => !before.fields.has(keyOf(field)))
    if (!isNew) return
    for (const field of fields) before.fields.add(keyOf(field))
    this.#propose({ type, records: learned.records, fields })
  }

  #proposedFor(name: string, version: number): Proposed {
    const found = this.#proposed.get(name)
    if (found?.version === version) return found
    const fresh: Proposed = { version, fields: new Set() }
    this.#proposed.delete(name)
    this.#proposed.set(name, fresh)
    const [oldest] = this.#proposed.keys()
    if (this.#proposed.size > this.#limits.proposed && oldest !== undefined)
      this.#proposed.delete(oldest)
    return fresh
  }
}

function keyOf({ name, proposed }: OutgrownField): string {
  return `${name} ${proposed}`
}
