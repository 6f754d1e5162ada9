/** Errors of an object store. */

/** An error as the SDK throws it for an answer. */
export function refusal(status: number, code: string, more: Record<string, unknown> = {}): Error {
  return Object.assign(new Error('what the store says'), {
    name: code,
    Code: code,
    $metadata: { httpStatusCode: status },
    $response: { headers: {} },
    ...more,
  })
}

/** An error as the SDK throws it without an answer. */
export function silence(code: string, message = ''): Error {
  return Object.assign(new Error(message), { code, $metadata: { attempts: 1 } })
}
