import type { Kafka, KafkaConfig, LogEntry, RetryOptions } from 'kafkajs'
import type { Logger } from '../runtime/log.ts'
import { registerCodecs } from './batch/register-codecs.ts'
import { brokerSocket } from './broker-socket.ts'
import type { KafkaConnection } from './connection.ts'
import { kafkajs } from './kafkajs.ts'
import { kafkaSecurity } from './security.ts'

export interface KafkaOptions {
  readonly brokers: readonly string[]
  /** Our name in the broker's logs and quotas. */
  readonly clientId: string
  readonly log: Logger
  /** Overrides of how often and how long kafkajs retries. */
  readonly retry?: RetryOptions
  readonly ssl?: KafkaConfig['ssl']
  readonly sasl?: KafkaConfig['sasl']
}

const { logLevel: level } = kafkajs

/**
 * A kafkajs client with all codecs, our log and the repairs that kafkajs needs. Nothing is
 * connected yet.
 *
 * By default a request is tried for about half a minute: 300 ms, doubling, at most 8 s apart.
 */
export function createKafka({ brokers, clientId, log, retry, ssl, sasl }: KafkaOptions): Kafka {
  registerCodecs()
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: 5_000,
    requestTimeout: 30_000,
    socketFactory: brokerSocket,
    retry: { initialRetryTime: 300, multiplier: 2, maxRetryTime: 8_000, retries: 8, ...retry },
    // kafkajs builds the object of a line before its log creator sees it. The level keeps it from
    // building lines that are dropped.
    logLevel: log.isLevelEnabled('trace')
      ? level.DEBUG
      : log.isLevelEnabled('debug')
        ? level.INFO
        : level.WARN,
    logCreator: () => kafkaLogger(log),
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  })
}

/**
 * The client for a connection. Nothing is connected yet.
 * @throws ArchiverError `USAGE` if a file with a secret or a certificate cannot be read.
 */
export function kafkaClient(
  connection: KafkaConnection,
  about: Pick<KafkaOptions, 'clientId' | 'log' | 'retry'>,
): Kafka {
  const { brokers, clientId = about.clientId } = connection
  return createKafka({ brokers, ...about, clientId, ...kafkaSecurity(connection, about.log) })
}

/** What kafkajs logs at INFO is debug for this program. */
const levels: Readonly<Record<number, 'error' | 'warn' | 'debug' | 'trace'>> = {
  [level.ERROR]: 'error',
  [level.WARN]: 'warn',
  [level.INFO]: 'debug',
  [level.DEBUG]: 'trace',
}

/** kafkajs retries what these log; the caller gets the failure that remains. */
const connecting = new Set(['Connection', 'ConnectionPool', 'BrokerPool', 'Broker', 'Cluster'])
/** How long a connection may fail before it is worth a line. */
const connectionPatienceMs = 10_000
/** A repeated line is logged again after this time. After such a silence it counts as new. */
const sayAgainMs = 30_000

/**
 * Makes kafkajs's log lines those of this program; the namespace is the field `kafkajs`.
 *
 * A broker that is away causes the same lines several times a second. So a repeated warning or
 * error is logged every 30 s, and at debug in between. A connection's error is a warning, and only
 * after it has lasted for 10 s: most connections recover, and a command that cannot begin says so
 * itself.
 *
 * @param now milliseconds of a clock that never goes back
 */
export function kafkaLogger(
  log: Logger,
  now: () => number = () => performance.now(),
): (entry: LogEntry) => void {
  /** When a message was first and last seen without a long silence between, and last logged. */
  const known = new Map<string, { first: number; seen: number; logged: number }>()

  const isNews = (key: string, patienceMs: number): boolean => {
    const time = now()
    for (const [old, { seen }] of known) if (time - seen >= sayAgainMs) known.delete(old)
    const state = known.get(key) ?? { first: time, seen: time, logged: Number.NEGATIVE_INFINITY }
    known.set(key, state)
    state.seen = time
    if (time - state.first < patienceMs || time - state.logged < sayAgainMs) return false
    state.logged = time
    return true
  }

  return ({
    namespace,
    level: kafkaLevel,
    log: { timestamp, logger, message, stack, ...fields },
  }) => {
    let ours = levels[kafkaLevel] ?? 'debug'
    if (ours === 'error' || ours === 'warn') {
      const isConnecting = /^SaslAuthenticator/.test(namespace) || connecting.has(namespace)
      if (isConnecting) ours = 'warn'
      // A restore ends when its retries do. So it never sends a batch that Kafka may have already
      // with another sequence.
      if (message.startsWith('Limiting retries for the idempotent producer')) ours = 'debug'
      const key = `${namespace} ${String(fields.broker ?? '')} ${message}`
      if (!isNews(key, isConnecting ? connectionPatienceMs : 0)) ours = 'debug'
    }
    if (!log.isLevelEnabled(ours)) return
    const shown = stack !== undefined && log.isLevelEnabled('debug') ? { stack } : {}
    log[ours]({ event: 'kafka_client', kafkajs: namespace, ...fields, ...shown }, message)
  }
}
