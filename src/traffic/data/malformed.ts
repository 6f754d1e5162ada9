/** The field of the type as a value spells it: `"type":"object.one"`. */
export interface TypeField {
  readonly key: string
  /** With its quotes. */
  readonly value: string
}

/** A value that is no JSON message with a type, made from one that is. */
export interface Malformation {
  readonly name: string
  /** The reserved type that an archive gives it. */
  readonly reservedType: '_malformed' | '_untyped'
  /** @param json a JSON object with a type; @param field that type with its key, as in the JSON */
  readonly spoil: (json: string, field: TypeField) => string | Buffer | null
}

const malformed = (name: string, spoil: Malformation['spoil']): Malformation => ({
  name,
  reservedType: '_malformed',
  spoil,
})
const untyped = (name: string, spoil: Malformation['spoil']): Malformation => ({
  name,
  reservedType: '_untyped',
  spoil,
})

/** What follows a delete in a compacted topic: a key without a value. */
export const tombstone = untyped('tombstone', () => null)

export const malformations: readonly Malformation[] = [
  malformed('cut off', (json) => json.slice(0, json.length >> 1)),
  malformed('trailing comma', (json) => `${json.slice(0, -1)},}`),
  malformed('invalid UTF-8', (json) =>
    Buffer.concat([
      Buffer.from(`${json.slice(0, -1)},"raw":"`),
      Buffer.from('ff80c3', 'hex'),
      Buffer.from('"}'),
    ]),
  ),
  malformed('byte order mark', (json) => `\ufeff${json}`),
  malformed('NaN', (json) => `${json.slice(0, -1)},"ratio":NaN}`),
  malformed('raw line feed in a text', (json) => `${json.slice(0, -1)},"text":"one\ntwo"}`),
  malformed('two texts', (json) => `${json}${json}`),
  malformed('no JSON at all', () => Buffer.from('00089f1b10ffd8ffe000104a464946000a0d22', 'hex')),
  malformed('empty', () => Buffer.alloc(0)),
  untyped('type missing', (json, { key, value }) =>
    json.replace(`"${key}":${value}`, () => '"kind":1'),
  ),
  untyped('type not a text', (json, { key, value }) =>
    json.replace(`"${key}":${value}`, () => `"${key}":42`),
  ),
  untyped('type empty', (json, { key, value }) =>
    json.replace(`"${key}":${value}`, () => `"${key}":""`),
  ),
  untyped('not an object', () => '[1,2,3]'),
  tombstone,
]
