import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A key and its certificate, in PEM. */
export interface Identity {
  readonly key: string
  readonly certificate: string
  readonly fingerprint: string
  /** The directory of both. */
  readonly keyFile: string
  readonly certificateFile: string
}

export interface IdentityOptions {
  readonly name: string
  /** Names and addresses of a server: `DNS:localhost`, `IP:127.0.0.1`. */
  readonly altNames?: readonly string[]
  /** Who signs; undefined: the identity signs itself. */
  readonly issuer?: Identity
  readonly isAuthority?: boolean
  /** In hexadecimal; undefined: that of the key. */
  readonly keyId?: string
}

/** Makes certificates below a directory, by openssl. */
export class CertificateMaker {
  readonly #directory: string
  #made = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  async make({
    name,
    altNames = [],
    issuer,
    isAuthority = false,
    keyId,
  }: IdentityOptions): Promise<Identity> {
    const base = join(this.#directory, `${++this.#made}`)
    const [keyFile, requestFile, certificateFile, extensions] = ['key', 'csr', 'crt', 'ext'].map(
      (e) => `${base}.${e}`,
    )
    await run('openssl', [
      ...`req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=${name}`.split(
        ' ',
      ),
      ...['-keyout', keyFile!, '-out', requestFile!],
    ])
    writeFileSync(
      extensions!,
      [
        `basicConstraints=critical,CA:${isAuthority ? 'TRUE' : 'FALSE'}`,
        `subjectKeyIdentifier=${keyId ?? 'hash'}`,
        ...(issuer === undefined ? [] : ['authorityKeyIdentifier=keyid:always']),
        ...(altNames.length === 0 ? [] : [`subjectAltName=${altNames.join(',')}`]),
      ].join('\n'),
    )
    await run('openssl', [
      ...[
        'x509',
        '-req',
        '-days',
        '2',
        '-in',
        requestFile!,
        '-out',
        certificateFile!,
        '-extfile',
        extensions!,
      ],
      ...(issuer === undefined
        ? ['-key', keyFile!]
        : ['-CA', issuer.certificateFile, '-CAkey', issuer.keyFile, '-CAcreateserial']),
    ])
    const certificate = readFileSync(certificateFile!, 'utf8')
    return {
      key: readFileSync(keyFile!, 'utf8'),
      certificate,
      fingerprint: new X509Certificate(certificate).fingerprint256,
      keyFile: keyFile!,
      certificateFile: certificateFile!,
    }
  }
}

/** The subject key identifier of a certificate, in hexadecimal, for one that pretends to be it. */
export async function keyIdOf({ certificateFile }: Identity): Promise<string> {
  const { stdout } = await run('openssl', [
    ...['x509', '-in', certificateFile, '-noout', '-ext', 'subjectKeyIdentifier'],
  ])
  return /([0-9A-F]{2}(?::[0-9A-F]{2})+)/.exec(stdout)![1]!.replaceAll(':', '')
}
