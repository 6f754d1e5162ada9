import type { RecordType } from '../../record/record.ts'
import type { Bucket } from './bucket.ts'

/**
 * The buckets of one type, by hour. Most types have one hour. A map for each type would cost a
 * third of a bucket.
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
 * The buckets of a range, by type and hour. It compares the types themselves, not a derived key.
 */
export class BucketIndex {
  readonly #own = new Map<string, HourBuckets>()
  /** A message may claim a reserved name; that is another type. */
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
