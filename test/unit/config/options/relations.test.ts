import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { commandSets } from '../../../../src/config/commands.ts'
import {
  because,
  combine,
  describeOptions,
  exclusive,
  explanationOf,
  flag,
  group,
  implied,
  is,
  needed,
  type OptionSet,
  oneOf,
  onlyIf,
  own,
  pick,
  readOptions,
  related,
  requires,
  text,
  that,
} from '../../../../src/config/options.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'

const options = {
  one: text({ explanation: 'One.' }),
  two: text({ explanation: 'Two.' }),
  three: text({ explanation: 'Three.' }),
  how: oneOf(['none', 'slow', 'fast'], { default: 'none', nothing: 'none', explanation: 'How.' }),
  quiet: flag({ default: false, explanation: 'Be quiet.' }),
  loud: flag({ default: true, explanation: 'Be loud.', whenOff: 'nobody hears it' }),
}

function outcome(set: OptionSet, ...argv: readonly string[]): string {
  try {
    related(set, readOptions(set.options, { argv, env: {} }))
    return 'right'
  } catch (error) {
    assert.ok(error instanceof ArchiverError && error.code === 'USAGE', String(error))
    return error.message
  }
}

const one = ['--one', 'x']
const two = ['--two', 'x']

describe('a relation', () => {
  it('excludes: at most one is given, of any number', () => {
    const set = group('Test', options, [exclusive('one', 'two', 'three')])
    assert.equal(outcome(set), 'right')
    assert.equal(outcome(set, ...two), 'right')
    assert.equal(outcome(set, ...two, '--three', 'x'), '--two and --three exclude each other')
    const explained = group('Test', options, [because('both speak', exclusive('quiet', 'loud'))])
    assert.equal(outcome(explained, '--quiet'), '--quiet and --loud exclude each other: both speak')
    assert.equal(outcome(explained, '--quiet', '--no-loud'), 'right')
  })

  it('requires: each subject that is given needs one of the others', () => {
    const set = group('Test', options, [requires(['one', 'two'], 'three', is('how', 'fast'))])
    assert.equal(outcome(set, '--how', 'slow'), 'right')
    assert.equal(outcome(set, ...one), '--one needs --three or --how fast')
    assert.equal(outcome(set, ...two, '--how', 'slow'), '--two needs --three or --how fast')
    assert.equal(outcome(set, ...one, ...two, '--how', 'fast'), 'right')
  })

  it('needs one of several, and says what is missing', () => {
    const set = group('Test', options, [because('what is to be said?', needed('one', 'loud'))])
    assert.equal(outcome(set), 'right')
    assert.equal(outcome(set, '--no-loud'), '--one or --loud is needed: what is to be said?')
  })

  it('implies a switch, also for the relations beside it', () => {
    const set = group('Test', options, [requires(['two'], 'quiet'), implied('quiet', 'one')])
    assert.equal(outcome(set, ...two), '--two needs --quiet or --one')
    assert.equal(outcome(set, ...two, ...one), 'right')
    const values = related(set, readOptions(options, { argv: one, env: {} }))
    assert.equal(values.quiet, true)
  })

  it('is about a word, or about anything in a value; the word for nothing is not given', () => {
    const long = that('one', 'a long --one', (value: string) => value.length > 3)
    const set = group('Test', options, [exclusive('how', 'two'), exclusive(long, 'three')])
    assert.equal(outcome(set, ...two, '--how', 'none'), 'right')
    assert.equal(outcome(set, ...two, '--how', 'slow'), '--how and --two exclude each other')
    assert.equal(outcome(set, ...one, '--three', 'x'), 'right')
    assert.equal(
      outcome(set, '--one', 'xxxx', '--three', 'x'),
      'a long --one and --three exclude each other',
    )
  })

  it('counts only under a condition, and only if its options came along', () => {
    const inner = group('Test', options, [requires(['one'], 'two')])
    const set = combine([onlyIf('loud', inner)])
    assert.equal(outcome(set, ...one), '--one needs --two')
    assert.equal(outcome(set, ...one, '--no-loud'), 'right')
    assert.equal(outcome(pick(inner, 'one'), ...one), 'right')
  })

  it('is in the help of every option that it is about', () => {
    const set = group('Test', options, [
      exclusive('one', 'two', 'three'),
      requires(['one'], 'how'),
      needed('one', 'two'),
      implied('quiet', 'two', 'three'),
      requires([is('how', 'slow', 'fast')], 'quiet'),
    ])
    assert.equal(
      explanationOf('one', set),
      'One. Not with --two or --three. Needs --how. This or --two is needed.',
    )
    assert.equal(explanationOf('three', set), 'Three. Not with --one or --two.')
    assert.equal(explanationOf('quiet', set), 'Be quiet. Implied by --two or --three.')
    assert.equal(
      explanationOf('how', set),
      'How. --how slow or fast: needs --quiet, --two or --three.',
    )
    assert.equal(explanationOf('loud', set), 'Be loud. --no-loud turns it off: nobody hears it.')
    assert.match(describeOptions(set), /^ {2}--one <text>\n {6}One\. Not with --two or --three\./)
    const narrow = describeOptions(set, set.options, 40)
    assert.match(
      narrow,
      /\n {6}One\. Not with --two or --three\.\n {6}Needs --how\. This or --two is\n/,
    )
    assert.ok(narrow.split('\n').every((line) => line.length <= 40))
    assert.match(describeOptions(own(options)), /\n {2}--loud, --no-loud \[on\]\n {6}Be loud\./)
  })
})

describe('the relations of the commands', () => {
  const sets = Object.entries(commandSets) as [string, OptionSet][]

  it('name options of their command alone', () => {
    let terms = 0
    for (const [name, { options, relations }] of sets) {
      for (const relation of relations) {
        const anyOf = relation.kind === 'requires' ? relation.anyOf : []
        const when = relation.when === undefined ? [] : [relation.when]
        for (const term of [...relation.terms, ...anyOf, ...when]) {
          const key = typeof term === 'string' ? term : term.key
          assert.ok(Object.hasOwn(options, key), `${name}: ${key}`)
          terms++
        }
      }
    }
    assert.ok(terms > 100, String(terms))
  })

  it('give values or one line, whatever is given', () => {
    const given = fc
      .constantFrom(...sets)
      .chain(([name, set]) =>
        fc.tuple(
          fc.constant(name),
          fc.constant(set),
          fc.uniqueArray(fc.constantFrom(...Object.keys(set.options)), { maxLength: 8 }),
        ),
      )
    let right = 0
    let wrong = 0
    fc.assert(
      fc.property(given, ([name, set, keys]) => {
        const values = Object.fromEntries(
          Object.entries(set.options).map(([key, { defaultValue, isSwitch }]) => [
            key,
            !keys.includes(key) ? defaultValue : isSwitch ? defaultValue !== true : 'x',
          ]),
        )
        try {
          related(set, values)
          right++
        } catch (error) {
          assert.ok(error instanceof ArchiverError && error.code === 'USAGE', String(error))
          assert.match(error.message, /^(--|an? )\S.*(exclude each other|needs|needed)/, name)
          wrong++
        }
      }),
      { numRuns: 2000 },
    )
    assert.ok(right > 100 && wrong > 100, `${right} ${wrong}`)
  })

  it('of Kafka do not count if Kafka is not asked', () => {
    const half = ['--sasl-mechanism', 'plain', '--sasl-username', 'u']
    const need = '--sasl-mechanism plain needs --sasl-password or --sasl-password-file$'
    for (const name of ['verify', 'status'] as const) {
      assert.match(outcome(commandSets[name], ...half), new RegExp(`^${need}`))
      assert.equal(outcome(commandSets[name], ...half, '--no-kafka'), 'right')
    }
    assert.equal(outcome(commandSets.restore, ...half), 'right')
    assert.match(outcome(commandSets.restore, ...half, '--to', 'kafka'), new RegExp(`^${need}`))
  })
})
