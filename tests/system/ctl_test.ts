import { deepEqual, equal, match, ok } from "node:assert/strict";
import { dirname } from "node:path";
import {
  ctl,
  type CtlOptions,
  type Said,
  startCtl,
} from "../harness/command_line.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { DraftRouter } from "../harness/draft.ts";
import { Installation } from "../harness/installation.ts";
import { Router } from "../harness/router.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";

type Call = (args: string, options?: CtlOptions) => Promise<Said>;

/** A test with two routers, and the command line: its arguments in a row. */
function command(
  name: string,
  run: (all: Installation, call: Call) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using all = await Installation.start({ routers: ["r1", "r2"] });
    await run(
      all,
      (args, options) =>
        ctl(all.controlPlane.url, args === "" ? [] : args.split(" "), options),
    );
  });
}

/** Runs a command that has to end well; answers what it wrote. */
async function done(call: Call, args: string): Promise<string> {
  const { code, out, err } = await call(args);
  equal(code, 0, `${args}: ${out}${err}`);
  return out;
}

command(
  "ctl moves a customer, and says which routers have it",
  async (all, call) => {
    const moved = await call(
      "move acme --to two --wait --author ada --message quieter",
    );
    equal(moved.code, 0, moved.err);
    match(moved.out, /^Version 2 is committed: 1 customer moved\.$/m);
    match(moved.out, /^2 routers serve version 2, after /m);
    match(moved.err, /^version 2: \d of 2 routers …$/m);
    equal((await all.router.ask("acme")).placement, "two");
    const config = JSON.parse(await done(call, "get config"));
    equal(config.customer_to_placement.acme, "two");
    match(
      await done(call, "get customer acme"),
      /acme is in two, since version 2/,
    );
    match(await done(call, "history"), /^2 .* ada +quieter$/m);
    match(await done(call, "move acme --to two"), /^Nothing changed/);

    // Many at once, by name, from a file and of a placement.
    const input = "globex\ninitech\n\nhooli\n";
    const many = await call("move umbrella --file - --to one", { input });
    match(many.out, /4 customers assigned/);
    match(
      await done(call, "move --from one --to two --dry-run"),
      /4 customers moved/,
    );
    match(await done(call, "move --from one --to two"), /4 customers moved/);
    match(
      await done(call, "unassign globex hooli"),
      /2 customers no longer assigned/,
    );
  },
);

command(
  "ctl shows the fleet, and ends with 1 where asked to check it",
  async (all, call) => {
    match(await done(call, "status"), /All 2 routers are current\./);
    match(await done(call, "status --all"), /^r2 +current +1 /m);
    const { routers, newest } = JSON.parse(await done(call, "--json status"));
    deepEqual([routers.length, newest.version], [2, 1]);
    await using rejecter = await DraftRouter.connect(
      `${all.controlPlane.connectUrl}?id=edge`,
    );
    await rejecter.inbox.next();
    rejecter.send({
      type: "ack",
      version: 1,
      status: "rejected",
      error: "no way",
    });
    await until(
      "the rejection",
      async () => /no way/.test((await call("status")).out),
    );
    const checked = await call("status --check");
    equal(checked.code, 1);
    match(checked.out, /2 of 3 routers are current; 1 rejected\./);
    match(checked.out, /^edge +rejected .* no way$/m);
    match(checked.out, /^rejected: refused the newest version/m);
    match(await done(call, "get router edge"), /^status +rejected$/m);
    match(await done(call, "resend edge"), /Being pushed to edge/);
    equal((await call("resend nobody")).code, 1);
  },
);

command(
  "ctl goes on showing the fleet as it changes",
  async (all, call) => {
    const watching = startCtl(all.controlPlane.url, ["status", "--watch"]);
    const told = watching.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    let text = "";
    const see = async (words: RegExp) => {
      while (!words.test(text)) text += (await told.read()).value;
    };
    await see(/Version 1, .*\nAll 2 routers are current/);
    await done(call, "move acme --to two --message there");
    await see(/Version 2, .*: there\nAll 2 routers are current/);
    await all.routers[1]!.program.kill("SIGKILL");
    await see(/1 of 2 routers is current; 1 gone\./);
    await all.controlPlane.program.kill("SIGKILL");
    await see(/cannot be reached/);
    all.controlPlane = await all.controlPlane.again();
    await see(/cannot be reached[^]*Version 2/);
    watching.kill("SIGINT");
    await told.cancel();
    equal((await watching.status).code, 0);
    await watching.stderr.cancel();
  },
);

command(
  "ctl ends with 1 where a router rejects an edit, with 3 where one does not answer",
  async (all, call) => {
    await using draft = await DraftRouter.connect(
      `${all.controlPlane.connectUrl}?id=edge`,
    );
    const { version } = await draft.inbox.next();
    draft.send({ type: "ack", version, status: "applied" });
    const rejected = call("move acme --to two --wait");
    await draft.inbox.next();
    draft.send({ type: "ack", version: 2, status: "rejected", error: "full" });
    const first = await rejected;
    equal(first.code, 1);
    match(first.out, /2 of 3 routers serve version 2/);
    match(first.out, /edge rejected it: full/);
    const late = await call("move acme --to one --wait --timeout 4s");
    equal(late.code, 3);
    match(late.out, /without an answer yet: edge/);
    const { rollout } = JSON.parse(
      (await call("--json move acme --to two --wait --timeout 4s")).out,
    );
    deepEqual(rollout.pending, ["edge"]);
    // Who does not want to wait is told what that means.
    const waiting = startCtl(
      all.controlPlane.url,
      ["move", "acme", "--to", "one", "--wait"],
    );
    await until("the edit", async () => {
      const { body } = await all.controlPlane.call("GET", "/v1/config");
      return body.version === 5;
    });
    waiting.kill("SIGINT");
    const { code, stderr } = await waiting.output();
    equal(code, 1);
    match(new TextDecoder().decode(stderr), /may be committed/);
  },
);

command(
  "ctl explains where a customer goes, here and at a router",
  async (all, call) => {
    const { adminUrl } = all.router;
    const said = await done(call, `explain acme --router ${adminUrl}`);
    match(said, /^control plane +one +assigned +1 /m);
    ok(said.includes(`${adminUrl}  one`));
    // One that goes by another config is told of.
    const bootstrap = `${all.folder}/bootstrap.json`;
    await Deno.writeTextFile(
      bootstrap,
      JSON.stringify({
        ...configOf(all.cells),
        customer_to_placement: { acme: "two" },
      }),
    );
    await using alone = await Router.start("alone", {
      folder: all.folder,
      cpUrl: "",
      env: { ROUTER_BOOTSTRAP: bootstrap },
    });
    const { code, out } = await call(
      `explain acme --router ${adminUrl} --router ${alone.adminUrl}`,
    );
    equal(code, 1);
    match(out, /would send it elsewhere than the control plane says/);
    await alone.program.kill("SIGKILL");
    const nobody = await call(`explain acme --router ${alone.adminUrl}`);
    match(nobody.err, /The router at .* cannot be reached/);
  },
);

command(
  "ctl makes, changes and removes placements, in the API's words where that cannot be",
  async (_, call) => {
    match(
      await done(call, "placement set three http://127.0.0.1:9"),
      /1 placement added/,
    );
    match(
      await done(call, "placement set three http://127.0.0.1:8"),
      /1 placement with another endpoint/,
    );
    // Nobody would be sent to `two` then.
    const { err } = await call("placement default three");
    const [, confirm] = /--confirm ([0-9a-f]{16})/.exec(err)!;
    match(
      await done(call, `placement default three --confirm ${confirm}`),
      /another default placement/,
    );
    match(
      await done(call, "get placements"),
      /^three +0 +yes +http:\/\/127.0.0.1:8$/m,
    );
    const back = await call("placement default two");
    match(back.err, /Nobody would be sent to placement "three"/);
    const [, again] = /--confirm ([0-9a-f]{16})/.exec(back.err)!;
    match(
      await done(call, `placement default two --confirm ${again}`),
      /Version 5/,
    );
    match(await done(call, "placement rm three"), /1 placement removed/);
    const used = await call("placement rm one");
    equal(used.code, 1);
    match(used.err, /^error: .*acme/m);
    const bad = await call("placement set one ftp://x");
    match(bad.err, /Endpoint "ftp:\/\/x"/);
    const outdated = await call("placement set four http://a --if-version 1");
    match(outdated.err, /committed version is 6/);
  },
);

command(
  "ctl shows what differs, and brings an old version back",
  async (_, call) => {
    await done(call, "move acme globex --to two");
    const said = await done(call, "diff 1 2");
    match(
      said,
      /From version 1 to version 2: 1 customer moved, 1 customer assigned\./,
    );
    match(said, /^ {2}~ customer acme: one → two$/m);
    match(await done(call, "diff 2 1"), /^ {2}- customer globex: two$/m);
    match(await done(call, "restore 1 --wait"), /2 routers serve version 3/);
    equal((await call("diff 1 99")).code, 1);
  },
);

command(
  "ctl applies a file: once, and only what it has shown",
  async (_, call) => {
    await using folder = await dataFolder();
    const file = `${folder.path}/config.yaml`;
    await done(call, `export ${file}`);
    match(await done(call, `apply ${file}`), /^Unchanged: version 1 /);
    const text = await Deno.readTextFile(file);
    await Deno.writeTextFile(
      file,
      text.replace("acme: one", "acme: two\n  no: one"),
    );
    match(await done(call, `apply ${file} --dry-run`), /\+ customer no: one/);
    equal((await call(`apply ${file} --dry-run --fail-on-difference`)).code, 1);
    const unasked = await call(`apply ${file}`);
    equal(unasked.code, 2);
    match(unasked.err, /~ customer acme: one → two/);
    match(unasked.err, /Nobody is there to be asked/);
    match(
      await done(call, `apply ${file} --yes --wait`),
      /2 routers serve version 2/,
    );
    match(await done(call, `apply ${file} --yes`), /^Unchanged: version 2 /);
    // What is committed, written and applied again, in the other format, and an old version.
    const json = await done(call, "export --format json");
    const again = await call("apply - --yes", { input: json });
    match(again.out, /^Unchanged: version 2 /);
    ok(!(await done(call, "export --at 1")).includes('"no"'));
    await Deno.writeTextFile(file, text.replace("acme: one", "acme: three"));
    const wrong = await call(`apply ${file} --yes`);
    equal(wrong.code, 1);
    match(wrong.err, /config\.yaml:6: .*"three"/);
    equal((await call(`apply ${folder.path}/none.yaml`)).code, 1);
  },
);

command(
  "ctl tells events as they happen, for people and for programs",
  async (all, call) => {
    const { url } = all.controlPlane;
    const people = startCtl(url, ["events"]);
    const programs = startCtl(url, ["--json", "events"]);
    // Each begins with the version that is current.
    const told = people.stdout.pipeThrough(new TextDecoderStream()).getReader();
    match((await told.read()).value!, /version 1 is committed/);
    await done(call, "move acme --to two --author ada");
    let text = "";
    while (!/r1: applied, serves version 2/.test(text)) {
      text += (await told.read()).value;
    }
    match(text, /version 2 is committed by ada/);
    const objects = programs.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    const first = (await objects.read()).value!.split("\n")[0]!;
    equal(JSON.parse(first).version, 1);
    for (const child of [people, programs]) child.kill("SIGINT");
    for (const reader of [told, objects]) await reader.cancel();
    for (const child of [people, programs]) {
      equal((await child.status).code, 0);
      await child.stderr.cancel();
    }
  },
);

command(
  "ctl ends with 2 where the command line is wrong, and says how it would be right",
  async (_, call) => {
    for (
      const [args, words] of [
        ["", /Usage: signalbox/],
        ["frobnicate", /unknown command 'frobnicate'/],
        ["move acme", /required option '--to <placement>'/],
        ["move --to two", /Say who moves/],
        ["diff one two", /It must be the number of a version/],
        ["export --format toml", /Allowed choices are json, yaml/],
        ["--url localhost:8081 status", /must be an http: or https: URL/],
        ["takeover", /say --yes/],
        [
          "move acme --to two --cut-streams 5s",
          /--cut-streams needs --drained/,
        ],
        [
          "placement default two --wait --cut-streams 5s",
          /--cut-streams needs --drained/,
        ],
        ["move acme --to two --within 5s", /--within needs --fenced/],
        ["move acme --to two --drained --force", /--force needs --fenced/],
      ] as const
    ) {
      const { code, err } = await call(args);
      equal(code, 2, args);
      match(err, words);
    }
    equal((await call("--help")).code, 0);
  },
);

Deno.test("ctl presents its token, and says where one comes from", async () => {
  await using folder = await dataFolder();
  const token = "s3cret-s3cret-s3cret";
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_ADMIN_TOKEN: token,
  });
  const { url } = controlPlane;
  const without = await ctl(url, ["status"]);
  equal(without.code, 1);
  match(without.err, /Give one by SIGNALBOX_TOKEN or --token-file/);
  const wrong = await ctl(url, ["status"], { env: { SIGNALBOX_TOKEN: "no" } });
  match(wrong.err, /It came from SIGNALBOX_TOKEN or the token file/);
  const right = await ctl(url, ["status"], { env: { SIGNALBOX_TOKEN: token } });
  match(right.out, /Nothing is committed yet/);
  const file = `${folder.path}/token`;
  await Deno.writeTextFile(file, `${token}\n`);
  equal((await ctl(url, ["--token-file", file, "status"])).code, 0);
  equal(
    (await ctl(url, ["status"], { env: { SIGNALBOX_TOKEN_FILE: file } })).code,
    0,
  );
});

Deno.test("ctl says what is wrong where there is no control plane, or something else", async () => {
  await using other = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("<html>", { status: 404 }),
  );
  const { port } = other.addr;
  const something = await ctl(`http://127.0.0.1:${port}`, ["status"]);
  equal(something.code, 1);
  match(something.err, /It answered 404.*Is there a control plane at/);
  await other.shutdown();
  const nothing = await ctl(`http://127.0.0.1:${port}`, ["status"]);
  equal(nothing.code, 1);
  match(nothing.err, /cannot be reached.*Routers serve on without it/);
});

command(
  "ctl is completed by bash, with the placements there are",
  async (all, call) => {
    // Where the control plane takes longer than a second, nothing is offered.
    await until(
      "two to be offered",
      async () => /^two\t/m.test(await done(call, "complete -- move --to t")),
    );
    await until(
      "one to be offered",
      async () => /^one\t/m.test(await done(call, "complete -- placement rm ")),
    );
    const script = await done(call, "completions bash");
    const { url } = all.controlPlane;
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", `${script}\ncomplete -p signalbox`],
      env: { SIGNALBOX_URL: url },
    }).output();
    match(
      new TextDecoder().decode(stdout),
      /-F __signalbox_complete signalbox/,
    );
    match(await done(call, "completions fish"), /signalbox/);
    equal((await call("completions tcsh")).code, 2);
  },
);

Deno.test("ctl is installed by the README's line, and runs from anywhere", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  const readme = await Deno.readTextFile("README.md");
  const line = /^deno (install --global .*)$/m.exec(readme)?.[1];
  ok(line !== undefined);
  const installed = await new Deno.Command(Deno.execPath(), {
    args: line.replace("--global", `--global --root ${folder.path}`).split(" "),
  }).output();
  ok(installed.success, new TextDecoder().decode(installed.stderr));
  const { code, stdout, stderr } = await new Deno.Command(
    `${folder.path}/bin/signalbox`,
    {
      args: ["status"],
      cwd: "/",
      env: {
        SIGNALBOX_URL: controlPlane.url,
        // What is installed asks for deno by its name.
        PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`,
      },
    },
  ).output();
  equal(code, 0, new TextDecoder().decode(stderr));
  match(new TextDecoder().decode(stdout), /Nothing is committed yet/);
});

command(
  "ctl waits until nothing runs on the old placement, holds, releases and moves in a fence",
  async (all, call) => {
    const drained = await call("move acme --to two --drained");
    equal(drained.code, 0, drained.err);
    match(drained.out, /Drained: no request runs on what was before\./);
    match(await done(call, "rollout"), /2 routers serve version 2\./);
    match(
      await done(call, "hold acme --for 20s"),
      /acme: held on 2 routers for/,
    );
    match(await done(call, "holds"), /0 requests waiting/);
    match(await done(call, "release acme"), /acme is released/);
    match(await done(call, "holds"), /No customer is held/);
    const fenced = await call("move acme --to one --fenced --within 20s");
    equal(fenced.code, 0, fenced.err);
    match(fenced.out, /nothing ran on both sides\./);
    equal((await all.router.ask("acme")).placement, "one");

    await all.routers[1]!.program.kill("SIGKILL");
    await until("r2 to be gone", async () => {
      const { body } = await all.controlPlane.call("GET", "/v1/routers/r2");
      return !body.connected;
    });
    const unknown = await call("move acme --to two --drained");
    equal(unknown.code, 1);
    match(unknown.out, /Not proven: nothing is known to run, but not every/);
    ok(!/drained/i.test(unknown.out), unknown.out);
    match(unknown.out, /r2 is not connected; it may still run/);
    const refused = await call("move acme --to one --fenced");
    equal(refused.code, 1);
    match(refused.err, /router "r2" not connected/);
    match(
      await done(call, "move acme --to one --fenced --force"),
      /not proven that nothing runs on both sides, by r2/,
    );
  },
);

Deno.test("ctl ends a fenced move with 1 where it is not proven, unless --force is given", async () => {
  const answer = {
    version: 2,
    previous_version: 1,
    changed: true,
    summary: { customers_moved: 1 },
    rollout: {
      applied: 1,
      rejected: [],
      pending: [],
      gone: [],
      conflict: [],
      waited_ms: 1,
    },
    fenced: { proven: false, held_ms: 3, drained_ms: 1, unheld: [] },
  };
  await using controlPlane = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json(answer),
  );
  const url = `http://127.0.0.1:${controlPlane.addr.port}`;
  for (
    const [more, code] of [
      [["--fenced"], 1],
      [["--fenced", "--json"], 1],
      [["--fenced", "--force"], 0],
    ] as const
  ) {
    const said = await ctl(url, ["move", "acme", "--to", "two", ...more]);
    equal(said.code, code, more.join(" "));
    match(
      said.out,
      /not proven that nothing runs on both sides: somebody|"proven": false/,
    );
  }
  await controlPlane.shutdown();
});

command(
  "ctl confirms what changes much, and what takes itself back",
  async (all, call) => {
    const customers = Array.from({ length: 30 }, (_, i) => `customer-${i}`);
    await done(call, `move ${customers.join(" ")} --to one`);
    const refused = await call("move --from one --to two");
    equal(refused.code, 1);
    match(refused.err, /31 of 31 customers would be moved/);
    const [, confirm] = /--confirm ([0-9a-f]{16})/.exec(refused.err)!;
    match(
      await done(call, `move --from one --to two --confirm ${confirm}`),
      /31 customers moved/,
    );

    const tried = await call("move acme --to one --confirm-within 60s");
    equal(tried.code, 0, tried.err);
    const [, version] = /unless you say: confirm (\d+)/.exec(tried.out)!;
    const other = await call("move globex --to two");
    match(other.err, new RegExp(`Version ${version} waits to be confirmed`));
    match(
      await done(call, "status"),
      new RegExp(
        `^Version ${version} waits to be confirmed until .*: confirm ${version}$`,
        "m",
      ),
    );
    match(await done(call, `confirm ${version} --author ann`), /stays\./);
    await all.controlPlane.program.line(
      "a version was confirmed by somebody: it stays",
      { author: "ann" },
    );
    ok(!/waits to be confirmed/.test(await done(call, "status")));
    await done(call, "move acme --to two --confirm-within 60s");
    match(
      await done(
        call,
        `revert ${Number(version) + 1} --author ann --message unsure`,
      ),
      /is taken back, by version/,
    );
    match(await done(call, "history --limit 1"), / ann +unsure$/m);
    const { body } = await all.controlPlane.call("GET", "/v1/customers/acme");
    equal(body.placement, "one");
  },
);

command(
  "ctl sets the rules that no edit may break, and names the one that an edit breaks",
  async (all, call) => {
    deepEqual(JSON.parse(await done(call, "assertions get")), { rules: [] });
    const set = (body: unknown) =>
      call("assertions set - --author ann", { input: JSON.stringify(body) });
    const rules = [{ name: "pinned", customers: "acme", placements: "one" }];
    const taken = await set({ rules });
    equal(taken.code, 0, taken.err);
    await all.controlPlane.program.line(
      "the rules for every version were set by somebody",
      { author: "ann", rules: 1 },
    );
    match(taken.out, /^1 rule holds for every version from now on\.$/m);
    deepEqual(JSON.parse(await done(call, "assertions get")), { rules });
    const refused = await call("move acme --to two");
    equal(refused.code, 1);
    match(
      refused.err,
      /Assertion "pinned": customer "acme" may only be in placements "one", and would be in "two"/,
    );
    equal((await all.router.ask("acme")).placement, "one");

    const broken = await set({
      rules: [{ name: "full", placements: "one", max_customers: 0 }],
    });
    equal(broken.code, 1);
    match(broken.err, /placement "one" may have at most 0 customers/);
    const unread = await call("assertions set -", { input: "{" });
    equal(unread.code, 1);
    match(unread.err, /- is not JSON: /);
    deepEqual(JSON.parse(await done(call, "assertions get")), { rules });
    match((await set({ rules: [] })).out, /^0 rules hold/m);
    match(await done(call, "move acme --to two"), /1 customer moved/);
  },
);

command(
  "ctl rolls a version out to canaries first, shows how they do, and promotes or aborts it",
  async (all, call) => {
    equal(
      await done(call, "rollouts"),
      "No version was rolled out in stages.\n",
    );
    const id = all.router.id;
    const staged = await call(
      `move acme --to two --canary id:${id} --hold 60s --max-errors 5% --wait`,
    );
    equal(staged.code, 0, staged.err);
    const [, version] = /Version (\d+) is committed/.exec(staged.out)!;
    match(
      staged.out,
      new RegExp(`It is for ${id} only, and for all in .* rollouts ${version}`),
    );
    match(
      await done(call, `rollouts ${version}`),
      new RegExp(
        `Version ${version} is for canaries only; .*\n  ${id}: applied, [0-9]+ of [0-9]+ requests? failed`,
      ),
    );
    match(await done(call, "status"), /It is for 1 canary only/);
    const other = await call("move globex --to two");
    match(other.err, new RegExp(`Version ${version} is being rolled out`));
    match(
      await done(call, `promote ${version}`),
      new RegExp(`Version ${version} was promoted`),
    );
    await done(call, "move acme --to one --canary 100%");
    match(
      await done(call, `abort ${Number(version) + 1}`),
      new RegExp(
        `Version ${Number(version) + 1} was aborted, and version ${
          Number(version) + 2
        } has what was before`,
      ),
    );
    const again = await call(`abort ${version}`);
    equal(again.code, 1);
    match(again.err, /The rollout of version [0-9]+ is over: it was promoted/);
    const never = await call("promote 99");
    match(never.err, /Version 99 is not being rolled out/);
    const list = JSON.parse(await done(call, "--json rollouts"));
    deepEqual(
      list.map(({ state }: { state: string }) => state),
      ["aborted", "promoted"],
    );
    equal((await call(`rollouts ${Number(version) + 1}`)).code, 1);

    await done(call, `move acme --to one --canary id:${id} --hold 500ms`);
    match(await done(call, "rollouts --watch"), /was promoted: all routers/);
    await done(call, `move acme --to two --canary id:${id} --hold 60s`);
    const watched = call("rollouts --watch");
    match(
      await done(call, "explain acme"),
      new RegExp(`is for ${id} only; all other routers`),
    );
    const newest = Number(version) + 4;
    const far = await call("rollout");
    match(far.out, new RegExp(`It is for ${id} only`));
    await done(call, `abort ${newest} --author ann --message unsure`);
    const { code, out } = await watched;
    equal(code, 1);
    match(out, /was aborted by ann, and version [0-9]+ has .*: unsure/);
  },
);
