import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restoreSet } from '../../../../src/config/commands/restore.ts'
import { runSet } from '../../../../src/config/commands/run.ts'
import { setupSet } from '../../../../src/config/commands/setup.ts'
import { readOptions } from '../../../../src/config/options.ts'
import {
  indexProfiles,
  profileOf,
  valueComponents,
} from '../../../../src/elasticsearch/templates/index-profile.ts'
import { readTemplates } from '../../../../src/elasticsearch/templates/shipped.ts'

const composedOf = (body: Readonly<Record<string, unknown>>) =>
  (body.composed_of ?? []) as readonly string[]

test('the profile is an option of all commands that install templates, and of its words alone', () => {
  for (const { options: declared } of [runSet, setupSet, restoreSet]) {
    const read = (...argv: string[]) => readOptions(declared, { argv, env: {} }).indexProfile
    assert.equal(read(), undefined, 'what is on the cluster stays')
    assert.equal(read('--index-profile', 'lean'), 'lean')
    assert.throws(
      () => read('--index-profile', 'small'),
      /"small" is not allowed; expected one of standard, lean/,
    )
  }
})

for (const profile of indexProfiles) {
  for (const prefix of ['archive-', 'plant-']) {
    test(`profile ${profile}, prefix ${prefix}: ordinary records have its mapping, what is no value has none`, () => {
      const templates = readTemplates(prefix, profile)
      const components = new Set(
        templates.filter(({ api }) => api === '_component_template').map(({ name }) => name),
      )
      const ofProfile = templates.filter(({ body }) => profileOf(composedOf(body)) !== undefined)
      assert.deepEqual(
        ofProfile.map(({ body }) => [body.index_patterns, profileOf(composedOf(body))]),
        [[[`${prefix}*`], profile]],
      )
      for (const { name, body } of templates) {
        const wanted = composedOf(body).filter((component) => !component.endsWith('@custom'))
        for (const component of wanted)
          assert.ok(components.has(component), `${name} is composed of ${component}`)
      }
      // Another archive of the cluster may have the other profile.
      for (const component of Object.values(valueComponents))
        assert.ok(components.has(component), component)
    })
  }
}

test('profiles differ in nothing but how values are mapped', () => {
  const [standard, lean] = indexProfiles.map((profile) => readTemplates('archive-', profile))
  const different = standard!.filter(
    (template, i) => JSON.stringify(template) !== JSON.stringify(lean![i]),
  )
  assert.deepEqual(
    different.map(({ name }) => name),
    ['archive'],
  )
})
