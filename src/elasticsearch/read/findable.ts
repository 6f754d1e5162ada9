import { each, flag, list, object, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { PatientClient } from './patient-client.ts'

/** By these fields documents are found, and the kinds that find exactly what is asked for. */
const fieldsNeeded: Readonly<Record<string, RegExp>> = {
  'kafka.topic': /^(constant_)?keyword$|^wildcard$/,
  'kafka.partition': /^(unsigned_)?long$|^integer$|^short$/,
  'kafka.offset': /^(unsigned_)?long$/,
}

interface FieldCaps {
  readonly indices: readonly string[]
  readonly fields: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly type: string; readonly searchable: boolean }>>
    >
  >
}

const capsShape = object({
  indices: list(text),
  fields: each(each(object({ type: text, searchable: flag }))),
})

/**
 * Whether the documents of an index are found by their position. Those of an index that somebody
 * made without the archiver's templates are not: a text is split into words. Asks once an index.
 */
export class FindableIndices {
  readonly #client: PatientClient
  readonly #asked = new Map<string, Promise<string | undefined>>()

  constructor(client: Elasticsearch) {
    this.#client = new PatientClient(client)
  }

  /**
   * Why the documents of an index are not found: `it maps kafka.topic as text`. Undefined if they
   * are found, or if there is no such index.
   * @throws ArchiverError `UNREACHABLE`
   */
  whyNot(index: string): Promise<string | undefined> {
    const known = this.#asked.get(index)
    if (known !== undefined) return known
    const asked = this.#ask(index)
    this.#asked.set(index, asked)
    return asked
  }

  async #ask(index: string): Promise<string | undefined> {
    const query = { fields: Object.keys(fieldsNeeded).join(), ignore_unavailable: 'true' }
    const path = [index, '_field_caps']
    const caps = await this.#client.ask<FieldCaps>({ method: 'GET', path, query }, capsShape)
    if (caps.indices.length === 0) return undefined
    for (const [field, kinds] of Object.entries(fieldsNeeded)) {
      const found = Object.values(caps.fields[field] ?? {})
      if (found.length === 0) return `it does not map ${field}`
      const wrong = found.find(({ type, searchable }) => !kinds.test(type) || !searchable)
      if (wrong !== undefined)
        return `it maps ${field} as ${wrong.type}${wrong.searchable ? '' : ', not indexed'}`
    }
    return undefined
  }
}
