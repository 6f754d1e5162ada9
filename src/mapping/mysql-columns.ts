import { createHash } from 'node:crypto'
import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { nameParts } from './field-names.ts'
import type { NumberFacts } from './numbers.ts'
import { type FieldProposal, proposalOf } from './proposal.ts'

/**
 * Generated columns of the MySQL table for the fields of a type. One statement fits MySQL from
 * 8.0.21 on (JSON_VALUE) and MariaDB. No expression fails, whatever a later record has: the server
 * would refuse the row. So each looks at the form of a value first, and is NULL for what does not
 * fit.
 */

export interface ColumnSource {
  readonly type: string
  readonly table: string
  /** Columns that the table has already. */
  readonly taken: readonly string[]
  readonly facts: TypeFacts
}

interface Column {
  readonly name: string
  readonly sqlType: string
  readonly expression: string
}

/** InnoDB allows 64 secondary indexes; the table has three, and people want some. */
const maxColumns = 40
/** Bytes of a name; ours have only ASCII. */
const maxName = 64
/** Longer texts are not indexed whole. */
const maxText = 255
/** Room for later numbers: digits before the point, and what DECIMAL allows. */
const spareDigits = 3
const maxDecimalDigits = 65
const maxFractionDigits = 30
const pathOfTexts = /^[^"\\\p{C}]+$/u

/** The statement, with a comment for each field without a column. */
export function mysqlColumns({ type, table, taken, facts }: ColumnSource): string {
  const columns: Column[] = []
  const left: string[] = []
  const names = new Set(taken.map((name) => name.toLowerCase()))
  const byName = Map.groupBy(facts.fields, ({ path }) => nameParts(path).join('.'))
  const inLists = new Set(
    facts.fields.filter(({ lists }) => lists !== undefined).map(({ path }) => keyOf(path)),
  )
  const fields = proposalOf(facts).fields.toSorted((a, b) => b.records - a.records)
  for (const field of fields) {
    if (field.as === 'object') continue
    const [values, other] = byName.get(field.name) ?? []
    const made =
      values === undefined || other !== undefined
        ? 'messages spell its name in several ways'
        : columnsOf(field, values, inLists)
    if (typeof made === 'string') left.push(`-- ${shown(field.name)}: ${made}`)
    else if (columns.length + made.length > maxColumns)
      left.push(`-- ${shown(field.name)}: ${maxColumns} more frequent columns come first`)
    else
      for (const { suffix, ...column } of made)
        columns.push({ ...column, name: nameFor(`${type}_${field.name}${suffix}`, names) })
  }
  if (columns.length === 0) return [...left, '-- no field can be a column'].join('\n')
  const when = `\`type\` = ${quoted(type)}`
  const lines = columns.flatMap(({ name, sqlType, expression }) => [
    `  ADD COLUMN \`${name}\` ${sqlType} GENERATED ALWAYS AS (CASE WHEN ${when} AND ${expression} END) VIRTUAL`,
    `  ADD KEY \`${name}\` (\`${name}\`)`,
  ])
  return [...left, `ALTER TABLE \`${table}\``, `${lines.join(',\n')};`].join('\n')
}

type Made = Omit<Column, 'name'> & { readonly suffix: string }

/** The columns of a field, or why it has none. */
function columnsOf(
  field: FieldProposal,
  values: FieldFacts,
  inLists: ReadonlySet<string>,
): readonly Made[] | string {
  const { path } = values
  if (path.some((_, i) => inLists.has(keyOf(path.slice(0, i + 1)))))
    return 'in a list; JSON_TABLE reads lists'
  if (!path.every((key) => pathOfTexts.test(key))) return 'its name cannot be written as a path'
  const place = quoted(`$${path.map((key) => `."${key}"`).join('')}`)
  const extracted = `JSON_EXTRACT(\`value\`, ${place})`
  const text = `JSON_UNQUOTE(${extracted})`
  const isText = `JSON_TYPE(${extracted}) = 'STRING'`
  switch (field.as) {
    case 'double':
    case 'long': {
      const guard = field.takesTexts === true ? [] : [`JSON_TYPE(${extracted}) <> 'STRING'`]
      const number = numberColumn(text, guard, [values.numbers, values.texts?.decimals])
      const { dateFormat } = field
      return dateFormat === undefined ? [number] : [number, epochColumn(text, guard, dateFormat)]
    }
    case 'date':
    case 'date_nanos':
      return dateColumn(text, isText, values)
    case 'boolean':
      return [
        {
          suffix: '',
          sqlType: 'TINYINT',
          expression: `${hasForm(text, '(true|false)', 'a-z')} THEN ${text} = 'true'`,
        },
      ]
    case 'ip':
    case 'keyword':
    case 'keyword+text': {
      const { maxLength = 0 } = values.texts ?? {}
      if (maxLength === 0) return 'it has no texts'
      if (maxLength > maxText) return `texts of up to ${maxLength} characters`
      // JSON_UNQUOTE of MariaDB has no characters beyond U+FFFF: it would give `?`.
      const whole = `JSON_VALUE(\`value\`, ${place})`
      return [
        {
          suffix: '',
          sqlType: `VARCHAR(${maxText})`,
          expression: `${isText} AND CHAR_LENGTH(${whole}) <= ${maxText} THEN ${whole}`,
        },
      ]
    }
    default:
      return `${field.as} has no column`
  }
}

/**
 * The whole text has the form, in this case. `$` alone is also before a line end, and which ends
 * there are differs: so there may be no other characters. Patterns do not tell `t` from `T` unless
 * the collation does.
 */
const hasForm = (text: string, form: string, characters: string): string => {
  const exact = `CONVERT(${text} USING utf8mb4) COLLATE utf8mb4_bin`
  return `${exact} NOT REGEXP '[^${characters}]' AND ${exact} REGEXP '^${form}$'`
}
const and = (...conditions: readonly string[]) => conditions.join(' AND ')
const jsonNumber = '-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,2})?'

/** A DECIMAL if it holds all numbers with room for more; else a DOUBLE. */
function numberColumn(
  text: string,
  guard: readonly string[],
  facts: readonly (NumberFacts | undefined)[],
): Made {
  const known = facts.filter((some) => some !== undefined)
  const max = (pick: (some: NumberFacts) => number) => Math.max(1, ...known.map(pick))
  const isWhole = known.every(({ whole, count }) => whole === count)
  const fraction = isWhole ? 0 : max(({ fractionDigits }) => fractionDigits)
  const whole = Math.max(18, max(({ wholeDigits }) => wholeDigits) + spareDigits)
  const fits = fraction <= maxFractionDigits && whole + fraction <= maxDecimalDigits
  const conditions = and(
    ...guard,
    `CHAR_LENGTH(${text}) <= 255`,
    hasForm(text, jsonNumber, '-+.eE0-9'),
    `ABS(${text} + 0e0) < 1e${fits ? whole : 300}`,
  )
  if (!fits)
    return { suffix: '', sqlType: 'DOUBLE', expression: `${conditions} THEN ${text} + 0e0` }
  const sqlType = `DECIMAL(${whole + fraction},${fraction})`
  return { suffix: '', sqlType, expression: `${conditions} THEN CAST(${text} AS ${sqlType})` }
}

/** Years 1970 to 2100 in digits; no time zone of a session has a say. */
function epochColumn(text: string, guard: readonly string[], format: string): Made {
  const [digits, micros] = format === 'epoch_second' ? [10, 1_000_000] : [13, 1000]
  const conditions = and(...guard, hasForm(text, `[0-9]{1,${digits}}`, '0-9'))
  const time = `TIMESTAMP'1970-01-01 00:00:00' + INTERVAL (CAST(${text} AS SIGNED) * ${micros}) MICROSECOND`
  return { suffix: '_time', sqlType: 'DATETIME(6)', expression: `${conditions} THEN ${time}` }
}

const isoForms = new Set([
  'date',
  'date-time',
  'local-date-time',
  'spaced-date-time',
  'spaced-zoned-date-time',
])
// Beyond these years a zone could lead to one that DATETIME does not have.
const isoDay = '[1-8][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
const zone = '[-+](0[0-9]|1[0-4]):?[0-5][0-9]'
const isoTime = `([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|${zone})?)?`

/** UTC, to the microsecond. The last day of a month is looked up: 30 February is NULL. */
function dateColumn(text: string, isText: string, { texts }: FieldFacts): readonly Made[] | string {
  const forms = Object.keys(texts?.dates?.forms ?? {})
  if (!forms.some((form) => isoForms.has(form))) return 'dates that are not written as in ISO 8601'
  const conditions = and(
    isText,
    hasForm(text, `${isoDay}${isoTime}`, '-+.:TZ 0-9'),
    `SUBSTR(${text}, 9, 2) <= DAY(LAST_DAY(CONCAT(LEFT(${text}, 8), '01')))`,
  )
  const written = `REPLACE(REGEXP_REPLACE(${text}, '(Z|${zone})$', ''), 'T', ' ')`
  // A cast would depend on the rounding that a session asks for; MariaDB refuses that.
  const padded = `LEFT(CONCAT(${written}, SUBSTR('0000-00-00 00:00:00.000000', CHAR_LENGTH(${written}) + 1)), 26)`
  const shift = `REPLACE(COALESCE(NULLIF(REGEXP_SUBSTR(SUBSTR(${text}, 12), '${zone}$'), ''), '+0000'), ':', '')`
  const minutes = `CAST(CONCAT(LEFT(${shift}, 1), SUBSTR(${shift}, 2, 2) * 60 + RIGHT(${shift}, 2)) AS SIGNED)`
  const time = `STR_TO_DATE(${padded}, '%Y-%m-%d %H:%i:%s.%f') - INTERVAL ${minutes} MINUTE`
  return [{ suffix: '', sqlType: 'DATETIME(6)', expression: `${conditions} THEN ${time}` }]
}

/** A name that no other column has, without regard to case; it becomes one of `names`. */
function nameFor(wanted: string, names: Set<string>): string {
  const plain = wanted.replaceAll(/[^A-Za-z0-9_]+/g, '_')
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 8)
  const isFree = plain.length <= maxName && !names.has(plain.toLowerCase())
  const name = isFree ? plain : `${plain.slice(0, maxName - hash.length - 1)}_${hash}`
  names.add(name.toLowerCase())
  return name
}

function keyOf(path: readonly string[]): string {
  return JSON.stringify(path)
}

/** As SQL quotes a text. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** On one line of a comment. */
function shown(name: string): string {
  return JSON.stringify(name).slice(1, -1)
}
