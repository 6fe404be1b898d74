import { createPrivateKey, X509Certificate } from "node:crypto";
import { errorLine } from "../../shared/errors.ts";
import type { SettingProblem } from "../../shared/settings.ts";

/** A certificate and its key, in PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** The files that settings name; those missing or empty are not read. */
export interface TlsPaths {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Certificates of authorities. */
  readonly ca: string | undefined;
}

/** What TLS files hold. */
export interface TlsFiles {
  /** What to serve with; null for nothing. */
  readonly identity: TlsIdentity | null;
  /** Authorities trusted for endpoints, besides the system's, in PEM; null for none. */
  readonly ca: string | null;
}

/** Reads the TLS files, or tells all that is wrong with them; what is wrong is null. */
export async function readTlsFiles(
  paths: TlsPaths,
): Promise<TlsFiles & { problems: readonly SettingProblem[] }> {
  const problems: SettingProblem[] = [];
  const read = async (name: string, path: string | undefined) => {
    // That one is missing or empty is told with the other settings.
    if (path === undefined || path === "") return null;
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      problems.push({
        name,
        detail: `${name} must be a file that can be read; ${
          JSON.stringify(path)
        } is not: ${errorLine(error)}`,
      });
      return null;
    }
  };
  const check = (
    name: string,
    must: string,
    check: () => void,
  ): boolean => {
    try {
      check();
      return true;
    } catch (error) {
      problems.push({ name, detail: `${must}: ${errorLine(error)}` });
      return false;
    }
  };
  const cert = await read("ROUTER_TLS_CERT", paths.cert);
  const key = await read("ROUTER_TLS_KEY", paths.key);
  const ca = await read("ROUTER_CA", paths.ca);
  const identity = cert !== null && key !== null &&
      check(
        "ROUTER_TLS_KEY",
        "ROUTER_TLS_CERT and ROUTER_TLS_KEY must be a certificate and its key in PEM",
        () => checkIdentity({ cert, key }),
      )
    ? { cert, key }
    : null;
  const authorities = ca !== null &&
      check(
        "ROUTER_CA",
        "ROUTER_CA must hold certificates in PEM",
        () => checkAuthorities(ca),
      )
    ? ca
    : null;
  return { identity, ca: authorities, problems };
}

/**
 * Checks that a key is its certificate's: the platform notices a wrong one only when the first client
 * comes.
 *
 * @throws {TypeError} if it is not, or one of them cannot be read.
 */
export function checkIdentity({ cert, key }: TlsIdentity): void {
  let fits;
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new TypeError(
      "Cannot serve TLS: the certificate or its key is not PEM that can be read",
      { cause },
    );
  }
  if (!fits) {
    throw new TypeError("Cannot serve TLS: the key is not the certificate's");
  }
}

/**
 * Checks that a text holds at least one certificate, and no other that cannot be read: the platform
 * would pass over those.
 *
 * @throws {TypeError} if it does not.
 */
export function checkAuthorities(pem: string): void {
  const blocks = pem.match(
    /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g,
  ) ?? [];
  const begun = pem.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (blocks.length === 0 || blocks.length < begun) {
    throw new TypeError(
      `Cannot take authorities from a text with ${blocks.length} whole certificates, and ${begun} begun`,
    );
  }
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch (cause) {
      throw new TypeError(
        `Cannot read certificate ${index + 1} of ${blocks.length}`,
        { cause },
      );
    }
  }
}
