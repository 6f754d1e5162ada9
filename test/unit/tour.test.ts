import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bare, commandsOf } from '../helpers/tour.ts'

const page = `# One

    a ──► b
     text └── c

Run \`npm test\`, see \`src/a.ts\`, or \`npm run
demo\`.

    npm  run demo   # starts
    curl -d '{
      "a": 1 }' b

## Two

\`\`\`json
{"a":"\`npm no\`"}
\`\`\`

\`kill -9\` it.
`

test('the commands of a page are its indented lines, quoted texts whole, and spans of code', () => {
  assert.deepEqual(
    commandsOf(page).map(({ line, text, isInline, section }) => [line, text, isInline, section]),
    [
      [6, 'npm test', true, 'One'],
      [6, 'npm run demo', true, 'One'],
      [9, 'npm  run demo   # starts', false, 'One'],
      [10, `curl -d '{\n  "a": 1 }' b`, false, 'One'],
      [19, 'kill -9', true, 'Two'],
    ],
  )
})

test('a command is compared without its comment and its spacing', () => {
  assert.equal(bare('npm  run demo   # starts'), 'npm run demo')
})
