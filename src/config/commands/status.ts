import { archiveSet, json } from '../archive.ts'
import { kafkaConnectionSet } from '../kafka.ts'
import { logGroup } from '../log.ts'
import { combine, flag, onlyIf, own, type ValuesOf, workerUrls } from '../options.ts'

export const statusSet = combine([
  archiveSet,
  onlyIf('kafka', kafkaConnectionSet),
  own({
    kafka: flag({
      default: true,
      explanation: 'Ask Kafka for committed offsets, the ends of the log and the lag.',
    }),
    workers: workerUrls({
      explanation:
        'Addresses at which workers serve their status (their --http), to show what each partition waits for.',
    }),
    json: json(''),
  }),
  logGroup,
])

export type StatusOptions = ValuesOf<typeof statusSet>
