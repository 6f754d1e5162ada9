import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTerminal, truncate } from '../../../src/runtime/terminal.ts'

/** What a terminal shows: lines, with carriage return and erasing understood. */
function screen(isTTY: boolean, columns = 20) {
  let written = ''
  const stream = { isTTY, columns, write: (text: string) => (written += text) }
  const shown = () => written.split('\n').map((line) => line.split('\r\x1b[K').at(-1)!)
  return { stream, shown, written: () => written }
}

test('the status line stays below what is written', () => {
  const { stream, shown } = screen(true)
  const terminal = createTerminal(stream)
  terminal.setStatus('1 record')
  terminal.write('first\n')
  terminal.write('second\n')
  terminal.setStatus('2 records')
  assert.deepEqual(shown(), ['first', 'second', '2 records'])
  terminal.close()
  terminal.close()
  assert.deepEqual(shown(), ['first', 'second', ''])
})

test('a line that is not yet ended is not written over', () => {
  const { stream, shown } = screen(true)
  const terminal = createTerminal(stream)
  terminal.setStatus('status')
  terminal.write('half ')
  terminal.setStatus('other')
  terminal.write('whole\n')
  assert.deepEqual(shown(), ['half whole', 'other'])
})

test('without a terminal there is no status, and lines go through', () => {
  const { stream, written } = screen(false)
  const terminal = createTerminal(stream)
  terminal.setStatus('status')
  terminal.write('line\n')
  terminal.close()
  assert.equal(terminal.isTTY, false)
  assert.equal(written(), 'line\n')
})

test('the status is cut to the width, which it never fills', () => {
  const { stream, shown } = screen(true, 10)
  createTerminal(stream).setStatus('0123456789')
  assert.deepEqual(shown(), ['01234567…'])
})

test('cutting counts columns: wide characters as two, marks as none, and no escape sequence gets through', () => {
  assert.equal(truncate('abc', 3), 'abc')
  assert.equal(truncate('abcd', 3), 'ab…')
  assert.equal(truncate('日本語', 5), '日本…')
  assert.equal(truncate('日本語', 4), '日…')
  assert.equal(truncate('e\u0301e\u0301', 2), 'e\u0301e\u0301')
  assert.equal(truncate('\x1b[31mred\x1b[0m\nline', 20), 'red line')
  assert.equal(truncate('abc', 0), '')
})
