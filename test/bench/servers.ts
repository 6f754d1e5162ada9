import type { Kafka } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { ArchiverError, messageOf } from '../../src/runtime/errors.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { openStack, type Stack } from '../../stack/stack-control.ts'
import { listenerOf } from './proc.ts'

/**
 * The servers that a benchmark runs against, and their processes, if they run on this machine.
 */
export interface Servers {
  readonly brokers: string
  readonly elasticsearch: string
  readonly pids: { readonly kafka: number | undefined; readonly elasticsearch: number | undefined }
  readonly usesElasticsearch: boolean
  readonly kafka: Kafka
  /** Stops what was started for this. */
  readonly stop: () => Promise<void>
}

export const silentLog = createLogger({ level: 'silent', stream: process.stderr })

const ownStack = { dir: '.stack-bench', kafkaPort: 29_092, elasticsearchPort: 29_200 }

/**
 * Those that are named, else a stack of the benchmark's own, which keeps its data for the next
 * time.
 *
 * @param pids `kafka=<pid>,elasticsearch=<pid>`; what is not given is found by its port.
 */
export async function openServers(options: {
  readonly brokers: string | undefined
  readonly elasticsearch: string | undefined
  readonly pids: readonly string[] | undefined
  readonly needElasticsearch: boolean
  readonly keepStack: boolean
  readonly say: (line: string) => void
}): Promise<Servers> {
  const { say } = options
  const missing = [
    ...(options.brokers === undefined ? (['kafka'] as const) : []),
    ...(options.elasticsearch === undefined && options.needElasticsearch
      ? (['elasticsearch'] as const)
      : []),
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
  return {
    brokers,
    elasticsearch,
    pids: {
      kafka: pidOf('kafka', `http://${brokers.split(',')[0]}`),
      elasticsearch: options.needElasticsearch ? pidOf('elasticsearch', elasticsearch) : undefined,
    },
    usesElasticsearch: options.needElasticsearch,
    kafka: createKafka({ brokers: brokers.split(','), clientId: 'bench', log: silentLog }),
    stop: async () => {
      if (!options.keepStack && started.length > 0) await stack.stop(...started)
    },
  }
}
