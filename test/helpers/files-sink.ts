import { FilesSink, type FilesSinkOptions } from '../../src/files/sink.ts'
import type { Home } from '../../src/home/home.ts'
import { createLogger, type Logger } from '../../src/runtime/log.ts'
import { homeAt } from './home.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

/** A files sink that flushes on demand, and compacts nothing. */
export function createFilesSink(
  place: string | Home,
  options: Partial<FilesSinkOptions> = {},
  log: Logger = quiet,
): FilesSink {
  return new FilesSink(
    {
      home: typeof place === 'string' ? homeAt(place) : place,
      clusterId: 'cluster',
      group: 'group',
      worker: 'one',
      gzipLevel: 1,
      flushIntervalMs: 3_600_000,
      flushBytes: 2 ** 30,
      memoryLimit: 2 ** 26,
      committedOffset: () => undefined,
      compactAfterMs: 0,
      ...options,
    },
    log,
  )
}
