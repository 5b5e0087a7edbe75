import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Clock } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

/** How often the files are looked at. They are asked for by name each time, so a link that leads elsewhere is seen. */
const LOOK_MS = 1_000;
/** Certificate and key are written one after the other; this long after a change both are read. */
const SETTLE_MS = 500;

/** Where a certificate and its private key are, in PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate, with those that lead to its authority behind it, and its private key, in PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** @throws SkeinError `not-found`, `unavailable` or `invalid`, naming the file. */
export function readCertificate(files: CertificateFiles): Certificate {
  const cert = read('net.tls.cert', files.cert);
  const key = read('net.tls.key', files.key);
  const certificate = parse('certificate', files.cert, () => new X509Certificate(cert));
  const privateKey = parse('private key', files.key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new SkeinError(`The private key in ${files.key} is not that of the certificate in ${files.cert}`, {
      code: 'invalid',
    });
  }
  return { cert, key };
}

export interface CertificateWatchParts {
  readonly files: CertificateFiles;
  readonly clock: Clock;
  /** Given the pair that is there now, whenever one of the files has changed. */
  readonly onChange: (certificate: Certificate) => void;
  /** The files changed to something that cannot be used. */
  readonly onProblem: (error: SkeinError) => void;
}

/** Follows the files of a certificate until it is disposed. */
export class CertificateWatch implements Disposable {
  readonly #parts: CertificateWatchParts;
  #release: () => void = () => {};

  constructor(parts: CertificateWatchParts) {
    this.#parts = parts;
    const { cert, key } = parts.files;
    for (const file of [cert, key]) watchFile(file, { interval: LOOK_MS, persistent: false }, this.#changed);
  }

  [Symbol.dispose](): void {
    const { cert, key } = this.#parts.files;
    for (const file of [cert, key]) unwatchFile(file, this.#changed);
    this.#release();
  }

  readonly #changed = (): void => {
    const { files, clock, onChange, onProblem } = this.#parts;
    this.#release();
    this.#release = clock.after(SETTLE_MS, () => {
      try {
        onChange(readCertificate(files));
      } catch (error) {
        onProblem(SkeinError.from(error));
      }
    });
  };
}

function read(key: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    throw code === 'ENOENT'
      ? new SkeinError(`There is no file ${file} (${key})`, { code: 'not-found', cause })
      : new SkeinError(`The file ${file} (${key}) cannot be read: ${String(code)}`, { code: 'unavailable', cause });
  }
}

function parse<T>(what: string, file: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const { message } = SkeinError.from(cause);
    throw new SkeinError(`${file} holds no ${what} in PEM that can be read without a password: ${message}`, {
      code: 'invalid',
      cause,
    });
  }
}
