import { X509Certificate } from 'node:crypto'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { Proxies } from '../../runtime/proxies.ts'
import { openTunnel } from '../../runtime/tunnel.ts'

/** What `tls.connect` needs to trust one certificate and no other. */
export type PinnedTls = Pick<
  ConnectionOptions,
  'ca' | 'rejectUnauthorized' | 'allowPartialTrustChain' | 'checkServerIdentity'
>

/** Refuses every server: for the time before the pinned certificate is known. */
export const trustsNobody: PinnedTls = { ca: [], rejectUnauthorized: true }

/**
 * A SHA-256 fingerprint in the form of `X509Certificate.fingerprint256`.
 * @throws ArchiverError `USAGE`
 */
export function checkedFingerprint(text: string): string {
  const digits = text.replace(/:/g, '').toUpperCase()
  if (!/^[0-9A-F]{64}$/.test(digits)) {
    throw new ArchiverError(
      'USAGE',
      `--elasticsearch-fingerprint: "${text}" is not allowed; expected a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons`,
    )
  }
  return digits.replace(/..(?=.)/g, '$&:')
}

/**
 * Finds the certificate that has the fingerprint in what the nodes present, and makes it the only
 * authority.
 *
 * A certificate authority is public, so seeing its certificate proves nothing: the server must
 * prove that it holds the key of a certificate that this authority signed, and that the certificate
 * names the host. That is what an ordinary handshake verifies (RFC 5280, section 6; RFC 9525), once
 * the authority is known. This function sends nothing on the connection that it learns the
 * certificate from.
 *
 * @param nodes URLs with https
 * @param ca certificates that the chain must lead to, too, if a file names them
 * @throws Error if no node can be reached or none presents the certificate
 */
export async function pinnedTls(
  nodes: readonly string[],
  fingerprint: string,
  timeoutMs: number,
  proxies: Proxies,
  ca?: Buffer,
): Promise<PinnedTls> {
  const failures: string[] = []
  for (const node of nodes) {
    try {
      const chain = await presentedChain(new URL(node), timeoutMs, proxies, ca)
      const pinned = chain.find(({ fingerprint256 }) => fingerprint256 === fingerprint)
      if (pinned !== undefined) return tlsOf(pinned, fingerprint)
      failures.push(
        `the fingerprint does not match: none of the ${chain.length} certificates that the server presents has it`,
      )
    } catch (error) {
      failures.push(messageOf(error))
    }
  }
  throw new Error([...new Set(failures)].join('; '))
}

function tlsOf(pinned: PeerCertificate, fingerprint: string): PinnedTls {
  const certificate = new X509Certificate(pinned.raw)
  const trusted: PinnedTls = {
    ca: [certificate.toString()],
    rejectUnauthorized: true,
    // The pinned certificate may be an authority that another one signed.
    allowPartialTrustChain: true,
  }
  if (certificate.ca) return trusted
  // The certificate of a server speaks for that server alone, whatever it may have signed.
  return {
    ...trusted,
    checkServerIdentity: (host, peer) =>
      peer.fingerprint256 === fingerprint
        ? checkServerIdentity(host, peer)
        : new Error('the fingerprint does not match: it is that of another server'),
  }
}

/**
 * The certificates of a server, its own first. Nothing is sent, and nothing is verified without
 * `ca`.
 */
async function presentedChain(
  url: URL,
  timeoutMs: number,
  proxies: Proxies,
  ca: Buffer | undefined,
): Promise<readonly PeerCertificate[]> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = url.port === '' ? 443 : Number(url.port)
  const proxy = proxies.of(url)
  const tunnel = proxy === undefined ? undefined : await openTunnel(proxy, host, port, timeoutMs)
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({
      ...(tunnel === undefined ? { host, port } : { socket: tunnel, host }),
      ...(/^[0-9.]+$|:/.test(host) ? {} : { servername: host }),
      ...(ca === undefined ? { rejectUnauthorized: false } : { ca, rejectUnauthorized: true }),
    })
    const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), timeoutMs)
    socket.once('secureConnect', () => {
      const chain = certificatesOf(socket.getPeerCertificate(true))
      clearTimeout(timer)
      socket.destroy()
      resolve(chain)
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.once('close', () => {
      clearTimeout(timer)
      reject(new Error('the server closed the connection'))
    })
  })
}

function certificatesOf(own: PeerCertificate): readonly PeerCertificate[] {
  const chain: PeerCertificate[] = []
  // The certificate that ends the chain is its own issuer.
  for (
    let next: PeerCertificate | undefined = own;
    next?.raw !== undefined &&
    !chain.some(({ fingerprint256 }) => fingerprint256 === next!.fingerprint256);
    next = 'issuerCertificate' in next ? (next.issuerCertificate as PeerCertificate) : undefined
  ) {
    chain.push(next)
  }
  return chain
}
