import { type ConnectionState, processData } from './frame-limit.ts'
import { prototypeOf } from './modules.ts'

/** kafkajs believes any length that a server announces; this one has a limit. */
export function repairFrames(): void {
  const prototype = prototypeOf<{ processData(this: ConnectionState, data: Buffer): void }>(
    'network/connection',
    ['processData'],
  )
  prototype.processData = processData
}
