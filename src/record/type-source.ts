/** Where the type of a message is found. */
export type TypeSource =
  | { readonly from: 'value'; readonly path: readonly string[] }
  | { readonly from: 'header'; readonly header: string }
  | { readonly from: 'topic' }

/**
 * `meta.type` → `['meta', 'type']`; a dot inside a key is written `\.`.
 *
 * @throws Error when a key is empty.
 */
export function parseTypePath(path: string): readonly string[] {
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'))
  if (keys.some((key) => key === ''))
    throw new Error('keys separated by dots, such as type or meta.type')
  return keys
}
