import { type IndexNames, sameDay } from '../index-name.ts'
import { numberTemplatesOf } from '../templates/number-templates.ts'
import { documentId, indexOf, type Part, rejectIn } from './part.ts'

const plainTail = Buffer.from('"}}\n')

/**
 * The action lines of a part, but for the offset in them. Remembers the index of each type of the
 * batch for the day seen last.
 */
export class ActionLines {
  readonly #names: IndexNames
  readonly #part: Part
  readonly #isReject: boolean
  readonly #idStart: string
  readonly #withoutTemplates: ReadonlySet<string>
  readonly #tail: Buffer
  /** One of them named a dynamic template. */
  hasNamed = false
  readonly #indexOfType: string[] = []
  readonly #headOfType: Buffer[] = []
  readonly #hourOfType: number[] = []

  /** @param withoutTemplates indices that no dynamic template is named to */
  constructor(names: IndexNames, part: Part, withoutTemplates: ReadonlySet<string>) {
    const reject = rejectIn(part)
    this.#names = names
    this.#part = part
    this.#isReject = reject !== undefined
    this.#withoutTemplates = withoutTemplates
    this.#idStart = `","_id":"${documentId(part.pending.batch, 0).slice(0, -1)}`
    const suffix = reject?.idSuffix ?? ''
    this.#tail = suffix === '' ? plainTail : Buffer.from(`${suffix}"}}\n`)
  }

  /** The index of record `i`. */
  index(i: number): string {
    return this.#indexOfType[this.#know(i)]!
  }

  /** What precedes the offset. */
  head(i: number): Buffer {
    return this.#headOfType[this.#know(i)]!
  }

  /** What follows the offset. */
  tail(i: number): Buffer {
    if (this.#isReject) return this.#tail
    const templates = numberTemplatesOf(this.#part.pending.batch, i)
    if (templates === undefined || this.#withoutTemplates.has(this.index(i))) return this.#tail
    this.hasNamed = true
    return Buffer.from(`","dynamic_templates":${templates}}}\n`)
  }

  #know(i: number): number {
    const { batch } = this.#part.pending
    const typeIndex = batch.typeIndexes[i]!
    const hour = batch.hours[i]!
    const known = this.#hourOfType[typeIndex]
    if (known === hour) return typeIndex
    if (known === undefined || !sameDay(known, hour)) {
      const index = indexOf(this.#names, this.#part, i)
      this.#indexOfType[typeIndex] = index
      // Pipelines are for records: one that drops them, or fails, must not do so with rejects.
      const pipeline = this.#isReject ? '"pipeline":"_none",' : ''
      this.#headOfType[typeIndex] = Buffer.from(
        `{"create":{${pipeline}"_index":"${index}${this.#idStart}`,
      )
    }
    this.#hourOfType[typeIndex] = hour
    return typeIndex
  }
}
