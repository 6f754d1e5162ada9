import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { messageOf } from '../src/runtime/errors.ts'
import { fetchKafka, kafkaVersion } from './fetch.ts'
import { chooseJava, type Java } from './java.ts'
import { errorLine, type PartDefinition } from './part.ts'
import { mebibyte, type StackSettings } from './settings.ts'
import { StackError } from './stack-error.ts'

const log4jConfiguration = fileURLToPath(new URL('kafka-log4j2.properties', import.meta.url))
const century = 100 * 365 * 24 * 3_600_000

/**
 * The configuration of one KRaft node for development and tests. It leaves Kafka's defaults only to
 * make small things quick (rebalance, compaction, retention), to be satisfied with one
 * node, or to keep history: a record of 2019 must not fall to the retention of a week, nor a mix of
 * old and new timestamps roll a segment at each batch.
 */
export function kafkaProperties(
  settings: Pick<StackSettings, 'kafkaPort' | 'controllerPort'>,
  data: string,
  more: KafkaVariation['properties'] = {},
): string {
  const properties: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${settings.controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${settings.kafkaPort},CONTROLLER://127.0.0.1:${settings.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${settings.kafkaPort}`,
    'log.dirs': data,
    'auto.create.topics.enable': false,
    'num.partitions': 4,
    'default.replication.factor': 1,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 4,
    // After a crash the node must wait this long for its former self to be given up.
    'broker.session.timeout.ms': 5000,
    'broker.heartbeat.interval.ms': 1000,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'message.max.bytes': 10 * mebibyte,
    'replica.fetch.max.bytes': 10 * mebibyte,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'log.retention.ms': -1,
    'log.roll.ms': century,
    'log.retention.check.interval.ms': 5000,
    'log.segment.delete.delay.ms': 1000,
    'log.cleaner.backoff.ms': 1000,
    'log.cleaner.dedupe.buffer.size': 16 * mebibyte,
    ...more,
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${escapeValue(String(value))}\n`)
    .join('')
}

/** A backslash begins an escape in Java's properties. */
function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\')
}

/**
 * What a test has otherwise: properties in place of or beside the usual ones, and arguments for
 * formatting the data folder.
 */
export interface KafkaVariation {
  readonly properties: Readonly<Record<string, string | number | boolean>>
  readonly format: readonly string[]
}

/** Kafka of one stack. */
export function kafkaPart(
  settings: StackSettings,
  javas: () => readonly Java[],
  variation: KafkaVariation = { properties: {}, format: [] },
): PartDefinition {
  const version = kafkaVersion()
  const title = `Kafka ${version}`
  const dir = join(settings.dir, 'kafka')
  const data = join(dir, 'data')
  const configuration = join(dir, 'server.properties')
  const logFile = join(dir, 'server.log')
  const marker = `-Darchiver.stack.log=${logFile}`
  return {
    name: 'kafka',
    title,
    address: `127.0.0.1:${settings.kafkaPort}`,
    ports: [
      { port: settings.kafkaPort, flag: '--kafka-port' },
      { port: settings.controllerPort, flag: '--controller-port' },
    ],
    memory: settings.kafkaHeap + 300 * mebibyte,
    marker,
    pidFile: join(dir, 'pid'),
    logFile,
    outputFile: join(dir, 'output.log'),
    ask: (signal) => askApiVersions(settings.kafkaPort, signal),
    prepare: async (progress) => {
      const java = chooseJava(javas(), 17, title)
      const program = join(java.home, 'bin', 'java')
      const jars = join(await fetchKafka(settings.cacheDir, java.home, progress), '*')
      mkdirSync(dir, { recursive: true })
      writeFileSync(configuration, kafkaProperties(settings, data, variation.properties))
      if (!existsSync(join(data, 'meta.properties'))) {
        rmSync(data, { recursive: true, force: true })
        await format(program, jars, configuration, variation.format)
      }
      rmSync(logFile, { force: true })
      return {
        program,
        args: [
          `-Xms${Math.min(256, settings.kafkaHeap / mebibyte)}m`,
          `-Xmx${settings.kafkaHeap / mebibyte}m`,
          '-XX:+UseG1GC',
          '-XX:MaxGCPauseMillis=20',
          '-XX:+ExitOnOutOfMemoryError',
          '-Djava.awt.headless=true',
          `-Dlog4j2.configurationFile=${log4jConfiguration}`,
          marker,
          '-cp',
          jars,
          'kafka.Kafka',
          configuration,
        ],
        cwd: dir,
        env: process.env,
        daemonizes: false,
      }
    },
  }
}

async function format(
  java: string,
  jars: string,
  configuration: string,
  more: readonly string[],
): Promise<void> {
  const clusterId = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url')
  try {
    await promisify(execFile)(java, [
      '-XX:TieredStopAtLevel=1',
      '-cp',
      jars,
      'kafka.tools.StorageTool',
      'format',
      '--cluster-id',
      // An argument that begins with a dash would be read as an option.
      clusterId.replace(/^-/, 'A'),
      '--config',
      configuration,
      ...more,
    ])
  } catch (error) {
    throw new StackError(
      `Kafka's data folder cannot be made: ${errorLine(messageOf(error)) ?? messageOf(error)}`,
      error,
    )
  }
}

/**
 * Sends an ApiVersions request (version 0, as in Kafka's protocol guide) and reads the head of the
 * answer: size, our correlation id, error code 0. A broker answers it once it is registered and
 * unfenced.
 */
async function askApiVersions(port: number, signal: AbortSignal): Promise<void> {
  const correlationId = 20_110_411
  const clientId = Buffer.from('stack')
  const request = Buffer.alloc(14 + clientId.length)
  request.writeInt32BE(request.length - 4, 0)
  request.writeInt16BE(18, 4)
  request.writeInt16BE(0, 6)
  request.writeInt32BE(correlationId, 8)
  request.writeInt16BE(clientId.length, 12)
  clientId.copy(request, 14)
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal }, () => socket.write(request))
    let answer = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 10) return
      socket.destroy()
      if (answer.readInt32BE(4) === correlationId && answer.readInt16BE(8) === 0) resolve()
      else reject(new Error(`what listens on port ${port} is not Kafka`))
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
  })
}
