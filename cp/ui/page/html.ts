/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import htm from "htm";
import { type ComponentChildren, h } from "preact";

/** What a component may answer. */
export type View = ComponentChildren;

type Template = (
  strings: TemplateStringsArray,
  ...values: unknown[]
) => View;

/** Markup in a template, without a build step. What is put into it is text, never markup. */
export const html: Template =
  // Its types are those of its CommonJS form; a browser gets the other one.
  (htm as unknown as { bind(element: typeof h): Template }).bind(h);
