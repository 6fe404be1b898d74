import {
  type Config,
  type ConfigResult,
  parseConfigText,
} from "../shared/config.ts";
import { errorLine } from "../shared/errors.ts";
import { type AdminToken, adminToken, parseTokens } from "./api/access.ts";
import { canonicalLength } from "../shared/canonical.ts";
import type { FileSettings } from "./settings.ts";

/** What a file says, or why it cannot be used, as sentences. */
export type FileResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly string[] };

/** The admin tokens: none, the one of the setting, or those of the file. */
export async function readTokens(
  { adminToken: token, adminTokensFile: path }: FileSettings,
): Promise<FileResult<readonly AdminToken[]>> {
  if (token !== undefined) {
    return { ok: true, value: [adminToken(null, token)] };
  }
  if (path === undefined) return { ok: true, value: [] };
  const text = await readFile("CP_ADMIN_TOKENS_FILE", path);
  if (!text.ok) return text;
  const { tokens, problems } = parseTokens(text.value);
  return problems.length === 0 ? { ok: true, value: tokens } : {
    ok: false,
    problems: problems.map((problem) =>
      `CP_ADMIN_TOKENS_FILE ${path}: ${problem}`
    ),
  };
}

/** The config of the seed file; null if none is set. */
export async function readSeed(
  { seed: path, maxConfigBytes }: FileSettings,
): Promise<FileResult<Config | null>> {
  if (path === undefined) return { ok: true, value: null };
  const text = await readFile("CP_SEED", path);
  if (!text.ok) return text;
  let result: ConfigResult;
  try {
    result = parseConfigText(text.value);
  } catch (error) {
    return {
      ok: false,
      problems: [`CP_SEED ${path}: ${errorLine(error)}.`],
    };
  }
  if (!result.ok) {
    const problems = result.problems.map(({ pointer, detail }) =>
      `CP_SEED ${path}, at ${pointer || "/"}: ${detail}`
    );
    if (result.more > 0) {
      problems.push(`CP_SEED ${path}: and ${result.more} more problems.`);
    }
    return { ok: false, problems };
  }
  const bytes = canonicalLength(result.config);
  return bytes <= maxConfigBytes ? { ok: true, value: result.config } : {
    ok: false,
    problems: [
      `CP_SEED ${path} has ${bytes} bytes of JSON, and CP_MAX_CONFIG_BYTES is ${maxConfigBytes}.`,
    ],
  };
}

async function readFile(
  setting: string,
  path: string,
): Promise<FileResult<string>> {
  try {
    const bytes = await Deno.readFile(path);
    const value = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { ok: true, value };
  } catch (error) {
    return {
      ok: false,
      problems: [`Cannot read ${setting} ${path}: ${errorLine(error)}.`],
    };
  }
}
