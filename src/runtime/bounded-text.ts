/** The part of an answer of `fetch` that is read here. */
interface Answer {
  readonly body: AsyncIterable<Uint8Array> | null
}

/**
 * The body of an answer as text.
 * @throws Error for a body of more than `maxBytes`; the rest is not read
 */
export async function boundedText({ body }: Answer, maxBytes: number): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of body ?? []) {
    bytes += piece.length
    // Leaving the loop ends the connection.
    if (bytes > maxBytes) throw new Error(`the answer has more than ${maxBytes / 2 ** 20} MiB`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
