import { elasticsearchConnectionOptions, filesOptions, kafkaOptions, logOptions } from '../config.ts'
import { flag, list, type Values } from '../options.ts'

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
