/** What is known of a type: `TypeFacts` of Elasticsearch, as far as a dashboard needs it. */
export interface DescribedType {
  readonly type: string
  readonly indexPattern: string
  readonly records: number
  readonly first: number
  readonly last: number
  readonly fields: readonly DescribedField[]
  readonly conflicting: readonly string[]
  /** Other types whose messages have the same envelope, with this one; the largest first. */
  readonly family?: readonly FamilyMember[]
  /** Fields that made Elasticsearch reject records, and how many of the newest rejects. */
  readonly rejecting?: readonly { readonly name: string; readonly records: number }[]
}

/**
 * Fields that only messages of one envelope have, whatever their types: a table of Debezium or a
 * type of CloudEvents is one among others.
 */
export const familyMarks = ['value.source.connector', 'value.specversion'] as const

export interface FamilyMember {
  readonly type: string
  readonly indexPattern: string
  readonly records: number
}

export interface DescribedField {
  readonly name: string
  readonly kind: 'string' | 'boolean' | 'number' | 'date' | 'ip' | 'place'
  readonly present: number
  readonly distinct: number
  readonly isWhole?: boolean
  /** Of numbers, and of dates in ms since 1970. */
  readonly min?: number
  readonly max?: number
  readonly low?: number
  readonly high?: number
  /** The unit in the mapping (`meta.unit`), as Elasticsearch names units. */
  readonly unit?: string
  /** All values of a text, if they are few; the most frequent first. */
  readonly values?: readonly string[]
  /** Characters of a text, the median. */
  readonly length?: number
  /** Records whose value the field could not take. */
  readonly ignored?: number
  /** What nearly all texts look like, although they are mapped as texts. */
  readonly looksLike?: 'date' | 'number' | 'address'
  /** The field of the message, if this is a sub-field of the mapping. */
  readonly of?: string
}

type Range = Required<Pick<DescribedField, 'min' | 'max' | 'low' | 'high'>>
export type NumberField = DescribedField & Range & Required<Pick<DescribedField, 'isWhole'>>
export type DateField = DescribedField & Range
