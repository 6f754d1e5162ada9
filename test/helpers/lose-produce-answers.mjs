/**
 * Loaded with `--import`: connections break after a produce request was written and before its
 * answer is read. The environment variable LOSE_ANSWERS has the numbers of those requests, from 1,
 * separated by commas.
 */
import net from 'node:net'

const lost = new Set((process.env.LOSE_ANSWERS ?? '').split(',').map(Number))
const write = net.Socket.prototype.write
let requests = 0

net.Socket.prototype.write = function (chunk, ...rest) {
  const written = write.call(this, chunk, ...rest)
  // A size of four bytes, then the key of the API: 0 is Produce.
  if (!Buffer.isBuffer(chunk) || chunk.length <= 100 || chunk.readInt16BE(4) !== 0) return written
  requests++
  if (lost.has(requests)) {
    this.pause()
    const error = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    // The broker has the request by then: it is on the same machine.
    setTimeout(() => this.destroy(error), 500)
    process.stderr.write(`(the answer to produce request ${requests} is lost)\n`)
  }
  return written
}
