/**
 * What a call of a home may come to:
 *
 * - `fails`: it has no effect, and says so.
 * - `lost answer`: it took effect, and says that it did not.
 * - `late`: it says that it failed, and takes effect later, after other calls.
 *
 * A call that stops for ever is an actor that `Gates` kills.
 */
export type Fault = 'fails' | 'lost answer' | 'late'

export class InjectedFault extends Error {
  constructor(fault: Fault, call: string, names: readonly string[]) {
    super(`${call} ${names.join(' ')}: ${fault}`)
  }
}

/** True if an error is an injected one, or comes from one. */
export function isInjected(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof InjectedFault) return true
  }
  return false
}
