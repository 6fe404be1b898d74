/** What happens to the router while it serves, so that it can be compared with when nothing does. */
export interface Form {
  /** As `--forms` has it. */
  readonly id: "nothing" | "busy" | "parts" | "reordered" | "update";
  /** As the tables have it. */
  readonly title: string;
  /** Whether a config is pushed. */
  readonly pushes: boolean;
}

/** All of them, in the order of the tables. The first two show what the machine alone does to the figures. */
export const FORMS: readonly Form[] = [
  { id: "nothing", title: "no push", pushes: false },
  { id: "busy", title: "no push, a core kept busy", pushes: false },
  { id: "parts", title: "canonical, in parts", pushes: true },
  { id: "reordered", title: "not canonical, in parts", pushes: true },
  { id: "update", title: "config_update text", pushes: true },
];
