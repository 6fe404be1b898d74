import {
  fromPlain,
  JsonSyntaxError,
  readJson,
  toPlain,
  writeJson,
} from "../../../shared/json.ts";
import { anyDoc, deepText, docText } from "../inputs/json.ts";
import { asWritten, isSameJson, modelJson } from "../models/json_model.ts";
import { soundOrNot } from "../mutate.ts";
import { ensure, ensureSame, target } from "../target.ts";

const TOKENS = [
  "\\u",
  "\\ud800",
  "1e5",
  "tru",
  "nul",
  "/**/",
  "'",
  "NaN",
  '""',
  '"a":1,',
];
const MAX_DEPTH = 64;
/** How many repeated keys are told of. */
const MAX_REPEATED = 100;

/** The reader takes what `JSON.parse` takes, reads the values that stand there, and tells of repeated keys. */
export const json = target({
  name: "json",
  weight: 60,
  make: (random) =>
    random.once(50)
      ? deepText(random)
      : soundOrNot(random, () => docText(anyDoc(random), random), {
        tokens: TOKENS,
      }),
  check: checkJson,
  show: (text) => text,
});

function checkJson(text: string) {
  const model = modelJson(text);
  let document;
  try {
    document = readJson(text);
  } catch (error) {
    ensure(error instanceof JsonSyntaxError, `It throws ${error}`);
    // What is too deep is refused as soon as it is seen, whatever follows.
    const deep = /deeper/.test(error.message);
    ensure(
      model === null || (deep && model.depth > MAX_DEPTH),
      `JSON is refused: ${error.message}`,
    );
    return "refused";
  }
  ensure(model !== null, "What is no JSON is taken");
  const { value, repeated } = document;
  ensure(isSameJson(value, model.value), "The value is another one");
  ensure(isSameJson(fromPlain(toPlain(value)), value), "toPlain() loses some");
  if (model.repeated.length < MAX_REPEATED) {
    const ends = repeated.map((at) => at.slice(at.lastIndexOf("/") + 1));
    const keys = model.repeated.map((key) =>
      key.replaceAll("~", "~0").replaceAll("/", "~1")
    );
    ensureSame(ends.sort(), keys.sort(), "The keys that stand twice");
  } else ensureSame(repeated.length, MAX_REPEATED, "How many keys stand twice");
  const again = readJson(writeJson(value));
  ensure(isSameJson(again.value, asWritten(value)), "writeJson() changes it");
  ensureSame(again.repeated.length, 0, "writeJson() repeats keys");
  return "accepted";
}
