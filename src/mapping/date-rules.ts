import { type DateForm, dateForms } from './dates.ts'
import type { Decision } from './proposal.ts'
import { isNearlyAll, othersThan, type ValueSums } from './value-sums.ts'

/** More formats than this in one field are no format. */
const maxFormats = 6
const yearDigits = 4
/** `date` counts milliseconds. */
const msDigits = 3
/** `date_nanos` holds 1970-01-01 up to 2262-04-11 (64 bits of nanoseconds). */
const firstNanos = '1970-01-01'
const lastNanos = '2262-04-11'

/** Proposes a date if nearly all texts are dates; undefined if not. Pure. */
export function proposeDate(sums: ValueSums, texts: number): Decision | undefined {
  const { dates, numbers } = sums
  if (numbers.count > 0 || !isNearlyAll(dates.count, texts)) return undefined
  const formats = formatsOf(dates)
  if (formats.includes(dateForms['date-time']) && mayBeYears(sums)) return undefined
  if (formats.length > maxFormats)
    return { as: 'keyword', reason: `dates in ${formats.length} formats: too many to be meant` }
  const isFine = (dates.fractionDigits.at(-1) ?? 0) > msDigits
  const isInNanos = dates.earliest >= firstNanos && dates.latest < lastNanos
  if (isFine && !isInNanos)
    return {
      as: 'keyword',
      reason:
        'dates finer than milliseconds that begin before 1970 or end after 2262: no date type holds them exactly',
    }
  const bad = texts - dates.count
  const remarks = [
    [...new Set([...dates.forms.keys()].map((form) => formNames[form]))].join(' and '),
    ...(isFine ? ['finer than milliseconds'] : []),
    ...(isWithoutZone(dates.forms) ? ['without a zone: taken for UTC'] : []),
    ...othersThan(bad, sums),
  ]
  return {
    as: isFine ? 'date_nanos' : 'date',
    format: formats.join('||'),
    reason: remarks.join('; '),
    ...(bad === 0 ? {} : { hasText: true }),
  }
}

/** `strict_date_optional_time` takes four digits alone for a year, whatever they count. */
function mayBeYears({ decimals, formats }: ValueSums): boolean {
  return formats.has('digits') || (decimals.whole > 0 && decimals.wholeDigits >= yearDigits)
}

const formNames: Readonly<Record<DateForm, string>> = {
  date: 'ISO dates',
  'date-time': 'ISO times',
  'local-date-time': 'ISO times',
  'spaced-date-time': 'times with a space',
  'spaced-zoned-date-time': 'times with a space and a zone',
  'http-date': 'dates of HTTP',
  'log-date': 'dates of access logs',
}

function isWithoutZone(forms: ReadonlyMap<DateForm, number>): boolean {
  return forms.has('local-date-time') || forms.has('spaced-date-time')
}

/** The formats of Elasticsearch for all forms, the most frequent first. */
function formatsOf({ forms, fractionDigits }: ValueSums['dates']): string[] {
  const byCount = [...forms].sort(([a, one], [b, two]) => two - one || (a < b ? -1 : 1))
  const formats = byCount.flatMap(([form]) => {
    const format: string = dateForms[form]
    // `strict_date_optional_time` reads a date alone as well.
    if (form === 'date' && (forms.has('date-time') || forms.has('local-date-time'))) return []
    if (!format.includes('{fraction}')) return [format]
    return fractionDigits.map((digits) =>
      format.replace('{fraction}', digits === 0 ? '' : `.${'S'.repeat(digits)}`),
    )
  })
  return [...new Set(formats)]
}
