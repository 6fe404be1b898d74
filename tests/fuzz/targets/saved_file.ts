import { Buffer } from "node:buffer";
import {
  headText,
  readContents,
  readHead,
  type SavedHead,
} from "../../../router/saved_file.ts";
import { configParts } from "../inputs/config.ts";
import { canonicalForm } from "../models/config_model.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target } from "../target.ts";

/** A sound file, and what became of it. */
interface Damaged {
  readonly head: SavedHead;
  readonly file: string;
  readonly sound: boolean;
}

/** A saved config after damage: it is read as it was saved, or found to be damaged; never as another. */
export const savedFile = target<Damaged>({
  name: "saved-file",
  weight: 30,
  make(random) {
    const { head, file } = soundFile(random);
    if (random.once(4)) return { head, file, sound: true };
    const damaged = mutate(random, file, {
      bytes: true,
      tokens: [
        "\n",
        "sha256:",
        '"version":9',
        "null",
        "\xef\xbb\xbf",
        "\xff",
        file,
        file.split("\n")[0]!,
      ],
      other: () => soundFile(random).file,
    });
    return { head, file: damaged, sound: damaged === file };
  },
  check({ head, file, sound }) {
    const bytes = new Uint8Array(Buffer.from(file, "latin1"));
    const read = readHead(bytes);
    if (typeof read === "string") {
      ensure(!sound && read !== "", `A sound file is refused: ${read}`);
      return "refused";
    }
    const contents = readContents(bytes, read);
    if (!contents.ok) {
      ensure(!sound, `A sound file is refused: ${contents.error}`);
      return "refused";
    }
    const { version, epoch, digest } = read;
    ensureSame({ version, epoch, digest }, head, "The head");
    ensureSame(
      contents.packed.digest,
      head.digest,
      "The digest of what is read",
    );
    return "accepted";
  },
  show: ({ file }) => file,
});

function soundFile(random: Random): { head: SavedHead; file: string } {
  const parts = configParts(random);
  const { text, digest } = canonicalForm({
    defaultPlacement: parts.defaultPlacement as string,
    customers: new Map(parts.customers as [string, string][]),
    endpoints: new Map(parts.endpoints as [string, string][]),
  });
  const head = {
    version: random.pick([1, 7, 42, Number.MAX_SAFE_INTEGER]),
    epoch: random.pick(["e", "01J:x", null]),
    digest,
  };
  return { head, file: headText(head) + text };
}
