import {
  bulkOptions,
  elasticsearchConnectionOptions,
  filesOptions,
  kafkaConnectionOptions,
  logOptions,
  mysqlConnectionOptions,
  mysqlSinkOptions,
  workerOptions,
} from './config.ts'
import {
  age,
  duration,
  flag,
  instant,
  integer,
  list,
  oneOf,
  pattern,
  text,
  texts,
  type Values,
} from './options.ts'

/** Options of the commands that read an archive. */

export const verifyOptions = {
  archiveDir: filesOptions.archiveDir,
  ...kafkaConnectionOptions,
  kafka: flag({
    default: true,
    explanation: 'Do not ask Kafka: then nothing is said of what was committed.',
  }),
  ...elasticsearchConnectionOptions,
  ...mysqlConnectionOptions,
  topics: list({
    placeholder: '<a,b,…>',
    explanation: 'Only these topics; all of the archive where none is named.',
  }),
  deep: flag({
    default: false,
    explanation: 'Compare every document and every row with its line, byte for byte.',
  }),
  fast: flag({
    default: false,
    explanation: 'Look at manifests, sizes and counts only; no file is read.',
  }),
  values: flag({
    default: false,
    explanation:
      'Compare count, minimum, maximum and sum of every numeric field in Elasticsearch with the numbers in the files, by type and day.',
  }),
  readers: flag({
    default: false,
    explanation:
      'Also count the records that are valid JSON and that strict readers (DuckDB, Spark, Polars, pandas, pyarrow, jq) refuse, and name the first of each kind. They do not fail the proof.',
  }),
  json: flag({ default: false, explanation: 'Print one JSON object.' }),
  ...logOptions,
}

export type VerifyOptions = Values<typeof verifyOptions>

const selectionOptions = {
  type: texts({
    explanation:
      'Only records of these types; _malformed and _untyped are those that have none. The type that messages call _untyped is %5Funtyped.',
  }),
  topic: list({ placeholder: '<a,b,…>', explanation: 'Only records of these topics.' }),
  partition: integer({ min: 0, explanation: 'Only records of this partition.' }),
  from: instant({ explanation: 'Only records of this Kafka timestamp and later, in UTC.' }),
  to: instant({ explanation: 'Only records before this Kafka timestamp, in UTC.' }),
}

export const lsOptions = {
  archiveDir: filesOptions.archiveDir,
  by: oneOf(['type', 'day', 'hour', 'partition', 'file'], {
    default: 'type',
    explanation: 'What a row stands for.',
  }),
  ...selectionOptions,
  json: flag({ default: false, explanation: 'Print one JSON object a row.' }),
  ...logOptions,
}

export type LsOptions = Values<typeof lsOptions>

export const catOptions = {
  archiveDir: filesOptions.archiveDir,
  ...selectionOptions,
  offset: integer({
    min: 0,
    explanation: 'Only the record of this offset; with --topic and --partition.',
  }),
  where: text({
    placeholder: '<field=value>',
    explanation:
      'Only records with this field, such as value.user.id=u1, value.amount>=100 or kafka.key!=k1.',
  }),
  order: oneOf(['oldest', 'newest'], {
    default: 'oldest',
    explanation: 'Which records come first.',
  }),
  limit: integer({ min: 1, explanation: 'No more than so many records.' }),
  valueOnly: flag({ default: false, explanation: "Print the producers' values alone." }),
  strict: flag({
    default: false,
    explanation:
      'Leave out records that are valid JSON and that strict readers refuse all the same, name them on standard error, and end with 1 if there were any.',
  }),
  ...logOptions,
}

export type CatOptions = Values<typeof catOptions>

export const restoreOptions = {
  archiveDir: filesOptions.archiveDir,
  to: oneOf(['elasticsearch', 'mysql', 'kafka'], {
    default: 'elasticsearch',
    explanation: 'Where the records go.',
  }),
  type: selectionOptions.type,
  topic: selectionOptions.topic,
  partition: selectionOptions.partition,
  from: selectionOptions.from,
  until: selectionOptions.to,
  toTopic: text({
    placeholder: '<topic>',
    explanation:
      'Topic to restore to; made where it is missing. Without it, each record goes to the topic it was of.',
  }),
  intoArchived: flag({
    default: false,
    explanation:
      'Restore also to a topic that workers archive, although they archive the records once more.',
  }),
  yes: flag({
    default: false,
    explanation:
      'Do not ask: restore to a topic that holds records already, or that keeps the restored ones for a short time only.',
  }),
  topics: list({
    placeholder: '<a,b,…>',
    explanation:
      'Topics that workers archive. Without --topic only these are restored; to Kafka, never to one of them.',
  }),
  topicsRegex: pattern({
    explanation:
      'The same as a regular expression, which matches anywhere in a name unless it has ^ and $.',
  }),
  ...kafkaConnectionOptions,
  ...elasticsearchConnectionOptions,
  ...bulkOptions,
  ...mysqlConnectionOptions,
  ...mysqlSinkOptions,
  memoryBudget: workerOptions.memoryBudget,
  ...logOptions,
}

export type RestoreOptions = Values<typeof restoreOptions>

export const retryRejectedOptions = {
  ...elasticsearchConnectionOptions,
  type: texts({ explanation: 'Only rejects of these types of messages.' }),
  reason: text({
    explanation:
      'Only rejects for this: an error type such as document_parsing_exception, or words of the reason.',
  }),
  dryRun: flag({ default: false, explanation: 'Say what there is, send nothing.' }),
  json: flag({ default: false, explanation: 'Print one JSON object a type and reason.' }),
  bulkBytes: bulkOptions.bulkBytes,
  ...logOptions,
}

export type RetryRejectedOptions = Values<typeof retryRejectedOptions>

export const statusOptions = {
  archiveDir: filesOptions.archiveDir,
  ...kafkaConnectionOptions,
  kafka: flag({ default: true, explanation: 'Do not ask Kafka.' }),
  workers: list({
    placeholder: '<host:port,…>',
    explanation:
      'Where workers serve their status (their --http): then it is said what each partition waits for.',
  }),
  json: flag({ default: false, explanation: 'Print one JSON object.' }),
  ...logOptions,
}

export type StatusOptions = Values<typeof statusOptions>

export const pruneOptions = {
  archiveDir: filesOptions.archiveDir,
  olderThan: age({ explanation: 'Days that are wholly older than this go.' }),
  finish: flag({
    default: false,
    explanation:
      'Instead of --older-than: finish prunes that were interrupted, each to the date that it had.',
  }),
  files: flag({ default: true, explanation: 'Remove no files.' }),
  ...elasticsearchConnectionOptions,
  ...mysqlConnectionOptions,
  dryRun: flag({ default: false, explanation: 'Say what would go, remove nothing.' }),
  yes: flag({ default: false, explanation: 'Do not ask. Only on a terminal is it asked at all.' }),
  ...logOptions,
}

export type PruneOptions = Values<typeof pruneOptions>

export const compactOptions = {
  archiveDir: filesOptions.archiveDir,
  topic: selectionOptions.topic,
  partition: selectionOptions.partition,
  compactAfter: duration({
    default: '1h',
    placeholder: '<30m>',
    explanation:
      'Hours that closed so long ago, and got no file since, are merged; manifests this old are folded. 0: whatever is there.',
  }),
  compactMaxBytes: filesOptions.compactMaxBytes,
  dryRun: flag({ default: false, explanation: 'Say what would be done, change nothing.' }),
  json: flag({ default: false, explanation: 'Print one JSON object a partition.' }),
  ...logOptions,
}

export type CompactOptions = Values<typeof compactOptions>
