/**
 * Decimal numbers as bytes, for code that runs a million times: 32-bit arithmetic, no strings. For
 * offsets and timestamps, which are safe integers from 0 on.
 */

import { ZERO } from './ascii.ts'

const billion = 1e9

/** The longest number that `putNumber` writes, in bytes. */
export const longestNumber = 16

/** Writes a safe integer from 0 on and returns the position behind it. */
export function putNumber(buffer: Buffer, at: number, number: number): number {
  const high = Math.floor(number / billion)
  if (high === 0) return putAll(buffer, at, number)
  const end = putAll(buffer, at, high)
  putDigits(buffer, end, number - high * billion, 9)
  return end + 9
}

/** Writes the last `digits` digits of an integer from 0 up to 2^31. */
export function putDigits(buffer: Buffer, at: number, number: number, digits: number): void {
  let rest = number | 0
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0
    buffer[i] = ZERO + rest - tenth * 10
    rest = tenth
  }
}

function putAll(buffer: Buffer, at: number, number: number): number {
  let digits = 1
  for (let rest = number | 0; rest >= 10; rest = (rest / 10) | 0) digits++
  putDigits(buffer, at, number, digits)
  return at + digits
}
