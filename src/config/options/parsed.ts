import { messageOf } from '../../runtime/errors.ts'
import { type Option, usage } from './option.ts'

/** `s3://key:secret@bucket`, `https://user:password@host`, also where no URL belongs. */
const hasCredentials = /:\/\/[^/,]*:[^/,]*@/

/**
 * The value of a text, or of the elements of a list. `shown` names the flag, the variable or the
 * key of the file.
 * @throws ArchiverError `USAGE`
 */
export function parsed<T>(
  shown: string,
  raw: string | readonly string[],
  { parse, elements, isSecret = false }: Pick<Option<T>, 'parse' | 'elements' | 'isSecret'>,
): T {
  try {
    return typeof raw === 'string' ? parse(raw) : elements!.parse(raw)
  } catch (error) {
    const text = typeof raw === 'string' ? raw : raw.join(',')
    const isHidden =
      hasCredentials.test(text) || (typeof isSecret === 'function' ? isSecret(text) : isSecret)
    const value = isHidden ? 'the value' : `"${text}"`
    throw usage(`${shown}: ${value} is not allowed; expected ${messageOf(error)}`)
  }
}
