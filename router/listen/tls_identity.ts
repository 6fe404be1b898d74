import { createPrivateKey, X509Certificate } from "node:crypto";
import { errorLine } from "../../shared/errors.ts";
import type { SettingProblem } from "../../shared/settings.ts";

/** A certificate and its key, in PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads a certificate and its key from files.
 *
 * @returns the identity, null where there is none to serve with; and all that is wrong with the files.
 */
export async function readTlsIdentity(
  files: { cert: string | undefined; key: string | undefined },
): Promise<
  { identity: TlsIdentity | null; problems: readonly SettingProblem[] }
> {
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
  const cert = await read("ROUTER_TLS_CERT", files.cert);
  const key = await read("ROUTER_TLS_KEY", files.key);
  if (cert === null || key === null) return { identity: null, problems };
  const identity = { cert, key };
  try {
    checkIdentity(identity);
  } catch (error) {
    problems.push({
      name: "ROUTER_TLS_KEY",
      detail:
        `ROUTER_TLS_CERT and ROUTER_TLS_KEY must be a certificate and its key in PEM: ${
          errorLine(error)
        }`,
    });
    return { identity: null, problems };
  }
  return { identity, problems };
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
