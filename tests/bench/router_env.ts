/** Settings of this process's environment that are meant for our router, and passed on to it. */
export function routerEnv(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject())
      .filter(([name]) => /^(ROUTER|OTEL)_/.test(name)),
  );
}

/** A command line with the settings that were passed on in front of it. */
export function commandLine(
  task: string,
  env: Readonly<Record<string, string>>,
): string {
  const passedOn = Object.entries(env)
    .map(([name, value]) => `${name}=${value} `).join("");
  return `${passedOn}deno task ${task} ${Deno.args.join(" ")}`.trimEnd();
}
