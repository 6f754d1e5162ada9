import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { letEventLoopGoFirst } from '../../../../src/cmd/run/thread-priority.ts'
import { createLogger } from '../../../../src/runtime/log.ts'

const onlyLinux = process.platform !== 'linux' && 'only Linux has priorities of threads'

test('the threads that compress have a lower priority than the event loop', {
  skip: onlyLinux,
}, async () => {
  const before = getPriority(process.pid)
  await letEventLoopGoFirst(createLogger({ level: 'silent', stream: process.stderr }))
  assert.equal(getPriority(process.pid), before)
  const priorities: number[] = []
  for (const thread of await readdir('/proc/self/task')) {
    const name = await readFile(`/proc/self/task/${thread}/comm`, 'utf8')
    if (name === 'libuv-worker\n') priorities.push(getPriority(Number(thread)))
  }
  assert.ok(priorities.length > 0)
  assert.ok(
    priorities.every((priority) => priority > before),
    String(priorities),
  )
})
