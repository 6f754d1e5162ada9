import type { CommandName } from '../../config/commands.ts'

/** The options that words without a name stand for. */
const positional: Partial<Record<string, readonly Word[]>> = {
  copy: [
    { shown: 'FROM', option: 'archive-dir' },
    { shown: 'TO', option: 'copy-to' },
  ],
} satisfies Partial<Record<CommandName, readonly Word[]>>

interface Word {
  readonly shown: string
  readonly option: string
}

/** The words of a command as its help shows them. */
export function usageOf(command: string): readonly string[] {
  return (positional[command] ?? []).map(({ shown }) => shown)
}

/**
 * Words without a name at the beginning of a command line get the names of options, in order:
 * `copy a b` is `copy --archive-dir=a --copy-to=b`. Words beyond them stay, and are refused as any
 * word that is no option.
 */
export function withNames(command: string, argv: readonly string[]): readonly string[] {
  const names = positional[command] ?? []
  const first = argv.findIndex((word) => word.startsWith('-'))
  const words = argv.slice(0, first === -1 ? argv.length : first)
  return argv.map((word, i) =>
    i < words.length && names[i] !== undefined ? `--${names[i].option}=${word}` : word,
  )
}
