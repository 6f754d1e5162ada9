import type { Random } from '../random.ts'

/** The inputs of a value, besides chance. */
export interface Moment {
  readonly random: Random
  /** The number of the record. */
  readonly index: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  /** About when another record is (ms since 1970); before the first one, in the past. */
  readonly timeOf: (index: number) => number
  /** 0 to 1, how busy the time of day is. */
  readonly activity: number
  /** Whether errors and latency are high. */
  readonly incident: boolean
}

export interface MadeValue {
  readonly key: string | null
  readonly json: string
  /** The value says that its key is gone: a tombstone follows, if the kind has them. */
  readonly isDelete?: boolean
}

/** Makes values of one shape under the given type name, which is already quoted as JSON. */
export type ValueMaker = (moment: Moment, quotedType: string) => MadeValue

/** Values of one type. */
export interface Shape {
  /** The name of the type, unless the options give another one. */
  readonly type: string
  /** The share of the records, 0 to 1. */
  readonly share: number
  readonly make: ValueMaker
}

/** What the messages are: a set of types, and where messages carry the type. */
export interface Kind {
  /** One line of the help. */
  readonly summary: string
  /** The option `--type-path` of the archiver that finds the type. */
  readonly typePath: string
  readonly shapes: readonly Shape[]
  /** After a delete, the next record of its topic is a tombstone of the same key. */
  readonly tombstones?: boolean
}

/** The JSON of an object whose first field is the type. */
export function typed(quotedType: string, rest: Readonly<Record<string, unknown>>): string {
  return `{"type":${quotedType},${JSON.stringify(rest).slice(1)}`
}
