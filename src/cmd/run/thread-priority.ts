import { readdir, readFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { errorFields } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'

/**
 * The name that libuv gives them. Older versions use the name of the process, and keep their
 * priority.
 */
const poolThread = 'libuv-worker'
/** The maximum is 19; on Linux, setpriority(2) also accepts a thread. */
const niceness = 10

/**
 * Gives the event loop priority over the threads that compress. Everything waits for the event
 * loop, and on few cores four busy compression threads take its core away. With two cores, a run
 * into files takes 8 % less time. Only Linux has such priorities.
 */
export async function letEventLoopGoFirst(log: Logger): Promise<void> {
  if (process.platform !== 'linux') return
  try {
    // Reading files has started these threads.
    for (const thread of await readdir('/proc/self/task')) {
      const name = await readFile(`/proc/self/task/${thread}/comm`, 'utf8')
      if (name.trimEnd() === poolThread) setPriority(Number(thread), niceness)
    }
  } catch (error) {
    log.debug({ event: 'priority_unchanged', ...errorFields(error) }, 'threads keep their priority')
  }
}
