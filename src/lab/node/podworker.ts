/**
 * Brings one pod to what the API says, step by step: volumes, sandbox, init containers, containers; and to its end.
 * Every event (a change of the pod, an exit, a probe, a timer) only pokes it; then it looks at all there is.
 */
import { join } from 'node:path';
import type { Container, Pod } from '../../kube/core.ts';
import { Alarm } from './alarm.ts';
import { goDuration } from './backoff.ts';
import { type PodOnNode, prepareRun, volumeSources } from './containerrun.ts';
import { type ContainerSlot, knownBefore, newSlot, slotFacts } from './containerslot.ts';
import { Instance, type InstanceRecord } from './instance.ts';
import type { NodeContext } from './nodecontext.ts';
import { makeProblem, PodSandbox } from './podsandbox.ts';
import { type ContainerFacts, initDone, isSidecar, podPhase, podStatus } from './podstatus.ts';
import { Retry } from './retry.ts';
import { NetworkNotReady, type Sandbox } from './sandbox.ts';
import { StartProblem } from './startproblem.ts';
import { MountError, PodVolumes, referredObjects } from './volumes.ts';

const retryFirstMs = 500;
const retryLongestMs = 15_000;
/** Volumes with tokens are looked at this often. */
const refreshMs = 60_000;
/** The pod is let go in the API after this long, even if the network plugin still cannot undo its part. */
const detachPatienceMs = 20_000;

export class PodWorker {
  readonly uid: string;
  readonly #context: NodeContext;
  readonly #slots = new Map<string, ContainerSlot>();
  readonly #volumes: PodVolumes;
  readonly #startTime = new Date().toISOString();
  #pod: Pod;
  #gone = false;
  readonly #sandbox: PodSandbox;
  #volumesReady = false;
  readonly #retry = new Retry(retryFirstMs, retryLongestMs);
  readonly #alarm = new Alarm(() => this.poke());
  #dirty = false;
  #working = false;
  #detachFailedAt: number | undefined;
  #released = false;
  #ended = false;

  constructor(context: NodeContext, pod: Pod, sandbox: Sandbox | undefined, records: InstanceRecord[]) {
    this.uid = pod.metadata.uid ?? '';
    this.#context = context;
    this.#pod = pod;
    this.#sandbox = new PodSandbox(context.sandboxes, sandbox);
    this.#volumes = new PodVolumes(join(context.root, 'pods', this.uid));
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      this.#adopt(
        container,
        records.filter(record => record.container === container.name),
      );
    }
    this.poke();
  }

  /** All is undone and the API knows. */
  get ended(): boolean {
    return this.#ended;
  }

  get sandboxId(): string | undefined {
    return this.#sandbox.id;
  }

  get pod(): Pod {
    return this.#pod;
  }

  update(pod: Pod): void {
    this.#pod = pod;
    this.poke();
  }

  /** The API no longer has it. */
  vanish(): void {
    this.#gone = true;
    this.poke();
  }

  poke(): void {
    this.#dirty = true;
    if (this.#working || this.#ended) return;
    this.#working = true;
    void this.#work();
  }

  /** The run of a container that exec and logs are about; undefined when it never ran. */
  instance(name: string): Instance | undefined {
    return this.#slots.get(name)?.current;
  }

  /** The run before; while the latest has ended and waits to start again, that one. */
  previous(name: string): InstanceRecord | undefined {
    const slot = this.#slots.get(name);
    return slot?.waiting && slot.current?.record.exit ? slot.current.record : slot?.previous;
  }

  get instances(): Instance[] {
    return [...this.#slots.values()].flatMap(({ current }) => (current ? [current] : []));
  }

  #adopt(container: Container, records: InstanceRecord[]): void {
    const [latest, ...older] = records.sort((a, b) => b.attempt - a.attempt);
    const known = knownBefore(this.#pod, container.name);
    const slot = newSlot(container, latest ? latest.attempt + 1 : known.nextAttempt);
    this.#slots.set(container.name, slot);
    if (!latest) return;
    slot.current = this.#instance(latest, container, latest.exit ? undefined : known.probes);
    if (older[0]) slot.previous = older[0];
    for (const record of older.slice(1)) void this.#context.runtime.remove(record.id);
    slot.current.resume();
    void slot.current.check();
  }

  async #work(): Promise<void> {
    while (this.#dirty && !this.#ended) {
      this.#dirty = false;
      try {
        await this.#sync();
      } catch (error) {
        this.#context.log(`${this.#title}: ${(error as Error).stack}`);
        this.#alarm.within(retryLongestMs);
      }
    }
    this.#working = false;
  }

  get #title(): string {
    return `pod ${this.#pod.metadata.namespace}/${this.#pod.metadata.name}`;
  }

  async #sync(): Promise<void> {
    if (this.#gone || this.#pod.metadata.deletionTimestamp) return await this.#terminate();
    const phase = podPhase(this.#pod, this.#facts());
    if (phase === 'Succeeded' || phase === 'Failed') return await this.#finish();
    const known = this.#pod.status?.phase;
    if (known === 'Succeeded' || known === 'Failed') return await this.#finish();
    if (!(await this.#prepare())) return this.#report();
    await this.#runContainers();
    this.#report();
  }

  /** Volumes and sandbox. False when something is missing yet; then it comes back by itself. */
  async #prepare(): Promise<boolean> {
    try {
      await this.#context.objects.use(this.uid, referredObjects(this.#pod));
      await this.#volumes.sync(this.#pod, volumeSources(this.#here));
      if (!this.#volumesReady) this.#retry.succeeded();
      this.#volumesReady = true;
      if (this.#pod.spec.volumes?.some(volume => volume.projected)) this.#alarm.within(refreshMs);
    } catch (error) {
      if (!(error instanceof MountError)) throw error;
      this.#event('Warning', 'FailedMount', error.message);
      this.#backOff();
      if (!this.#volumesReady) return false;
    }
    if (this.#sandbox.joined) return true;
    const pause = this.#retry.remaining(Date.now());
    if (pause > 0) {
      this.#alarm.within(pause + 5);
      return false;
    }
    try {
      await this.#context.limit(() => this.#sandbox.make(this.#pod, this.#context.nodeIps));
      this.#retry.succeeded();
      return true;
    } catch (error) {
      const { reason, message } = makeProblem(error as Error);
      this.#event('Warning', reason, message);
      if (error instanceof NetworkNotReady) this.#alarm.within(5_000);
      else this.#backOff();
      return false;
    }
  }

  async #runContainers(): Promise<void> {
    for (const container of this.#pod.spec.initContainers ?? []) {
      const slot = this.#slot(container);
      if (!isSidecar(container) && slot.current?.record.exit?.code === 0) continue;
      await this.#ensure(slot, isSidecar(container) ? 'Always' : this.#initPolicy());
      if (!initDone(container, slotFacts(slot))) return;
    }
    const policy = this.#pod.spec.restartPolicy ?? 'Always';
    await Promise.all(this.#pod.spec.containers.map(each => this.#ensure(this.#slot(each), policy)));
  }

  #initPolicy(): 'OnFailure' | 'Never' {
    return this.#pod.spec.restartPolicy === 'Never' ? 'Never' : 'OnFailure';
  }

  /** Starts a container that should run and does not, unless its turn has not come. */
  async #ensure(slot: ContainerSlot, policy: 'Always' | 'OnFailure' | 'Never'): Promise<void> {
    const { current, container } = slot;
    if (current?.running) return;
    const exit = current?.record.exit;
    if (exit && (policy === 'Never' || (policy === 'OnFailure' && exit.code === 0))) return;
    const now = Date.now();
    if (exit) {
      const endedAt = Date.parse(exit.finishedAt);
      const left = slot.restarts.remaining(endedAt, now);
      if (left > 0) {
        const message = `back-off ${goDuration(slot.restarts.delayMs)} restarting failed container=${container.name} pod=${this.#pod.metadata.name}_${this.#pod.metadata.namespace}(${this.uid})`;
        if (slot.waiting?.reason !== 'CrashLoopBackOff') {
          this.#event(
            'Warning',
            'BackOff',
            `Back-off restarting failed container ${container.name} in pod ${this.#pod.metadata.name}_${this.#pod.metadata.namespace}(${this.uid})`,
            container,
          );
        }
        slot.waiting = { reason: 'CrashLoopBackOff', message };
        return this.#alarm.within(left + 5);
      }
      slot.restarts.next(endedAt, now);
    }
    try {
      await this.#context.limit(() => this.#start(slot));
      delete slot.waiting;
    } catch (error) {
      if (!(error instanceof StartProblem)) throw error;
      slot.waiting = { reason: error.reason, message: error.message };
      this.#alarm.within(error.retryMs + 5);
    }
  }

  async #start(slot: ContainerSlot): Promise<void> {
    const { container } = slot;
    const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
      this.#event(type, reason, message, container);
    const image = slot.pull.resolve(container, tell, Date.now());
    const { record, config } = await prepareRun(this.#here, container, image, slot.nextAttempt).catch(
      error => {
        if (error instanceof StartProblem) tell('Warning', 'Failed', `Error: ${error.message}`);
        throw error;
      },
    );
    if (slot.previous) void this.#context.runtime.remove(slot.previous.id);
    if (slot.current) slot.previous = slot.current.record;
    slot.current = this.#instance(record, container);
    slot.nextAttempt++;
    try {
      await slot.current.launch(config, image.image);
    } catch (error) {
      const { message } = error as Error;
      tell('Warning', 'Failed', `Error: ${message}`);
      throw new StartProblem('RunContainerError', message, 10);
    }
  }

  get #here(): PodOnNode {
    return { pod: this.#pod, context: this.#context, volumes: this.#volumes, sandbox: this.#sandbox.joined };
  }

  /** A pod that ran to its end keeps its record and logs until it is deleted; the rest goes. */
  async #finish(): Promise<void> {
    await this.#stopAll(this.#graceMs());
    if (this.instances.some(instance => instance.running)) return this.#report();
    await this.#detach();
    await this.#context.objects.use(this.uid, []);
    this.#report();
  }

  async #terminate(): Promise<void> {
    await this.#stopAll(this.#gone ? 1_000 : this.#graceMs());
    if (this.instances.some(instance => instance.running)) return this.#report();
    if (!this.#gone && !this.#released) {
      this.#report();
      await this.#context.statuses.flush(this.uid);
    }
    const detached = await this.#detach();
    if (!detached && Date.now() - this.#detachFailedAt! < detachPatienceMs) return;
    await this.#release();
    if (!detached) return;
    await this.#context.objects.use(this.uid, []);
    this.#context.tokens.forget(this.uid);
    await Promise.all(this.instances.map(instance => instance.forget()));
    for (const { previous } of this.#slots.values()) {
      if (previous) await this.#context.runtime.remove(previous.id);
    }
    await this.#context.removeLogs(this.#pod);
    await this.#volumes.remove();
    if (!this.#released) return;
    this.#ended = true;
    this.#alarm.cancel();
    this.#context.statuses.forget(this.uid);
    this.#context.onEnded(this.uid);
  }

  /** Containers first, then sidecars, the last one first. Returns at once; each end pokes. */
  async #stopAll(graceMs: number): Promise<void> {
    const stop = (container: Container) =>
      void this.#slots.get(container.name)?.current?.stop(graceMs, `Stopping container ${container.name}`);
    const running = (container: Container) => this.#slots.get(container.name)?.current?.running ?? false;
    const inits = this.#pod.spec.initContainers ?? [];
    const first = [...this.#pod.spec.containers, ...inits.filter(each => !isSidecar(each))].filter(running);
    if (first.length > 0) return first.forEach(stop);
    const last = inits.filter(isSidecar).filter(running).at(-1);
    if (last) stop(last);
  }

  async #detach(): Promise<boolean> {
    try {
      await this.#sandbox.undo();
      return true;
    } catch (error) {
      this.#detachFailedAt ??= Date.now();
      this.#event(
        'Warning',
        'FailedKillPod',
        `error killing pod: failed to "KillPodSandbox": ${(error as Error).message}`,
      );
      this.#backOff(5_000);
      return false;
    }
  }

  /** Tells the API server that the pod may go. */
  async #release(): Promise<void> {
    if (this.#released || this.#gone) {
      this.#released = true;
      return;
    }
    this.#released = await this.#context.deletePod(this.#pod);
    if (!this.#released) this.#alarm.within(1_000);
  }

  #graceMs(): number {
    const { metadata, spec } = this.#pod;
    return (metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  #slot(container: Container): ContainerSlot {
    const known = this.#slots.get(container.name);
    if (known) {
      known.container = container;
      return known;
    }
    const slot = newSlot(container, 0);
    this.#slots.set(container.name, slot);
    return slot;
  }

  #instance(record: InstanceRecord, container: Container, known?: { started: boolean; ready: boolean }) {
    const instance = new Instance(
      this.#context.runtime,
      record,
      container,
      () => this.#sandbox.joined?.ips[0] ?? '',
      {
        changed: () => this.poke(),
        event: (type, reason, message) => this.#event(type, reason, message, container),
      },
      known,
    );
    instance.graceSeconds = this.#pod.spec.terminationGracePeriodSeconds ?? 30;
    return instance;
  }

  #facts(): Map<string, ContainerFacts> {
    return new Map([...this.#slots].map(([name, slot]) => [name, slotFacts(slot)]));
  }

  #report(): void {
    // Of a pod that had ended before the node was made anew, the API knows more than we do.
    const known = this.#pod.status?.phase;
    if ((known === 'Succeeded' || known === 'Failed') && this.instances.length === 0) return;
    const status = podStatus(
      this.#pod,
      {
        containers: this.#facts(),
        hostIps: this.#context.nodeIps,
        podIps: this.#sandbox.joined?.ips ?? (this.#pod.status?.podIPs ?? []).map(({ ip }) => ip),
        sandboxReady: this.#sandbox.joined !== undefined,
        startTime: this.#startTime.replace(/\.\d+Z$/, 'Z'),
        terminating: this.#pod.metadata.deletionTimestamp !== undefined,
      },
      new Date().toISOString(),
    );
    this.#context.statuses.set(this.#pod, status);
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: Container): void {
    const init = this.#pod.spec.initContainers?.includes(container as Container);
    const fieldPath = container && `spec.${init ? 'initContainers' : 'containers'}{${container.name}}`;
    this.#context.event(this.#pod, type, reason, message, fieldPath);
  }

  #backOff(leastMs = 0): void {
    this.#alarm.within(Math.max(leastMs, this.#retry.failed(Date.now())));
  }
}
