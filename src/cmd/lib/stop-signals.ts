import { setTimeout as delay } from 'node:timers/promises'
import { isHangupIgnored } from './hangup.ts'
import { watchWrappers } from './wrappers.ts'

/** The signals that stop a command after it finished its current step, with their numbers. */
export const stopSignals = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const
export type StopSignal = keyof typeof stopSignals

/** The reason to stop if the process that started the command is gone. It counts as SIGTERM. */
export const starterGone = 'the process that started this one is gone'
export type StopReason = StopSignal | typeof starterGone

export function isStopReason(reason: unknown): reason is StopReason {
  return reason === starterGone || Object.hasOwn(stopSignals, String(reason))
}

/** 128 plus the number of the signal, as in a shell. */
export function exitCodeOfStop(reason: StopReason): number {
  return 128 + stopSignals[reason === starterGone ? 'SIGTERM' : reason]
}

let ignoresHangup: boolean | undefined
let hungUpAt = Number.NEGATIVE_INFINITY

/**
 * Ignores SIGHUP if it was ignored at the start, and SIGUSR1 and SIGUSR2 always: the first would
 * open Node's debugger, the second would end the process.
 */
export function passOverSignals(): { readonly ignoresHangup: boolean } {
  if (ignoresHangup === undefined) {
    ignoresHangup = isHangupIgnored()
    process.on('SIGHUP', () => {
      hungUpAt = performance.now()
      // If no command listens for it, SIGHUP ends the process as by default.
      if (!ignoresHangup && process.listenerCount('SIGHUP') === 1)
        process.exit(exitCodeOfStop('SIGHUP'))
    })
    for (const name of ['SIGUSR1', 'SIGUSR2'] as const) process.on(name, () => undefined)
  }
  return { ignoresHangup }
}

/** Calls back for every signal to stop. From then on, no such signal ends the process. */
export function onStopSignal(onStop: (name: StopSignal) => void): void {
  const { ignoresHangup } = passOverSignals()
  for (const name of Object.keys(stopSignals) as StopSignal[]) {
    if (name !== 'SIGHUP' || !ignoresHangup) process.on(name, () => onStop(name))
  }
}

/** When a terminal closes, this process and its wrappers notice within this time, in any order. */
const hangupMs = 1500

/**
 * Calls back when the process that started this one is gone: a wrapper, or the supervisor. Below
 * nohup, wrappers that ended because their terminal closed do not count: Node resets SIGHUP in
 * them, too.
 */
export function onStarterGone(listener: () => void): void {
  const { ignoresHangup } = passOverSignals()
  const onGone = async () => {
    if (ignoresHangup) {
      await delay(hangupMs)
      if (performance.now() - hungUpAt < 3 * hangupMs) return
    }
    listener()
  }
  watchWrappers(() => void onGone())
  process.on('disconnect', () => void onGone())
  // False if the channel closed before this process listened; undefined without a channel.
  if (process.connected === false) void onGone()
  process.channel?.unref()
}
