import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { longFiles } from './exceptions.ts'
import { bannedPhrases, type Violation, wideProse } from './prose.ts'

/** `npm run lint`, behind Biome: prose, and the size of files. Prints `path:line: what`. */

const root = fileURLToPath(new URL('../..', import.meta.url))

/** These name the phrases that they forbid. */
const exempt = /^(CONTRIBUTING\.md|test\/lint\/prose\.ts|test\/unit\/prose\.test\.ts)$/
const files = globSync(
  [
    '{bin,src,test,stack,deploy,docs,kibana}/**/*.{ts,mjs,java,md,yml,yaml,service,properties}',
    '*.{md,yml}',
    'Dockerfile',
    '.editorconfig',
    '.ci/*',
    '.github/**/*.yml',
  ],
  { cwd: root },
)
  .filter((path) => !exempt.test(path))
  .sort()
const maxLines = 350

function violationsOf(path: string): Violation[] {
  const text = readFileSync(join(root, path), 'utf8')
  const found = [...wideProse(path, text), ...bannedPhrases(path, text)]
  const lines = text.split('\n').length - 1
  if (path.startsWith('src/') && lines > maxLines && longFiles[path] === undefined)
    found.push({
      line: maxLines + 1,
      what: `${lines} lines; a file of src has at most ${maxLines}`,
    })
  return found.sort((a, b) => a.line - b.line)
}

let count = 0
for (const path of files) {
  const found = violationsOf(path)
  for (const { line, what } of found) console.log(`${path}:${line}: ${what}`)
  count += found.length
}
if (count > 0) process.exitCode = 1
