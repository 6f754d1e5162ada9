import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * `npm version` runs this first (`preversion`). It refuses a release without its notes.
 */

/**
 * Why a version may not be released with this CHANGELOG; undefined when it may.
 *
 * @param changelog sections that begin with `## <version>, <date>`, the newest first
 * @param version the version to release
 */
export function refusalOf(changelog: string, version: string): string | undefined {
  const [newest] = changelog.split(/^## /m).slice(1)
  if (newest === undefined) return 'CHANGELOG.md has no section'
  const [heading = '', ...lines] = newest.split('\n')
  const match = /^(\d+\.\d+\.\d+\S*), (\d{4}-\d{2}-\d{2})$/.exec(heading.trim())
  if (match === null) {
    return `the newest section of CHANGELOG.md is "${heading.trim()}"; expected "${version}, YYYY-MM-DD"`
  }
  if (match[1] !== version)
    return `the newest section of CHANGELOG.md is of ${match[1]}, the release of ${version}`
  if (!lines.some((line) => line.startsWith('- '))) return `CHANGELOG.md says nothing of ${version}`
  return undefined
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const version = process.env.npm_new_version ?? process.argv[2]
  const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8')
  const refusal =
    version === undefined ? 'name the version, or use npm version' : refusalOf(changelog, version)
  if (refusal !== undefined) {
    process.stderr.write(`release refused: ${refusal}\n`)
    process.exitCode = 1
  }
}
