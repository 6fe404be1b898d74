import { type Metric, Registry } from "prom-client";

/** The labels of one value. */
export type Labels = Readonly<Record<string, string>>;

/** One value of a metric at the time of a scrape. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** Name and help of a metric. The unit is part of the name. */
export interface MetricNames {
  readonly name: string;
  readonly help: string;
}

/**
 * What a `/metrics` shows. Counting is done with plain numbers where things happen; the registry
 * reads them when it is asked, so that a request pays for an addition and nothing else.
 */
export class Metrics {
  readonly #registry = new Registry();

  /** A value that only grows. */
  counter(names: MetricNames, read: () => number | Iterable<Sample>): void {
    this.#add(names, "counter", () => samples(read()));
  }

  /** A value that goes up and down. */
  gauge(names: MetricNames, read: () => number | Iterable<Sample>): void {
    this.#add(names, "gauge", () => samples(read()));
  }

  /** Histograms, one for each set of labels. */
  histogram(
    names: MetricNames,
    read: () => Iterable<
      { readonly labels?: Labels; readonly histogram: HistogramData }
    >,
  ): void {
    this.#add(names, "histogram", () => {
      const values: Value[] = [];
      for (const { labels = {}, histogram } of read()) {
        let count = 0;
        for (const [index, bound] of histogram.bounds.entries()) {
          count += histogram.counts[index]!;
          const le = { ...labels, le: String(bound) };
          values.push({
            metricName: `${names.name}_bucket`,
            labels: le,
            value: count,
          });
        }
        count += histogram.counts[histogram.bounds.length]!;
        const le = { ...labels, le: "+Inf" };
        values.push({
          metricName: `${names.name}_bucket`,
          labels: le,
          value: count,
        });
        values.push({
          metricName: `${names.name}_sum`,
          labels,
          value: histogram.sum,
        });
        values.push({
          metricName: `${names.name}_count`,
          labels,
          value: count,
        });
      }
      return values;
    });
  }

  /** The Prometheus text, and the media type to send it with. */
  async text(): Promise<{ body: string; contentType: string }> {
    return {
      body: await this.#registry.metrics(),
      contentType: this.#registry.contentType,
    };
  }

  #add({ name, help }: MetricNames, type: string, read: () => Value[]): void {
    // What the registry asks of a metric is this much; its own classes keep their own numbers.
    const metric = {
      name,
      get: () =>
        Promise.resolve({
          name,
          help,
          type,
          aggregator: "sum",
          values: read(),
        }),
    };
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

function samples(read: number | Iterable<Sample>): Value[] {
  if (typeof read === "number") return [{ labels: {}, value: read }];
  return Array.from(read, ({ labels = {}, value }) => ({ labels, value }));
}

/** Upper bounds for times, in seconds: from a lookup in memory to a request that nearly timed out. */
export const SECONDS_BOUNDS: readonly number[] = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
];

/** What of a {@linkcode Histogram} is data. */
export type HistogramData = Readonly<
  Pick<Histogram, "bounds" | "counts" | "sum">
>;

/** Counts observations by size; the bounds are upper ones and inclusive, as Prometheus has them. */
export class Histogram {
  readonly bounds: readonly number[];
  /** How many fell into each bucket, not cumulated; the last one is for what is above all bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > this.bounds[index]!) index++;
    this.counts[index]!++;
    this.sum += value;
  }
}
