import { deepEqual, equal, ok } from "node:assert/strict";
import { parse, stringify } from "yaml";
import { dataFolder } from "../harness/program.ts";
import { FILES, promtool } from "./promtool.ts";
import { CASES, HEALTH, RELEASE } from "./rule_cases.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

const { groups }: { groups: { rules: Rule[] }[] } = parse(
  await Deno.readTextFile(new URL("alerts.yaml", FILES)),
);
const ALERTS = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));

function series(values: Readonly<Record<string, string>>): object[] {
  return Object.entries(values).map(([series, values]) => ({ series, values }));
}

/** Asks promtool whether alerts fire at a minute, or do not. */
function expected(
  minute: number,
  alert: string,
  fired: readonly object[],
): object {
  return { eval_time: `${minute}m`, alertname: alert, exp_alerts: fired };
}

async function testRules(tests: readonly object[]): Promise<void> {
  await using folder = await dataFolder();
  const file = `${folder.path}/rules_test.yaml`;
  await Deno.writeTextFile(
    file,
    stringify({
      rule_files: [new URL("alerts.yaml", FILES).pathname],
      evaluation_interval: "15s",
      tests,
    }),
  );
  const { ok: content, said } = await promtool("test", "rules", file);
  ok(content, said);
}

Deno.test("promtool finds nothing wrong with the rules and the sample config", async () => {
  const rules = await promtool("check", "rules", "alerts.yaml");
  ok(rules.ok, rules.said);
  const config = await promtool("check", "config", "prometheus.yaml");
  ok(config.ok, config.said);
});

Deno.test("every alert has a case, and a row in the README beside it", async () => {
  deepEqual(
    [...new Set(CASES.map(({ alert }) => alert))].toSorted(),
    ALERTS.toSorted(),
  );
  const readme = await Deno.readTextFile(new URL("README.md", FILES));
  const rows = [...readme.matchAll(/^\| `(Signalbox\w+)`/gm)].map(([, name]) =>
    name
  );
  deepEqual(rows.toSorted(), ALERTS.toSorted());
});

Deno.test("no alert fires in health, nor through a release of everything", async () => {
  const minutes = [5, 29, 30, 31, 32, 33, 36, 40, 41, 42, 45, 60, 110];
  equal(minutes.length * ALERTS.length, 273);
  await testRules([HEALTH, RELEASE].map((values) => ({
    interval: "15s",
    input_series: series(values),
    alert_rule_test: minutes.flatMap((minute) =>
      ALERTS.map((alert) => expected(minute, alert, []))
    ),
  })));
});

for (const [index, each] of CASES.entries()) {
  const { alert, labels, summary, fires, clears } = each;
  Deno.test(`${alert} fires for its cause, and ends with it (${index})`, async () => {
    const fired = [{ exp_labels: labels, exp_annotations: { summary } }];
    await testRules([{
      interval: "15s",
      input_series: series({ ...HEALTH, ...each.series }),
      alert_rule_test: [
        // What is wrong from the beginning has no time before.
        ...(clears === null ? [] : [expected(29, alert, [])]),
        expected(fires, alert, fired),
        ...(clears === null ? [] : [expected(clears, alert, [])]),
      ],
    }]);
  });
}
