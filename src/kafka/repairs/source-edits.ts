import Module from 'node:module'
import { isLoaded, pathOf, unexpectedKafkajs } from './modules.ts'

/** A text in a module of kafkajs, and what replaces it. */
export interface SourceEdit {
  /** Below `kafkajs/src`, without the extension. */
  readonly module: string
  readonly find: string
  readonly replace: string
  /** How often the module has the text: another number means another version of kafkajs. */
  readonly times: number
}

interface Compiling {
  _compile(content: string, filename: string, ...rest: unknown[]): unknown
}

/**
 * Edits modules of kafkajs while they are loaded, for faults that no replaced method can reach: a
 * name in the middle of a long function. Texts are exact, so an edit that does not fit fails the
 * start instead of doing something else.
 *
 * @param load loads kafkajs; every module that it loads is edited
 * @throws ArchiverError `INTERNAL` if a module was loaded before, is not loaded, or lacks its texts
 */
export function withSourceEdits<T>(edits: readonly SourceEdit[], load: () => T): T {
  const pending = new Map<string, SourceEdit[]>()
  for (const edit of edits) {
    if (isLoaded(edit.module))
      throw unexpectedKafkajs(`${edit.module} was loaded before it could be repaired`)
    const path = pathOf(edit.module)
    const ofModule = pending.get(path)
    if (ofModule === undefined) pending.set(path, [edit])
    else ofModule.push(edit)
  }
  const prototype = Module.prototype as unknown as Compiling
  const compile = prototype._compile
  prototype._compile = function (content, filename, ...rest) {
    const ofModule = pending.get(filename)
    pending.delete(filename)
    return compile.call(
      this,
      ofModule === undefined ? content : edited(content, ofModule),
      filename,
      ...rest,
    )
  }
  try {
    const loaded = load()
    const [missed] = [...pending.values()].flat()
    if (missed !== undefined) throw unexpectedKafkajs(`${missed.module} is not loaded`)
    return loaded
  } finally {
    prototype._compile = compile
  }
}

/** @throws ArchiverError `INTERNAL` */
export function edited(source: string, edits: readonly SourceEdit[]): string {
  let text = source
  for (const { module, find, replace, times } of edits) {
    const parts = text.split(find)
    if (parts.length !== times + 1) {
      throw unexpectedKafkajs(
        `${module} has "${find}" ${parts.length - 1} times instead of ${times}`,
      )
    }
    text = parts.join(replace)
  }
  return text
}
