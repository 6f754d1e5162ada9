import { elasticsearchConnectionOptions, filesOptions, kafkaOptions, logOptions } from '../config.ts'
import { flag, instant, integer, list, oneOf, text, type Values } from '../options.ts'

/** Options of the commands that read an archive. */

export const verifyOptions = {
  archiveDir: filesOptions.archiveDir,
  brokers: kafkaOptions.brokers,
  kafka: flag({ default: true, explanation: 'Do not ask Kafka: then nothing is said of what was committed.' }),
  ...elasticsearchConnectionOptions,
  topics: list({ placeholder: '<a,b,…>', explanation: 'Only these topics; all of the archive where none is named.' }),
  deep: flag({ default: false, explanation: 'Compare every document with its line, byte for byte.' }),
  fast: flag({ default: false, explanation: 'Look at manifests, sizes and counts only; no file is read.' }),
  json: flag({ default: false, explanation: 'Print one JSON object.' }),
  ...logOptions,
}

export type VerifyOptions = Values<typeof verifyOptions>

const selectionOptions = {
  type: list({
    placeholder: '<a,b,…>',
    explanation: 'Only records of these types; _malformed and _untyped are those that have none.',
  }),
  topic: list({ placeholder: '<a,b,…>', explanation: 'Only records of these topics.' }),
  partition: integer({ min: 0, explanation: 'Only records of this partition.' }),
  from: instant({ explanation: 'Only records of this Kafka timestamp and later, in UTC.' }),
  to: instant({ explanation: 'Only records before this Kafka timestamp, in UTC.' }),
}

export const lsOptions = {
  archiveDir: filesOptions.archiveDir,
  by: oneOf(['type', 'day', 'hour', 'partition', 'file'], { default: 'type', explanation: 'What a row stands for.' }),
  ...selectionOptions,
  json: flag({ default: false, explanation: 'Print one JSON object a row.' }),
  ...logOptions,
}

export type LsOptions = Values<typeof lsOptions>

export const catOptions = {
  archiveDir: filesOptions.archiveDir,
  ...selectionOptions,
  offset: integer({ min: 0, explanation: 'Only the record of this offset; with --topic and --partition.' }),
  where: text({
    placeholder: '<field=value>',
    explanation: 'Only records with this field, such as value.user.id=u1, value.amount>=100 or kafka.key!=k1.',
  }),
  order: oneOf(['oldest', 'newest'], { default: 'oldest', explanation: 'Which records come first.' }),
  limit: integer({ min: 1, explanation: 'No more than so many records.' }),
  valueOnly: flag({ default: false, explanation: "Print the producers' values alone." }),
  ...logOptions,
}

export type CatOptions = Values<typeof catOptions>
