import type { RecordType } from '../../record/record.ts'
import type { Bucket } from './bucket.ts'

/**
 * The buckets of one type, by hour. Most types have one hour: a map for each would be a third of
 * what a bucket costs.
 */
export class HourBuckets {
  #hour = Number.NaN
  #bucket: Bucket | undefined
  #others: Map<number, Bucket> | undefined

  get(hour: number): Bucket | undefined {
    return hour === this.#hour ? this.#bucket : this.#others?.get(hour)
  }

  set(hour: number, bucket: Bucket): void {
    if (this.#bucket !== undefined) {
      this.#others ??= new Map()
      this.#others.set(this.#hour, this.#bucket)
    }
    this.#hour = hour
    this.#bucket = bucket
  }
}

/**
 * The buckets of a range, by type and hour. Types are told apart by what they are, never by a name
 * made of them.
 */
export class BucketIndex {
  readonly #own = new Map<string, HourBuckets>()
  /** A message may call itself by a reserved name and is then of another type. */
  readonly #reserved = new Map<string, HourBuckets>()

  of({ name, reserved }: RecordType): HourBuckets {
    const types = reserved ? this.#reserved : this.#own
    let buckets = types.get(name)
    if (buckets === undefined) {
      buckets = new HourBuckets()
      types.set(name, buckets)
    }
    return buckets
  }
}
