import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import fc from 'fast-check'
import { runSet } from '../../../src/config/commands/run.ts'
import { readOptions, related } from '../../../src/config/options.ts'
import { topicChoice } from '../../../src/config/topics.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/** Which topics the options choose. */

const choice = (...argv: string[]) =>
  topicChoice(related(runSet, readOptions(runSet.options, { argv, env: {} })))
const matching = (argv: readonly string[], topics: readonly string[]) => {
  const chosen = choice(...argv)
  assert.ok(chosen instanceof RegExp)
  return topics.filter((topic) => chosen.test(topic))
}

it('takes what one of several expressions matches', () => {
  const argv = ['--topics-regex', '^a{1,2}$', '--topics-regex=b|c$']
  assert.deepEqual(matching(argv, ['a', 'aa', 'aaa', 'xbx', 'xc', 'cx']), ['a', 'aa', 'xbx', 'xc'])
})

it('takes a list of them from the file', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  writeFileSync(file, "topics-regex: ['^a', '^b']\ntopics-exclude-regex: tmp$\n")
  assert.deepEqual(matching(['--config', file], ['a', 'b.tmp', 'b', 'c']), ['a', 'b'])
})

it('leaves out what another one matches, of names as well', () => {
  const argv = ['--topics-regex', '^events', '--topics-exclude-regex', '[.]tmp$']
  assert.deepEqual(matching(argv, ['events', 'events.tmp', 'x.events', 'events.tmp.a']), [
    'events',
    'events.tmp.a',
  ])
  assert.deepEqual(choice('--topics', 'a,b,c', '--topics-exclude-regex', '^b$'), ['a', 'c'])
})

it('is, with an exclusion, what matches one and not the other, for any expressions and names', () => {
  const sources = ['^a', 'a$', 'a|b', '(a)(b)?', '^$', '(?<!a)b', 'b(?=a)', '[^]', 'a.b', '^(?!a)']
  fc.assert(
    fc.property(
      fc.subarray(sources, { minLength: 1 }),
      fc.subarray(sources, { minLength: 1 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), maxLength: 6 }),
      (wanted, unwanted, topic) => {
        const flags = (name: string, all: readonly string[]) => all.flatMap((one) => [name, one])
        if (wanted.join('|') === unwanted.join('|')) return
        const chosen = choice(
          ...flags('--topics-regex', wanted),
          ...flags('--topics-exclude-regex', unwanted),
        ) as RegExp
        const some = (all: readonly string[]) => all.some((one) => new RegExp(one).test(topic))
        assert.equal(chosen.test(topic), some(wanted) && !some(unwanted))
      },
    ),
  )
})

it('refuses in one line what leaves nothing, or cannot be', () => {
  for (const [argv, message] of [
    [
      ['--topics', 'a,ab', '--topics-exclude-regex', 'a'],
      /^--topics-exclude-regex: a leaves nothing of --topics; name fewer topics there$/,
    ],
    [
      ['--topics-regex', '^a', '--topics-exclude-regex', '^a'],
      /\^a leaves nothing of --topics-regex/,
    ],
    [['--topics-regex', '(a', '--topics', 'b'], /--topics-regex: "\(a".*regular expression/],
    [['--topics-regex', 'a', '--topics-regex', ''], /--topics-regex: .*that is not empty/],
    [['--topics-regex', '(a)\\1', '--topics-regex', 'b'], /no reference to a group by number/],
    [['--topics-regex', '(a)\\1', '--topics-exclude-regex', 'b'], /no reference to a group/],
    [['--topics-exclude-regex', 'a'], /--topics-exclude-regex needs --topics or --topics-regex/],
    [['--topics', 'a', '--client-id', 'a b'], /--client-id: "a b".*without blanks/],
  ] as const)
    assert.throws(
      () => choice(...argv),
      (error: unknown) => error instanceof ArchiverError && message.test(error.message),
      argv.join(' '),
    )
})
