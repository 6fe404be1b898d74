import type { Target } from "../target.ts";
import { api } from "./api.ts";
import { chunks } from "./chunks.ts";
import { pathAnswers, pathRequests } from "./data_path.ts";
import { requestHeads, responseHeads, targets } from "./heads.ts";
import { canonical, config, gzip } from "./config.ts";
import { endpoint } from "./endpoint.ts";
import { frames } from "./frames.ts";
import { json } from "./json.ts";
import { link } from "./link.ts";
import { savedFile } from "./saved_file.ts";
import { session } from "./session.ts";
import { patches } from "./patches.ts";
import { proxies } from "./proxies.ts";
import { settings, values } from "./settings.ts";
import { announcement, toControlPlane, toRouter } from "./protocol.ts";

export const TARGETS: readonly Target[] = [
  json,
  config,
  canonical,
  gzip,
  toRouter,
  toControlPlane,
  announcement,
  frames,
  link,
  session,
  savedFile,
  settings,
  values,
  proxies,
  endpoint,
  requestHeads,
  responseHeads,
  targets,
  chunks,
  patches,
  api as Target,
  pathRequests as Target,
  pathAnswers as Target,
];
