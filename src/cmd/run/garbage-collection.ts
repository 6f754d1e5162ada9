import { setFlagsFromString } from 'node:v8'

/**
 * Tunes V8 for a worker. Call it before much is allocated.
 *
 * Records live for one batch, so a small young generation is collected as cheaply as the 16 to 32
 * MiB that V8 grows it to, and the process stays about 100 MB smaller.
 *
 * Hardly any object grows old. V8 therefore limits the old generation to 1.1 times its live
 * objects, which is less room than a young generation needs. So each major collection triggers the
 * next one: 37 of them, three times as many as memory outside the heap requires, and a fifth of all
 * CPU time. With four times the live objects, the maximum that V8 grants by itself, dead buffers
 * wait longer for their collection: the peak of three million records was 353 MB, and is 319 MB
 * with twice the live objects.
 */
export function tuneGarbageCollection(): void {
  setFlagsFromString('--max-semi-space-size=8')
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--heap-growing-percent=100')
}
