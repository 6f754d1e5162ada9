import { count, flag, list, object, optional, type Shape, text } from '../runtime/shape.ts'
import type { SavedObject } from './saved-object.ts'

/** What Kibana answers, checked before anyone relies on it, and its reasons in words. */
export interface Answer {
  readonly status: number
  readonly text: string
}

/** What names a saved object in a space. */
export type ObjectName = Pick<SavedObject, 'type' | 'id'>

export function objectKey({ type, id }: ObjectName): string {
  return `${type} ${id}`
}

/** An object as Kibana gives it back; it may have been migrated. */
export type StoredObject = ObjectName &
  Pick<SavedObject, 'attributes'> & { readonly typeMigrationVersion?: string }

interface StatusAnswer {
  readonly version?: { readonly number?: string }
  readonly status: { readonly overall: { readonly level?: string } }
}

interface AbsentAnswer {
  readonly attributes: { readonly objects: readonly (ObjectName & { readonly error?: unknown })[] }
}

interface ImportAnswer {
  readonly success: boolean
  readonly successCount: number
  readonly errors?: readonly ImportFailure[]
}

interface ImportFailure {
  readonly type: string
  readonly id: string
  readonly error: {
    readonly type: string
    readonly message?: string
    readonly references?: readonly { readonly type: string; readonly id: string }[]
  }
}

const statusShape = object({
  version: optional(object({ number: optional(text) })),
  status: object({ overall: object({ level: optional(text) }) }),
})
const objectShape = object({
  type: text,
  id: text,
  attributes: object({}),
  typeMigrationVersion: optional(text),
})
const absentShape = object({
  attributes: object({ objects: list(object({ type: text, id: text })) }),
})
const importShape = object({
  success: flag,
  successCount: count,
  errors: optional(
    list(
      object({
        type: text,
        id: text,
        error: object({
          type: text,
          message: optional(text),
          references: optional(list(object({ type: text, id: text }))),
        }),
      }),
    ),
  ),
})

/** Each of these is undefined for what is no answer of Kibana's. */
export const readAnswer = {
  status: (answer: string) => likely<StatusAnswer>(answer, statusShape),
  object: (line: string) => likely<StoredObject>(line, objectShape),
  absent: (answer: string) => likely<AbsentAnswer>(answer, absentShape),
  import: (answer: string) => likely<ImportAnswer>(answer, importShape),
}

/** Why Kibana did not take an object. */
export function describeFailure({ type, id, error }: ImportFailure): string {
  const needed = (error.references ?? []).map((reference) => `${reference.type} ${reference.id}`)
  const why: Readonly<Record<string, string>> = {
    conflict: 'another object has its id',
    ambiguous_conflict: 'several objects could be the one it replaces',
    missing_references: `it needs ${needed.join(', ')}, which is not there`,
    unsupported_type: 'this Kibana does not know such objects',
  }
  return `${type} ${id}: ${why[error.type] ?? error.message ?? error.type}`
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A proxy's page, or a sentence: judged by its status.
    return undefined
  }
}

/** The answer, if it is one of Kibana's. Any other is judged by its status. */
function likely<T>(answer: string, shape: Shape): T | undefined {
  const body = tryParse(answer)
  try {
    shape(body, 'the answer')
    return body as T
  } catch {
    // The error that the caller makes of it says what it is instead.
    return undefined
  }
}

/** The status, and what the body says in a few words. */
export function firstLine({ status, text }: Answer): string {
  const body = tryParse(text) as { readonly message?: unknown } | undefined
  const message = typeof body?.message === 'string' ? body.message : text
  return `${status} ${message.replace(/\s+/g, ' ').slice(0, 200)}`.trim()
}
