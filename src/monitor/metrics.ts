import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Observer, SinkEvent } from '../pipeline/observer.ts'
import { LoopStalls } from '../runtime/loop-stalls.ts'
import { maxTimerMs } from '../runtime/retry.ts'
import { type Metric, type MetricsParts, metrics } from './metrics-table.ts'

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** prom-client's figures of the event loop. Measuring them wakes an idle worker all the time. */
const loopFigures = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']

/**
 * Everything that Prometheus reads: our metrics, which begin with `archiver_`, and those of
 * prom-client about the process.
 */
export class Metrics implements Observer {
  readonly #registry = new Registry()
  readonly #durations: Readonly<Record<string, Histogram>>
  readonly #events: Readonly<Record<SinkEvent, Counter>>
  /** The partitions during one scrape: each of twenty metrics asks for them. */
  #partitions: ReturnType<MetricsParts['partitions']> | undefined

  constructor() {
    const histogram = (name: string, help: string) =>
      new Histogram({ name, help, buckets: seconds, registers: [this.#registry] })
    const counter = (name: string, help: string) =>
      new Counter({ name, help, labelNames: ['sink'], registers: [this.#registry] })
    this.#durations = {
      files: histogram(
        'archiver_flush_duration_seconds',
        'Duration of a flush of a partition, from complete files to the committed manifest with its files in place.',
      ),
      elasticsearch: histogram(
        'archiver_bulk_duration_seconds',
        'Time that Elasticsearch took to answer a bulk request.',
      ),
      mysql: histogram(
        'archiver_insert_duration_seconds',
        'Time that MySQL took to answer an INSERT.',
      ),
    }
    this.#events = {
      retry: counter(
        'archiver_retries_total',
        'Requests or documents that a sink had to send again.',
      ),
      reject: counter(
        'archiver_rejected_records_total',
        'Records that a sink rejected: in the rejected index of Elasticsearch, or in MySQL with an error_type.',
      ),
    }
  }

  done(sink: string, ms: number): void {
    this.#durations[sink]?.observe(ms / 1000)
  }

  happened(sink: string, event: SinkEvent, _reason: string, count: number): void {
    this.#events[event].inc({ sink }, count)
  }

  /** Begins to report a worker and the process. */
  watch(parts: MetricsParts): void {
    this.#watchProcess()
    for (const { name } of parts.sinks) {
      this.#events.retry.inc({ sink: name }, 0)
      // Files reject nothing.
      if (name !== 'files') this.#events.reject.inc({ sink: name }, 0)
    }
    const partitions = () => {
      this.#partitions ??= parts.partitions()
      return this.#partitions
    }
    for (const metric of metrics) this.#add(metric, { ...parts, partitions })
  }

  /**
   * prom-client's metrics of any process, except its histogram of the event loop, which wakes an
   * idle worker a hundred times a second.
   */
  #watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: maxTimerMs })
    for (const figure of loopFigures)
      this.#registry.removeSingleMetric(`nodejs_eventloop_lag_${figure}_seconds`)
    const stalls = new LoopStalls()
    const gauge: Gauge = new Gauge({
      name: 'archiver_event_loop_stall_seconds',
      help: 'The longest stall of the event loop since the last scrape.',
      registers: [this.#registry],
      collect: () => gauge.set(stalls.takeMs() / 1000),
    })
  }

  /** Every scrape reads the values, so nothing is counted twice. */
  #add({ name, help, kind, labels = [], read }: Metric, parts: MetricsParts): void {
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] }
    if (kind === 'gauge') {
      const gauge: Gauge = new Gauge({
        ...options,
        collect: () => {
          gauge.reset()
          for (const { value, ...of } of read(parts)) gauge.set(of, value)
        },
      })
      return
    }
    const counter: Counter = new Counter({
      ...options,
      collect: () => {
        counter.reset()
        for (const { value, ...of } of read(parts)) counter.inc(of, value)
      },
    })
  }

  /** In the text format of Prometheus. */
  async print(): Promise<{ readonly type: string; readonly body: string }> {
    this.#partitions = undefined
    return { type: this.#registry.contentType, body: await this.#registry.metrics() }
  }
}
