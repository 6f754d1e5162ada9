/** Names longer than this are not mapped by name. */
const maxName = 512

/** The parts of a path as Elasticsearch sees it: a dot in a key separates, too. */
export function nameParts(path: readonly string[]): string[] {
  return path.flatMap((key) => key.split('.'))
}

/** White space as Java sees it, and nothing else. */
const blank = /^[^\S\u00a0\u2007\u202f\ufeff]*$/

/**
 * Elasticsearch refuses documents with such a key: `''`, `' '`, `.a`, `a..b`. It takes `a.` for `a`
 * (tried on 9.5.3).
 */
export function isRefusedKey(key: string): boolean {
  const parts = key.replace(/\.+$/, '').split('.')
  return parts.some((part) => blank.test(part))
}

/** Why no field can be mapped under a path; undefined if one can. */
export function isOfUse(path: readonly string[]): string | undefined {
  if (path.some(isRefusedKey))
    return 'Elasticsearch refuses documents with an empty name, or an empty part between dots'
  const parts = nameParts(path)
  if (parts.some((part) => part.trim() === ''))
    return 'a part of its name is blank, or it ends with a dot; mapped when it comes'
  return parts.join('.').length > maxName ? 'its name is too long to be mapped' : undefined
}

/** The last part in words: `createdAt` is `created at`. */
function wordsOf(name: string): string[] {
  const last = name.split('.').at(-1) ?? name
  return last
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}

const timeWords = new Set(
  'at date day time timestamp ts created updated modified deleted expires expiry since until start started end ended begin finish finished born birthday received sent due when seen'.split(
    ' ',
  ),
)
const idWords = new Set(
  'id ids uid uuid key code no nr num number ref reference serial sequence seq sku account phone zip postcode postal'.split(
    ' ',
  ),
)
const versionWords = new Set(['version', 'versions', 'ver', 'release', 'build', 'specversion'])

/** The name says that it is a time. */
export function isTimeName(name: string): boolean {
  return wordsOf(name).some((word) => timeWords.has(word)) && !isIdName(name)
}

const dayWords = new Set(['date', 'day', 'birthday', 'birthdate', 'dob'])

/** The name says that it is a day: `due_date`, `countedOn`. */
export function isDayName(name: string): boolean {
  const words = wordsOf(name)
  return (words.at(-1) === 'on' || words.some((word) => dayWords.has(word))) && !isIdName(name)
}

/** The name says that it is an identifier, which is no quantity and no time. */
export function isIdName(name: string): boolean {
  return wordsOf(name).some((word) => idWords.has(word))
}

export function isVersionName(name: string): boolean {
  return wordsOf(name).some((word) => versionWords.has(word))
}
