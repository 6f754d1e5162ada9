import { didYouMean } from './nearest.ts'
import { flagName, type Options, usage } from './option.ts'
import { parsed } from './parsed.ts'

/**
 * The values of the flags on a command line, by the key of their option.
 * @throws ArchiverError `USAGE`
 */
export function readFlags(declared: Options, argv: readonly string[]): Map<string, unknown> {
  const flags = new Flags(declared)
  const words = [...argv]
  for (let word = words.shift(); word !== undefined; word = words.shift())
    flags.read(word, () => words.shift())
  return flags.values()
}

class Flags {
  readonly #declared: Options
  readonly #byFlag: ReadonlyMap<string, string>
  readonly #values = new Map<string, unknown>()
  /** Elements of lists so far: a repeated flag adds some. */
  readonly #lists = new Map<string, readonly string[]>()

  constructor(declared: Options) {
    this.#declared = declared
    this.#byFlag = new Map(Object.keys(declared).map((key) => [flagName(key), key]))
  }

  /** Reads one flag; `next` gives the word after it, if it needs that for its value. */
  read(word: string, next: () => string | undefined): void {
    if (!word.startsWith('--'))
      throw usage(`"${word}" is not an option; options begin with -- (see --help)`)
    const [, name = '', inline] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    const key = this.#byFlag.get(name)
    const negated = name.startsWith('no-') ? this.#byFlag.get(name.slice(3)) : undefined
    if (key !== undefined) this.#set(key, name, inline, next)
    else if (negated !== undefined && this.#declared[negated]!.negated !== undefined)
      this.#negate(negated, name, inline)
    else {
      const meant = didYouMean(name, [...this.#byFlag.keys()], '--')
      throw usage(`--${name} is not an option${meant} (see --help)`)
    }
  }

  #set(key: string, name: string, inline: string | undefined, next: () => string | undefined) {
    const option = this.#declared[key]!
    const { elements, isSwitch, placeholder } = option
    const isRepeated = this.#values.has(key) || (elements === undefined && this.#lists.has(key))
    if (isRepeated) throw usage(`--${name} is given twice`)
    if (isSwitch && inline === undefined) {
      this.#values.set(key, true)
      return
    }
    const value = inline ?? next()
    if (value === undefined) throw usage(`--${name} needs a value: ${placeholder}`)
    if (elements === undefined) this.#values.set(key, parsed(`--${name}`, value, option))
    else this.#lists.set(key, [...(this.#lists.get(key) ?? []), ...elements.split(value)])
  }

  /** After a value, it revokes that value: a wrapper may append it to a command line. */
  #negate(key: string, name: string, inline: string | undefined): void {
    if (inline !== undefined) throw usage(`--${name} takes no value`)
    this.#lists.delete(key)
    this.#values.set(key, this.#declared[key]!.negated!.value)
  }

  values(): Map<string, unknown> {
    const lists = [...this.#lists].map(
      ([key, elements]) =>
        [key, parsed(`--${flagName(key)}`, elements, this.#declared[key]!)] as const,
    )
    return new Map([...this.#values, ...lists])
  }
}
