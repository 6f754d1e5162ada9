/** Answers that are kept. */
const maxKnown = 1000

/**
 * The highest directory above a name, below `directory`, that is not entered; undefined if all are.
 * Answers are kept: they are asked for each of a million names.
 */
export function closedAbove(
  name: string,
  directory: string,
  enters: (directory: string) => boolean,
  known: Map<string, boolean>,
): string | undefined {
  const start = directory === '' ? 0 : directory.length + 1
  for (let slash = name.indexOf('/', start); slash !== -1; slash = name.indexOf('/', slash + 1)) {
    const above = name.slice(0, slash)
    let isEntered = known.get(above)
    if (isEntered === undefined) {
      isEntered = enters(above)
      // Names come in order: what is known of a directory is of use until it is over.
      if (known.size >= maxKnown) known.clear()
      known.set(above, isEntered)
    }
    if (!isEntered) return above
  }
  return undefined
}
