import { hostname } from 'node:os'
import { messageOf } from '../runtime/errors.ts'
import { readSecretFile } from '../runtime/secret-file.ts'
import {
  bytes,
  exclusive,
  file,
  flag,
  group,
  integer,
  list,
  listenAddress,
  oneOf,
  requires,
  secret,
  text,
  usage,
  type ValuesOf,
} from './options.ts'

export const memoryBudget = bytes({
  default: '256MiB',
  min: 32 * 2 ** 20,
  explanation:
    'Memory for records on their way, on top of what the process itself needs. When it is full, partitions are paused.',
})

/** A scrape of this many partitions is 240 kB and 3,500 series. */
export const maxMetricPartitions = 500

/** How a worker runs. */
export const workerGroup = group(
  'The worker',
  {
    http: listenAddress({
      explanation:
        'Serve /metrics for Prometheus, /healthz, /readyz and /status at this address. A port alone means the loopback interface.',
    }),
    httpNames: list({
      explanation:
        'Host names with a dot that requests to --http may use, e.g. archiver.example.com. Addresses and names without a dot are always allowed.',
    }),
    httpToken: secret(
      text({
        check: checkToken,
        explanation:
          'Token of 16 characters or more for POST /pause and POST /resume at --http; without one these do not exist. Prefer a variable or a file.',
      }),
    ),
    httpTokenFile: file({
      explanation: 'File with that token; a line break at its end is ignored.',
    }),
    metricsPartitions: oneOf(['auto', 'on', 'off'], {
      default: 'auto',
      explanation: `Metrics of single partitions at /metrics. auto: while this worker has no more than ${maxMetricPartitions} partitions. Sums for each topic are always there.`,
    }),
    untilEnd: flag({
      default: false,
      explanation: 'Stop at the end offsets seen at the start: flush, commit, exit.',
    }),
    onGap: oneOf(['stop', 'continue'], {
      default: 'stop',
      explanation:
        'What to do with a partition whose records were lost before they were read, are damaged or are too large: stop it, or continue after them.',
    }),
    sessionTimeout: integer({
      default: '30000',
      min: 6000,
      max: 1_800_000,
      unit: 'ms',
      explanation:
        'How long Kafka waits for a silent worker before it gives its partitions to others.',
    }),
    memoryBudget,
    maxRecordBytes: bytes({
      default: '128MiB',
      min: 2 ** 20,
      max: 256 * 2 ** 20,
      explanation:
        'Maximum size of a record: key, value and headers after decompression, plus 64 bytes a header. A larger record is not archived. It is a gap with the reason oversized, and --on-gap decides about its partition.',
    }),
    commitInterval: integer({
      default: '1000',
      min: 50,
      max: 60_000,
      unit: 'ms',
      explanation: 'Interval between commits of the offsets that all sinks hold.',
    }),
    shutdownTimeout: integer({
      default: '60',
      min: 1,
      unit: 's',
      explanation: 'Maximum time for the last flush after a signal.',
    }),
    logSamples: flag({
      default: false,
      explanation:
        'Log the beginning of a record that Elasticsearch or MySQL rejects, and reasons that quote it.',
    }),
    statusDocuments: flag({
      default: true,
      explanation:
        'Write documents about the state of the worker to archiver-status-<yyyy.mm> in Elasticsearch.',
    }),
    statusInterval: integer({
      default: '30',
      min: 1,
      unit: 's',
      explanation:
        'Interval between status documents, and between status lines in the log if there is no terminal to show them.',
    }),
    learn: flag({
      default: false,
      explanation:
        'Look at samples of what is archived, and propose in the log and in status documents when the fields of a type outgrow its mapping. It applies nothing: archiver mapping --apply does.',
    }),
    learnInterval: integer({
      default: '300',
      min: 1,
      unit: 's',
      explanation: 'Interval between comparisons with the mappings on the cluster.',
    }),
  },
  [exclusive('httpToken', 'httpTokenFile'), requires(['httpToken', 'httpTokenFile'], 'http')],
)

function checkToken(token: string): void {
  if (!/^[\x21-\x7e]{16,}$/.test(token))
    throw new Error('16 or more visible characters of ASCII, without blanks')
}

/** The token of these options. @throws ArchiverError `USAGE` */
export function httpToken(values: ValuesOf<typeof workerGroup>): string | undefined {
  const token = values.httpToken ?? readSecretFile('--http-token-file', values.httpTokenFile)
  if (token === undefined) return undefined
  try {
    checkToken(token)
  } catch (error) {
    throw usage(`--http-token-file: expected ${messageOf(error)}`)
  }
  return token
}

/** A unique name for this process among the workers, for manifests and staging directories. */
export function workerName(): string {
  return `${hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 40)}-${process.pid}-${Date.now().toString(36)}`
}
