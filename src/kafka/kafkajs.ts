import { createRequire } from 'node:module'
import type { Kafka as KafkaClass } from 'kafkajs'
import { ArchiverError } from '../runtime/errors.ts'
import { type FetchedBytes, FetchedPartitionBatch } from './batch/fetched-batch.ts'
import type { OldMessage } from './batch/old-messages.ts'
import { partitionErrorEdits } from './partition-errors.ts'
import { brokerAddressEdits } from './repairs/broker-address.ts'
import { clockEdits } from './repairs/clocks.ts'
import { type ConnectionState, processData } from './repairs/frame-limit.ts'
import { withSourceEdits } from './repairs/source-edits.ts'
import { topicMapEdits } from './repairs/topic-maps.ts'

/**
 * The only door to kafkajs. It puts repairs in place before kafkajs is loaded; kafkajs 2.2.4 has
 * been the last version since 2023 and is pinned exactly. Each repair replaces one module or method
 * by its name, and fails loudly where that is not what it was written for. Nothing that guards the
 * data relies on them: the worker checks positions itself.
 */

const require = createRequire(import.meta.url)

interface Decoder {
  readInt32(): number
  canReadBytes(length: number): boolean
  readBytes(length: number): Buffer
}

type DecodeMessages = (
  decoder: Decoder,
) => Promise<FetchedBytes | readonly never[] | readonly OldMessage[]>

/** Replaces what a module of kafkajs exports, before anything has loaded it. */
function replaceModule<T>(name: string, replace: (original: T) => T): void {
  const path = require.resolve(`kafkajs/src/${name}`)
  if (path in require.cache) throw unexpected(`${name} was loaded before it could be repaired`)
  const original = require(path) as T
  const loaded = require.cache[path]
  if (typeof original !== 'function' || loaded === undefined)
    throw unexpected(`${name} is not a function`)
  loaded.exports = replace(original)
}

function unexpected(what: string): ArchiverError {
  return new ArchiverError('INTERNAL', `kafkajs is not as expected (2.2.4): ${what}`)
}

/**
 * Takes the bytes of a partition as they are: whoever has room for them inflates them. See
 * `unpack.ts`.
 */
function repairRecordReader(): void {
  const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => Decoder
  replaceModule<DecodeMessages>('protocol/requests/fetch/v4/decodeMessages', (original) => {
    const decodeOld: FetchedBytes['decodeOld'] = (bytes) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(bytes.length)
      return original(new Decoder(Buffer.concat([length, bytes]))) as Promise<readonly OldMessage[]>
    }
    return async (decoder) => {
      const length = decoder.readInt32()
      if (length <= 0 || !decoder.canReadBytes(length)) return []
      return { bytes: decoder.readBytes(length), decodeOld }
    }
  })
}

/** See `fetched-batch.ts`. */
function repairBatch(): void {
  replaceModule<unknown>('consumer/batch', () => FetchedPartitionBatch)
}

/** An assigner that carries this is told before its consumer joins, or joins again. */
export const beforeJoin = Symbol('beforeJoin')

interface ConsumerGroup {
  readonly assigners: readonly { readonly [beforeJoin]?: () => Promise<void> }[]
  readonly cluster: { refreshMetadataIfNecessary(): Promise<void> }
  readonly maxWaitTime: number
  checkForStaleAssignment(): void
  recoverFromFetch(error: unknown): Promise<void>
  getActiveTopicPartitions(): Readonly<Record<string, ReadonlySet<number>>>
  /** Ends the waits for a partition that is resumed. */
  [wakeUps]?: Set<() => void>
}

interface ConsumerGroupPrototype {
  joinAndSync?: (this: ConsumerGroup) => Promise<void>
  fetch?: (this: ConsumerGroup, nodeId: number) => Promise<readonly unknown[]>
  resume?: (this: ConsumerGroup, topicPartitions: unknown) => void
}

/**
 * kafkajs has no callback before partitions are taken away, and one of its ways to join again has
 * no event either. This one stands before all of them: a consumer may make durable and commit what
 * it can before it gives partitions up.
 */
function repairJoin(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup') as {
    prototype: ConsumerGroupPrototype
  }
  const join = prototype.joinAndSync
  if (typeof join !== 'function') throw unexpected('ConsumerGroup has no joinAndSync')
  prototype.joinAndSync = async function () {
    for (const assigner of this.assigners) await assigner[beforeJoin]?.()
    return join.call(this)
  }
}

const wakeUps = Symbol('wakeUps')

/**
 * Where all partitions are paused, kafkajs sleeps for as long as a fetch may take, whatever is
 * resumed meanwhile: half a second at every start, for partitions are paused until they are open,
 * and after every time that sinks were full. This one wakes up.
 */
function repairPausedFetch(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup') as {
    prototype: ConsumerGroupPrototype
  }
  const { fetch, resume } = prototype
  if (typeof fetch !== 'function' || typeof resume !== 'function')
    throw unexpected('ConsumerGroup has no fetch and resume')
  prototype.fetch = async function (nodeId) {
    const isPaused = Object.values(this.getActiveTopicPartitions()).every(({ size }) => size === 0)
    if (!isPaused) return fetch.call(this, nodeId)
    try {
      await this.cluster.refreshMetadataIfNecessary()
      this.checkForStaleAssignment()
      await untilResumed(this)
    } catch (error) {
      await this.recoverFromFetch(error)
    }
    return []
  }
  prototype.resume = function (topicPartitions) {
    resume.call(this, topicPartitions)
    for (const wakeUp of this[wakeUps] ?? []) wakeUp()
  }
}

function untilResumed(group: ConsumerGroup): Promise<void> {
  return new Promise((resolve) => {
    group[wakeUps] ??= new Set()
    const wakeUp = () => {
      clearTimeout(timer)
      group[wakeUps]!.delete(wakeUp)
      resolve()
    }
    const timer = setTimeout(wakeUp, group.maxWaitTime)
    group[wakeUps].add(wakeUp)
  })
}

interface OffsetManagerPrototype {
  setDefaultOffset?: (
    this: {
      readonly cluster: {
        fetchTopicsOffset(
          topics: readonly {
            topic: string
            partitions: readonly { partition: number }[]
            fromBeginning: boolean
          }[],
        ): Promise<readonly { readonly partitions: readonly { readonly offset: string }[] }[]>
      }
      readonly topicConfigurations: Readonly<Record<string, { readonly fromBeginning: boolean }>>
      readonly resolvedOffsets: Record<string, Record<number, string>>
      committedOffsets(): Record<string, Record<number, string>>
    },
    tp: { topic: string; partition: number },
  ) => Promise<void>
}

/**
 * Where an offset is out of range, kafkajs commits "earliest" over what the group had, and with
 * that goes what tells lost records from those that were never wanted. This one only moves the
 * position; the group's offset stays the worker's, who finds that the next batch does not begin
 * where it should.
 */
function repairReset(): void {
  const { prototype } = require('kafkajs/src/consumer/offsetManager') as {
    prototype: OffsetManagerPrototype
  }
  if (typeof prototype.setDefaultOffset !== 'function')
    throw unexpected('OffsetManager has no setDefaultOffset')
  prototype.setDefaultOffset = async function ({ topic, partition }) {
    const { fromBeginning } = this.topicConfigurations[topic]!
    const [found] = await this.cluster.fetchTopicsOffset([
      { topic, partitions: [{ partition }], fromBeginning },
    ])
    const offset = found?.partitions[0]?.offset
    if (offset === undefined)
      throw new Error(`Kafka does not say where the log of ${topic}/${partition} begins`)
    this.committedOffsets()[topic]![partition] = offset
    this.resolvedOffsets[topic]![partition] = offset
  }
}

interface Grouping<M> {
  readonly topic: string
  readonly partitionMetadata: readonly unknown[]
  readonly messages: readonly M[]
  readonly partitioner: (about: {
    topic: string
    partitionMetadata: readonly unknown[]
    message: M
  }) => number
}

/**
 * kafkajs copies the list of a partition for every message that it adds to it: its time grows with
 * the square of a batch.
 */
function repairGrouping(): void {
  replaceModule<(grouping: Grouping<object>) => Record<number, object[]>>(
    'producer/groupMessagesPerPartition',
    () =>
      ({ topic, partitionMetadata, messages, partitioner }) => {
        const grouped: Record<number, object[]> = {}
        if (partitionMetadata.length === 0) return grouped
        for (const message of messages) {
          const partition = partitioner({ topic, partitionMetadata, message })
          grouped[partition] ??= []
          grouped[partition].push(message)
        }
        return grouped
      },
  )
}

/** See `frame-limit.ts`. */
function repairFrames(): void {
  const { prototype } = require('kafkajs/src/network/connection') as {
    prototype: { processData?: (this: ConnectionState, data: Buffer) => void }
  }
  if (typeof prototype.processData !== 'function') throw unexpected('Connection has no processData')
  prototype.processData = processData
}

function load(): unknown {
  repairFrames()
  repairGrouping()
  repairRecordReader()
  repairBatch()
  repairJoin()
  repairReset()
  repairPausedFetch()
  // kafkajs loads what it needs of a protocol when it first asks a broker; edits are for what is
  // loaded here.
  for (const { module } of partitionErrorEdits) require(`kafkajs/src/${module}`)
  return require('kafkajs')
}

/** kafkajs, repaired. */
export const kafkajs = withSourceEdits(
  [...topicMapEdits, ...clockEdits, ...brokerAddressEdits, ...partitionErrorEdits],
  load,
) as {
  readonly Kafka: typeof KafkaClass
} & typeof import('kafkajs')
