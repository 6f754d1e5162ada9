import { join } from 'node:path'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { ElasticsearchSink } from '../../src/elasticsearch/sink/sink.ts'
import { Mysql } from '../../src/mysql/client.ts'
import { MysqlSink } from '../../src/mysql/sink.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import { MemorySink, type MemoryStore } from '../helpers/memory-sink.ts'
import { connectionOf, mysqlClient, readLines, tableName } from '../helpers/mysql.ts'
import {
  elasticsearchUrl,
  indexPrefix,
  temporaryDirectory,
  uniqueName,
} from '../helpers/servers.ts'
import { registerSinkContract } from '../helpers/sink-contract.ts'
import { readDocuments, readFiles } from '../helpers/stores.ts'

const log = createLogger({ level: 'silent', stream: process.stderr })
const hour = 3_600_000
const memoryLimit = 2 ** 20

registerSinkContract('memory', async () => {
  const store: MemoryStore = new Map()
  return {
    memoryLimit,
    topic: uniqueName('contract'),
    sink: () => new MemorySink(store, memoryLimit),
    lines: async () => [...store.values()],
  }
})

registerSinkContract('files', async (t) => {
  const archiveDir = join(await temporaryDirectory(t), 'archive')
  let workers = 0
  return {
    memoryLimit,
    topic: uniqueName('contract'),
    sink: () => createFilesSink(archiveDir, { worker: `worker-${workers++}`, memoryLimit }),
    lines: async () => (await readFiles(archiveDir)).map(({ line }) => line),
  }
})

registerSinkContract('elasticsearch', async (t) => {
  const prefix = indexPrefix(t)
  return {
    memoryLimit,
    topic: uniqueName('contract'),
    sink: () =>
      new ElasticsearchSink(
        new Elasticsearch({
          nodes: [elasticsearchUrl],
          compression: false,
          requestTimeoutMs: 30_000,
        }),
        {
          indexPrefix: prefix,
          bulkBytes: 2 ** 30,
          bulkConcurrency: 2,
          bulkLingerMs: hour,
          shardTimeoutMs: 10_000,
          rejectBreaker: 0,
          rejectHoldMs: hour,
          memoryLimit,
          hasFiles: false,
          logSamples: false,
          installTemplates: true,
          templateCheckMs: hour,
        },
        log,
      ),
    lines: async () => (await readDocuments(prefix)).map(({ line }) => line),
  }
})

registerSinkContract('mysql', async (t) => {
  const table = tableName(t)
  const reader = mysqlClient(t)
  return {
    memoryLimit,
    topic: uniqueName('contract'),
    sink: () =>
      new MysqlSink(
        new Mysql(connectionOf()),
        {
          table,
          batchBytes: 2 ** 30,
          concurrency: 2,
          lingerMs: hour,
          unrecognizedMs: hour,
          hasFiles: false,
          logSamples: false,
          memoryLimit,
        },
        log,
      ),
    lines: async () => (await readLines(reader, table)).map((line) => line ?? 'not all of it'),
  }
})
