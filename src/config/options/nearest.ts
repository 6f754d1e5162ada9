/**
 * The end of a message about a word that is none of the candidates. `prefix` precedes the one that
 * is named.
 */
export function didYouMean(word: string, candidates: readonly string[], prefix = ''): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : `; did you mean ${prefix}${meant}?`
}

/**
 * A longer word is not a mistyped name. Comparing a key of 1 MB with every option takes minutes.
 */
const maxNameLength = 64

function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > maxNameLength) return undefined
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i)
    for (let i = 1; i <= a.length; i++) {
      const next = [i]
      for (let j = 1; j <= b.length; j++) {
        next.push(
          Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)),
        )
      }
      row = next
    }
    return row[b.length]!
  }
  const [best] = candidates
    .map((candidate) => ({ candidate, far: distance(word, candidate) }))
    .sort((a, b) => a.far - b.far)
  return best !== undefined && best.far <= Math.max(2, word.length / 3) ? best.candidate : undefined
}
