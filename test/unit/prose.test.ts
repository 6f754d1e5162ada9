import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bannedPhrases, wideProse } from '../lint/prose.ts'

const wide = `${'word '.repeat(20)}words`
const lines = (path: string, text: string) => wideProse(path, text).map(({ line }) => line)

test('comments of code and paragraphs of pages wrap at 100 columns', () => {
  assert.equal(wide.length, 105)
  assert.deepEqual(
    lines('a.ts', `// ${wide}\n * ${wide}\n/** ${wide} */\nf() // ${wide}`),
    [1, 2, 3, 4],
  )
  assert.deepEqual(lines('a.java', `   * ${wide}`), [1])
  assert.deepEqual(lines('a.yaml', `# ${wide}\nkey: value # ${wide}`), [1, 2])
  assert.deepEqual(lines('a.md', `${wide}\n\n- ${wide}\n\n  ${wide}\n\n1. ${wide}`), [1, 3, 5, 7])
  assert.deepEqual(lines('a.md', wide.slice(0, 100)), [])
})

test('code, texts, tables, addresses and what cannot break may be wider', () => {
  const address = `https://example.org/${'a'.repeat(100)}`
  assert.deepEqual(lines('a.ts', `const text = '${wide}'\n// ${address}\n * \`${wide}\``), [])
  assert.deepEqual(lines('Dockerfile', `#!${wide}\nRUN ${wide}`), [])
  for (const text of [
    `| ${wide} |`,
    `    ${wide}`,
    `\`\`\`sh\n${wide}\n\`\`\``,
    `[a]: ${wide}`,
    `![${wide}](a.png)`,
    `- [${wide}](a.md)`,
  ])
    assert.deepEqual(lines('a.md', text), [], text)
  assert.deepEqual(lines('a.md', `\`\`\`\n${wide}\n\`\`\`\n${wide}`), [4])
})

test('a phrase is found in comments, texts and pages, over the end of a line, too', () => {
  const found = (path: string, text: string) =>
    bannedPhrases(path, text).map(({ line, what }) => `${line} ${what.split(':')[0]}`)
  assert.deepEqual(
    found('a.ts', "/**\n * It is read\n * anew, so\n * many times.\n */\nthrow 'of which'"),
    ['3 "anew"', '6 "of which"', '3 "so many"'],
  )
  assert.deepEqual(found('a.md', 'Text.\n> is\n> told'), ['2 "is told"'])
  assert.deepEqual(found('a.yaml', '# gets\n# on'), ['1 "gets on"'])
  assert.deepEqual(found('a.ts', '// So much that it fails, targets one, foretold, renewed.'), [])
})
