import { directory, flag, group, instant, integer, list, own, texts } from './options.ts'

/** How to reach an archive: for every command that reads or writes one. */
export const archiveGroup = group('Files', {
  archiveDir: directory({
    default: './archive',
    explanation:
      'Root of the gzip JSONL archive. Workers that share partitions share this directory.',
  }),
})

/** Which records of an archive a command is about. */
export const selectionSet = own({
  type: texts({
    explanation:
      'Only records of these types. _malformed and _untyped select records without a type; a type that messages call _untyped is %5Funtyped.',
  }),
  topic: list({ placeholder: '<a,b,…>', explanation: 'Only records of these topics.' }),
  partition: integer({ min: 0, explanation: 'Only records of this partition.' }),
  from: instant({ explanation: 'Only records with this Kafka timestamp or a later one, in UTC.' }),
  to: instant({ explanation: 'Only records with an earlier Kafka timestamp, in UTC.' }),
})

/** The switch `--json`; `what` says what an object stands for. */
export function json(what: string) {
  return flag({ default: false, explanation: `Print one JSON object${what}.` })
}

/** The switch `--dry-run`. */
export const dryRun = flag({
  default: false,
  explanation: 'Only show what would be done; change nothing.',
})
