import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { withNames } from '../../src/cmd/lib/positional.ts'
import { takeRunFlags } from '../../src/cmd/lib/run-flags.ts'
import { commandSets, everyOption } from '../../src/config/commands.ts'
import { type OptionSet, readOptions, related } from '../../src/config/options.ts'

/** Every command that the pages show is one that the program takes. */

const commands: Readonly<Record<string, OptionSet>> = commandSets

const root = new URL('../../', import.meta.url)
const pages = [
  'README.md',
  ...readdirSync(new URL('docs/', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const start = /^ {4}(?:npx |node_modules\/\.bin\/)?archiver +(.+)$/gm

const shown = pages.flatMap((page) =>
  [...readFileSync(new URL(page, root), 'utf8').matchAll(start)].map(([, line]) => ({
    page,
    line: line!,
  })),
)

/** The words of a line of a shell, up to what the shell itself does with the output. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+/g)].map(([word]) => word)
  const end = words.findIndex((word) => /^(\||>|&|#|;|2>)/.test(word))
  return (end === -1 ? words : words.slice(0, end)).map((word) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'),
  )
}

test('the commands that the pages show are found', () => {
  assert.ok(shown.length > 15, `${shown.length} commands`)
  assert.deepEqual(wordsOf("cat --where 'a=b c' --limit=1 | head -1"), [
    'cat',
    '--where',
    'a=b c',
    '--limit=1',
  ])
})

for (const { page, line } of shown) {
  const [name = '', ...argv] = wordsOf(line)
  if (line.includes('…') || argv.includes('--help')) continue
  test(`${page}: archiver ${line}`, () => {
    const set = commands[name]
    assert.ok(set, `${name} is a command`)
    // The file is not on this machine.
    const at = argv.indexOf('--config')
    const words = withNames(name, at === -1 ? argv : argv.toSpliced(at, 2))
    const left = name === 'run' ? words : takeRunFlags(words, set.options).argv
    const values = readOptions(set.options, { argv: left, env: {} }, everyOption)
    // What is missing may be in the file.
    if (at === -1) related(set, values)
  })
}

const readme = readFileSync(new URL('README.md', root), 'utf8')

test('the README runs scripts that exist, names the way from source once, and quotes the benchmarks', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = [...readme.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, name]) => name!)
  assert.ok(named.length > 5)
  assert.deepEqual(
    named.filter((name) => scripts[name] === undefined),
    [],
  )
  assert.equal(readme.match(/tsx/g)?.length, 1)
  const results = readFileSync(new URL('test/bench/RESULTS.md', root), 'utf8')
  const figures = [...readme.matchAll(/\| ([\d,]+) records\/s \|/g)].map(([, figure]) => figure!)
  assert.equal(figures.length, 3)
  for (const figure of figures) assert.ok(results.includes(`| ${figure} |`), figure)
})

test('every file that the README links to exists', () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path!)
  assert.ok(links.length > 10)
  for (const path of links) assert.ok(existsSync(new URL(path, root)), path)
})
