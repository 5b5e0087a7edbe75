import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
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

/** Reads a certificate and follows its files until it is disposed. */
export class CertificateWatch implements Disposable {
  /** The pair that was there at the beginning: what comes after it is told. */
  readonly certificate: Certificate;
  readonly #parts: CertificateWatchParts;
  #seen: string;
  /** They changed, and were not read since. */
  #isUnread = false;
  #release: () => void;

  /** @throws SkeinError as `readCertificate`. */
  constructor(parts: CertificateWatchParts) {
    this.#parts = parts;
    // Before they are read, so that no change falls between the two.
    this.#seen = stampOf(parts.files);
    this.certificate = readCertificate(parts.files);
    this.#release = parts.clock.after(LOOK_MS, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#release();
  }

  #look(): void {
    const { files, clock } = this.#parts;
    const stamp = stampOf(files);
    const isChanged = stamp !== this.#seen;
    this.#seen = stamp;
    if (!isChanged && this.#isUnread) this.#tell();
    this.#isUnread = isChanged;
    this.#release = clock.after(isChanged ? SETTLE_MS : LOOK_MS, () => this.#look());
  }

  #tell(): void {
    const { files, onChange, onProblem } = this.#parts;
    try {
      onChange(readCertificate(files));
    } catch (error) {
      onProblem(SkeinError.from(error));
    }
  }
}

/** Another one whenever a file was written or put in the place of another; links are followed. */
function stampOf({ cert, key }: CertificateFiles): string {
  const stamps = [cert, key].map((file) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join();
    } catch {
      return 'none';
    }
  });
  return stamps.join(' ');
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
