/** One run of a container, from its creation to its end, with its probes and hooks. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Probe } from '../../kube/core.ts';
import type { Image } from '../images/catalog.ts';
import type { OciConfig } from './bundle.ts';
import { execute } from './execute.ts';
import { type ProbeKind, Prober, type ProbeState, runProbe } from './probes.ts';
import { processStart, signalProcess } from './procfs.ts';
import type { Runtime } from './runtime.ts';

/** What is remembered of a run, beside its bundle, over a restart of the kubelet. */
export interface InstanceRecord {
  id: string;
  podUid: string;
  container: string;
  /** 0 for the first run; the restart count. */
  attempt: number;
  image: string;
  imageId: string;
  logPath: string;
  messagePath: string;
  messageFallback: boolean;
  /** Of the container's init. */
  pid: number;
  start: number;
  startedAt?: string;
  exit?: InstanceExit;
}

export interface InstanceExit {
  code: number;
  reason: string;
  message?: string;
  finishedAt: string;
}

export interface InstanceListener {
  changed(): void;
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
}

const mostMessage = 4096;

export class Instance {
  readonly record: InstanceRecord;
  readonly container: Container;
  readonly probes: ProbeState;
  readonly #runtime: Runtime;
  readonly #listener: InstanceListener;
  readonly #podIp: () => string;
  readonly #ended = Promise.withResolvers<void>();
  #prober: Prober | undefined;
  #isEnding = false;
  #saved: Promise<void> = Promise.resolve();
  #stopping: { killAt: number; timer?: NodeJS.Timeout } | undefined;

  constructor(
    runtime: Runtime,
    record: InstanceRecord,
    container: Container,
    podIp: () => string,
    listener: InstanceListener,
    known?: ProbeState,
  ) {
    this.#runtime = runtime;
    this.record = record;
    this.container = container;
    this.#podIp = podIp;
    this.#listener = listener;
    this.probes = known ?? { started: false, ready: false };
    if (record.exit) this.#ended.resolve();
  }

  /** Until its end is written down: from then on nothing of it is touched any more but by `forget`. */
  get running(): boolean {
    return this.record.exit === undefined;
  }

  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Creates and starts it. After a failure it counts as ended (StartError), and the error is thrown. */
  async launch(config: OciConfig, image: Image): Promise<void> {
    const { id, logPath } = this.record;
    try {
      const { pid, start } = await this.#runtime.create(id, config, image, logPath);
      Object.assign(this.record, { pid, start });
      await this.#save();
      this.#listener.event('Normal', 'Created', `Created container: ${this.container.name}`);
      await this.#runtime.start(id);
    } catch (error) {
      const message = (error as Error).message;
      await this.#end({ code: 128, reason: 'StartError', message, finishedAt: new Date().toISOString() });
      throw error;
    }
    this.record.startedAt = new Date().toISOString();
    await this.#save();
    this.#listener.event('Normal', 'Started', `Started container ${this.container.name}`);
    void this.#afterStart();
    void this.check();
  }

  /** Goes on with a container that ran while the kubelet did not. */
  resume(): void {
    if (this.running) this.#probe();
  }

  /** Looks whether it has ended: by the exit that conmon recorded, or because its process is gone. */
  async check(): Promise<void> {
    if (!this.running || this.record.startedAt === undefined) return;
    const exit = await this.#runtime.exitOf(this.record.id);
    if (exit) {
      await this.#end({
        code: exit.code,
        reason: exit.code === 0 ? 'Completed' : 'Error',
        finishedAt: new Date(exit.finishedAt).toISOString(),
      });
    } else if (processStart(this.record.pid) !== this.record.start) {
      await new Promise(resolve => setTimeout(resolve, 500));
      if (this.running && !(await this.#runtime.exitOf(this.record.id))) {
        await this.#end({
          code: 137,
          reason: 'ContainerStatusUnknown',
          message: 'The container could not be located when it ended',
          finishedAt: new Date().toISOString(),
        });
      } else await this.check();
    }
  }

  /**
   * Ends it: preStop, SIGTERM, and SIGKILL when the grace is over. Told again with less grace, it ends sooner.
   * Resolves when it has ended.
   */
  stop(graceMs: number, why: string): Promise<void> {
    if (!this.running || this.#isEnding) return this.ended;
    const killAt = Date.now() + graceMs;
    if (this.#stopping) {
      if (killAt < this.#stopping.killAt) this.#killAt(killAt);
      return this.ended;
    }
    this.#stopping = { killAt };
    this.#prober?.stop();
    this.probes.ready = false;
    this.#listener.event('Normal', 'Killing', why);
    this.#killAt(killAt);
    void this.#terminate();
    return this.ended;
  }

  execute(command: string[], timeoutMs: number) {
    return execute(this.#runtime, this.record.id, command, timeoutMs);
  }

  /** Frees all but the record and the log. */
  async release(): Promise<void> {
    await this.#runtime.remove(this.record.id, true);
  }

  async forget(): Promise<void> {
    await this.#runtime.remove(this.record.id);
  }

  async #terminate(): Promise<void> {
    const { preStop } = this.container.lifecycle ?? {};
    if (preStop) {
      const left = Math.max(1, (this.#stopping!.killAt - Date.now()) / 1000);
      const outcome = await runProbe({ ...preStop, timeoutSeconds: left }, this.#target());
      if (!outcome.ok) this.#listener.event('Warning', 'FailedPreStopHook', 'PreStopHook failed');
    }
    signalProcess(this.record, 'SIGTERM');
  }

  #killAt(when: number): void {
    const stopping = this.#stopping!;
    stopping.killAt = when;
    clearTimeout(stopping.timer);
    stopping.timer = setTimeout(
      () => {
        signalProcess(this.record, 'SIGKILL');
        void this.check();
      },
      Math.max(0, when - Date.now()),
    );
  }

  async #afterStart(): Promise<void> {
    const { postStart } = this.container.lifecycle ?? {};
    if (postStart) {
      const outcome = await runProbe({ ...postStart, timeoutSeconds: 120 }, this.#target());
      if (!outcome.ok && this.running && !this.#isEnding) {
        this.#listener.event('Warning', 'FailedPostStartHook', 'PostStartHook failed');
        void this.stop(2_000, 'FailedPostStartHook');
        return;
      }
    }
    if (this.running && !this.stopping && !this.#isEnding) this.#probe();
  }

  #probe(): void {
    const name = this.container.name;
    this.#prober = new Prober(
      this.#target(),
      {
        ready: ready => {
          this.probes.ready = ready;
          this.#listener.changed();
        },
        started: () => {
          if (this.probes.started) return;
          this.probes.started = true;
          this.#listener.changed();
        },
        unhealthy: (kind: ProbeKind, message: string) =>
          this.#listener.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`),
        failed: (kind, probe: Probe) => {
          const grace = probe.terminationGracePeriodSeconds ?? this.graceSeconds;
          const what = kind === 'Startup' ? 'startup' : 'liveness';
          void this.stop(grace * 1000, `Container ${name} failed ${what} probe, will be restarted`);
        },
      },
      this.probes.started ? { ...this.probes } : undefined,
    );
  }

  /** The pod's terminationGracePeriodSeconds. */
  graceSeconds = 30;

  #target() {
    return {
      podIp: this.#podIp(),
      container: this.container,
      exec: (command: string[], timeoutMs: number) => this.execute(command, timeoutMs),
    };
  }

  async #end(exit: InstanceExit): Promise<void> {
    if (!this.running || this.#isEnding) return;
    this.#isEnding = true;
    this.#prober?.stop();
    clearTimeout(this.#stopping?.timer);
    this.probes.ready = false;
    this.probes.started = false;
    const message = exit.message ?? (await this.#terminationMessage(exit.code));
    await this.release();
    const ended = { ...exit, ...(message && { message }) };
    await this.#save({ ...this.record, exit: ended });
    this.record.exit = ended;
    this.#ended.resolve();
    this.#listener.changed();
  }

  async #terminationMessage(code: number): Promise<string> {
    const own = await readFile(this.record.messagePath, 'utf8').catch(() => '');
    if (own !== '' || !this.record.messageFallback || code === 0) return own.slice(0, mostMessage);
    const log = await readFile(this.record.logPath, 'utf8').catch(() => '');
    const lines = log.trimEnd().split('\n').slice(-80);
    return lines
      .map(line => line.split(' ').slice(3).join(' '))
      .join('\n')
      .slice(-2048);
  }

  /** One after the other: a container may end while it is written down that it began. */
  #save(record: InstanceRecord = this.record): Promise<void> {
    const text = JSON.stringify(record);
    this.#saved = this.#saved.then(async () => {
      const path = join(this.#runtime.bundle(record.id), 'record.json');
      await writeFile(`${path}.tmp`, text, { mode: 0o600 });
      await rename(`${path}.tmp`, path);
    });
    return this.#saved;
  }
}

/** All runs that a kubelet before us left; of bundles without a record nothing can be told: they are removed. */
export async function loadRecords(runtime: Runtime): Promise<InstanceRecord[]> {
  const records: InstanceRecord[] = [];
  for (const id of runtime.bundles()) {
    try {
      const text = await readFile(join(runtime.bundle(id), 'record.json'), 'utf8');
      const record = JSON.parse(text) as InstanceRecord;
      if (record.exit || record.startedAt !== undefined) {
        records.push(record);
        continue;
      }
    } catch {
      // told below
    }
    await runtime.remove(id);
  }
  return records;
}
