/** What the body of an error says of itself; it may be anything: a proxy's page, or nothing. */
export function errorIn(body: unknown): {
  readonly type?: string | undefined
  readonly reason?: string | undefined
} {
  const inner = (body as { readonly error?: unknown } | null | undefined)?.error
  if (typeof inner === 'string') return { reason: inner }
  const { type, reason } = (inner ?? {}) as { readonly type?: unknown; readonly reason?: unknown }
  return {
    type: typeof type === 'string' ? type : undefined,
    reason: typeof reason === 'string' ? reason : undefined,
  }
}
