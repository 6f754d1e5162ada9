import type { RunOptions } from '../../config/commands/run.ts'
import { everyTopicOptions, optionsOfTopic } from '../../config/topic-settings.ts'
import { typeSource } from '../../config/types.ts'
import { MissingTypes } from '../../pipeline/missing-types.ts'
import { LineEncoder } from '../../record/line/encoder.ts'
import type { RecordBatch } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'

/** The encoder of each topic, and who looks for its types: topics may have own settings. */
export class TopicEncoders {
  readonly #options: RunOptions
  readonly #log: Logger
  readonly #byTopic = new Map<string, TopicEncoder>()
  /** By the text of the options that make the difference. */
  readonly #byOptions = new Map<string, TopicEncoder>()

  /** @throws ArchiverError `USAGE` for a path of types that is none, of any topics */
  constructor(options: RunOptions, log: Logger) {
    this.#options = options
    this.#log = log
    for (const each of everyTopicOptions(options)) this.#encoderOf(each)
  }

  readonly encode: LineEncoder['encode'] = (batch, gaps) =>
    this.#of(batch.topic).encoder.encode(batch, gaps)

  look(batch: RecordBatch): void {
    this.#of(batch.topic).types.look(batch)
  }

  #of(topic: string): TopicEncoder {
    let found = this.#byTopic.get(topic)
    if (found === undefined) {
      found = this.#encoderOf(optionsOfTopic(this.#options, topic))
      this.#byTopic.set(topic, found)
    }
    return found
  }

  #encoderOf(options: RunOptions): TopicEncoder {
    const { typeFrom, typePath, typeHeader, framedJson } = options
    const key = JSON.stringify([typeFrom, typePath, typeHeader, framedJson])
    let found = this.#byOptions.get(key)
    if (found === undefined) {
      const types = typeSource(options)
      found = {
        encoder: new LineEncoder(types, options),
        types: new MissingTypes(types, this.#log),
      }
      this.#byOptions.set(key, found)
    }
    return found
  }
}

interface TopicEncoder {
  readonly encoder: LineEncoder
  readonly types: MissingTypes
}
