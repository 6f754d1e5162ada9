import type { Kafka } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { ArchiverError, messageOf } from '../../src/runtime/errors.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { openStack, type Stack } from '../../stack/stack-control.ts'
import { listenerOf } from './proc.ts'
import { type BenchStore, openStore } from './store.ts'

/**
 * The servers that a benchmark runs against, and their processes, if they run on this machine.
 */
export interface Servers {
  readonly brokers: string
  readonly elasticsearch: string
  readonly pids: {
    readonly kafka: number | undefined
    readonly elasticsearch: number | undefined
    readonly store: number | undefined
  }
  /** For cases that need one. */
  readonly store: BenchStore | undefined
  readonly usesElasticsearch: boolean
  readonly kafka: Kafka
  /** Stops what was started for this. */
  readonly stop: () => Promise<void>
}

export const silentLog = createLogger({ level: 'silent', stream: process.stderr })

const ownStack = {
  dir: '.stack-bench',
  kafkaPort: 29_092,
  elasticsearchPort: 29_200,
  s3Port: 29_000,
}

/**
 * Those that are named, else a stack of the benchmark's own, which keeps its data for the next
 * time.
 *
 * @param pids `kafka=<pid>,elasticsearch=<pid>`; what is not given is found by its port.
 */
export async function openServers(options: {
  readonly brokers: string | undefined
  readonly elasticsearch: string | undefined
  /** The address of an object store, or `versitygw`. */
  readonly s3: string | undefined
  /** Where versitygw keeps its files. */
  readonly directory: string
  readonly pids: readonly string[] | undefined
  readonly needElasticsearch: boolean
  readonly needStore: boolean
  readonly keepStack: boolean
  readonly say: (line: string) => void
}): Promise<Servers> {
  const { say } = options
  const missing = [
    ...(options.brokers === undefined ? (['kafka'] as const) : []),
    ...(options.elasticsearch === undefined && options.needElasticsearch
      ? (['elasticsearch'] as const)
      : []),
    ...(options.s3 === undefined && options.needStore ? (['s3'] as const) : []),
  ]
  const stack: Stack = openStack(ownStack, { update: () => {}, say })
  const started = missing.filter((part) => stack[part].pid === undefined)
  try {
    if (missing.length > 0) await stack.start(...missing)
  } catch (error) {
    throw new ArchiverError('UNREACHABLE', messageOf(error), {}, error)
  }
  const brokers = options.brokers ?? stack.brokers
  const elasticsearch = (options.elasticsearch ?? stack.elasticsearchUrl).replace(/\/$/, '')
  const given = new Map(options.pids?.map((pair) => pair.split('=') as [string, string]))
  const pidOf = (name: string, address: string) => {
    const pid = given.has(name)
      ? Number(given.get(name))
      : listenerOf(Number(new URL(address).port))
    if (pid === undefined)
      say(`${name} at ${address} is no process of this machine: its CPU time is not measured`)
    return pid
  }
  const store = options.needStore
    ? await openStore(options.s3 ?? stack.s3Url, options.directory)
    : undefined
  return {
    brokers,
    elasticsearch,
    pids: {
      kafka: pidOf('kafka', `http://${brokers.split(',')[0]}`),
      elasticsearch: options.needElasticsearch ? pidOf('elasticsearch', elasticsearch) : undefined,
      store: store?.pid ?? (store && pidOf('store', store.url)),
    },
    store,
    usesElasticsearch: options.needElasticsearch,
    kafka: createKafka({ brokers: brokers.split(','), clientId: 'bench', log: silentLog }),
    stop: async () => {
      await store?.stop()
      if (!options.keepStack && started.length > 0) await stack.stop(...started)
    },
  }
}
