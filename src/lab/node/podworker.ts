/**
 * Brings one pod to what the API says, step by step: volumes, sandbox, init containers, containers; and to its end.
 * Every event (a change of the pod, an exit, a probe, a timer) only pokes it; then it looks at all there is.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Pod } from '../../kube/core.ts';
import { resolveImage } from '../images/catalog.ts';
import { Backoff, goDuration } from './backoff.ts';
import { ociConfig } from './bundle.ts';
import type { PodFacts } from './downward.ts';
import { ConfigError, containerEnvironment } from './env.ts';
import { Instance, type InstanceRecord } from './instance.ts';
import type { NodeContext } from './nodecontext.ts';
import { hostsFile, podHostname, resolvConf } from './podnet.ts';
import { type ContainerFacts, initDone, isSidecar, podPhase, podStatus } from './podstatus.ts';
import { NetworkNotReady, type Sandbox } from './sandbox.ts';
import { MountError, PodVolumes, referredObjects } from './volumes.ts';

interface ContainerSlot {
  container: Container;
  current?: Instance;
  previous?: InstanceRecord;
  waiting?: { reason: string; message?: string };
  /** Number of the next run: it goes on from the API's status when the node was made anew. */
  nextAttempt: number;
  restarts: Backoff;
  pulls: Backoff;
  pullFailedAt?: number;
}

/** An end of the container is not the pod's: refused by what it asks. */
class StartProblem extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

function newSlot(container: Container, nextAttempt: number): ContainerSlot {
  return { container, nextAttempt, restarts: new Backoff(), pulls: new Backoff() };
}

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
  #sandbox: Sandbox | undefined;
  #volumesReady = false;
  #retry = new Backoff(retryFirstMs, retryLongestMs);
  #retryFailedAt: number | undefined;
  #timer: { at: number; handle: NodeJS.Timeout } | undefined;
  #dirty = false;
  #working = false;
  #detachFailedAt: number | undefined;
  #released = false;
  #ended = false;

  constructor(context: NodeContext, pod: Pod, sandbox: Sandbox | undefined, records: InstanceRecord[]) {
    this.uid = pod.metadata.uid ?? '';
    this.#context = context;
    this.#pod = pod;
    this.#sandbox = sandbox;
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
    return this.#sandbox?.id;
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
    const status = [
      ...(this.#pod.status?.initContainerStatuses ?? []),
      ...(this.#pod.status?.containerStatuses ?? []),
    ].find(each => each.name === container.name);
    const [latest, ...older] = records.sort((a, b) => b.attempt - a.attempt);
    const ranBefore = status?.containerID ? status.restartCount + 1 : (status?.restartCount ?? 0);
    const slot = newSlot(container, latest ? latest.attempt + 1 : ranBefore);
    this.#slots.set(container.name, slot);
    if (!latest) return;
    const known = { started: status?.started ?? false, ready: status?.ready ?? false };
    slot.current = this.#instance(latest, container, latest.exit ? undefined : known);
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
        this.#later(retryLongestMs);
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
      await this.#volumes.sync(this.#pod, this.#volumeSources());
      if (!this.#volumesReady) this.#retryFailedAt = undefined;
      this.#volumesReady = true;
      if (this.#pod.spec.volumes?.some(volume => volume.projected)) this.#later(refreshMs);
    } catch (error) {
      if (!(error instanceof MountError)) throw error;
      this.#event('Warning', 'FailedMount', error.message);
      this.#backOff();
      if (!this.#volumesReady) return false;
    }
    if (this.#sandbox?.ready) return true;
    if (this.#retryFailedAt !== undefined && this.#waitForRetry()) return false;
    try {
      this.#sandbox = await this.#context.limit(() =>
        this.#context.sandboxes.create(this.#pod, this.#context.nodeIps),
      );
      this.#retry.reset();
      this.#retryFailedAt = undefined;
      return true;
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof NetworkNotReady) {
        this.#event('Warning', 'NetworkNotReady', `network is not ready: ${message}`);
        this.#later(5_000);
      } else {
        this.#event(
          'Warning',
          'FailedCreatePodSandBox',
          `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: ${message}`,
        );
        this.#backOff();
      }
      return false;
    }
  }

  async #runContainers(): Promise<void> {
    for (const container of this.#pod.spec.initContainers ?? []) {
      const slot = this.#slot(container);
      if (!isSidecar(container) && slot.current?.record.exit?.code === 0) continue;
      await this.#ensure(slot, isSidecar(container) ? 'Always' : this.#initPolicy());
      if (!initDone(container, this.#factsOf(slot))) return;
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
        return this.#later(left + 5);
      }
      slot.restarts.next(endedAt, now);
    }
    try {
      await this.#context.limit(() => this.#start(slot));
      delete slot.waiting;
    } catch (error) {
      if (!(error instanceof StartProblem)) throw error;
      slot.waiting = { reason: error.reason, message: error.message };
    }
  }

  async #start(slot: ContainerSlot): Promise<void> {
    const { container } = slot;
    const resolved = this.#pull(slot);
    const attempt = slot.nextAttempt;
    const id = randomBytes(32).toString('hex');
    const hostname = podHostname(this.#pod, this.#context.nodeName);
    const logs = join(
      this.#context.podLogs,
      `${this.#pod.metadata.namespace}_${this.#pod.metadata.name}_${this.uid}`,
      container.name,
    );
    const messagePath = join(
      this.#context.root,
      'pods',
      this.uid,
      'containers',
      container.name,
      id.slice(0, 8),
    );
    let config: ReturnType<typeof ociConfig>;
    try {
      const environment = containerEnvironment(this.#pod, container, {
        ...this.#objectSources(),
        services: this.#context.services(this.#pod.metadata.namespace ?? 'default'),
        facts: this.#podFacts(),
      });
      await mkdir(join(messagePath, '..'), { recursive: true });
      await writeFile(messagePath, '', { mode: 0o666 });
      config = ociConfig({
        pod: this.#pod,
        container,
        image: resolved.image.config,
        environment,
        ...(this.#sandbox?.network && { netns: this.#sandbox.network.attachment.netns }),
        hostname,
        mounts: [
          ...this.#context.systemMounts,
          ...(await this.#etcMounts(container, hostname)),
          {
            destination: container.terminationMessagePath || '/dev/termination-log',
            type: 'bind',
            source: messagePath,
            options: ['bind', 'rw'],
          },
          ...(await this.#volumes.mounts(this.#pod, container)),
        ],
        shm: await this.#volumes.shm(),
        homes: this.#context.homes,
        machineCapabilities: this.#context.machineCapabilities,
        annotations: {
          'io.kubernetes.pod.name': this.#pod.metadata.name,
          'io.kubernetes.pod.namespace': this.#pod.metadata.namespace ?? 'default',
          'io.kubernetes.pod.uid': this.uid,
          'io.kubernetes.container.name': container.name,
        },
      });
    } catch (error) {
      if (!(error instanceof ConfigError || error instanceof MountError)) throw error;
      this.#event('Warning', 'Failed', `Error: ${error.message}`, container);
      this.#later(10_000);
      throw new StartProblem('CreateContainerConfigError', error.message);
    }
    const instance = this.#instance(
      {
        id,
        podUid: this.uid,
        container: container.name,
        attempt,
        image: resolved.name,
        imageId: `${resolved.image.repository}@sha256:${this.#context.imageDigest(resolved.image)}`,
        logPath: join(logs, `${attempt}.log`),
        messagePath,
        messageFallback: container.terminationMessagePolicy === 'FallbackToLogsOnError',
        pid: 0,
        start: 0,
      },
      container,
    );
    if (slot.previous) void this.#context.runtime.remove(slot.previous.id);
    if (slot.current) slot.previous = slot.current.record;
    slot.current = instance;
    slot.nextAttempt = attempt + 1;
    try {
      await instance.launch(config, resolved.image);
    } catch (error) {
      const { message } = error as Error;
      this.#event('Warning', 'Failed', `Error: ${message}`, container);
      this.#later(10);
      throw new StartProblem('RunContainerError', message);
    }
  }

  /** Throws StartProblem for an image that does not exist here. */
  #pull(slot: ContainerSlot) {
    const { container } = slot;
    const text = container.image ?? '';
    const resolved = resolveImage(text);
    if ('image' in resolved) {
      this.#event('Normal', 'Pulled', `Container image "${text}" already present on machine`, container);
      return resolved;
    }
    if (resolved.reason === 'InvalidImageName') {
      this.#event('Warning', 'InspectFailed', resolved.problem, container);
      throw new StartProblem('InvalidImageName', resolved.problem);
    }
    if (container.imagePullPolicy === 'Never') {
      const problem = `Container image "${text}" is not present with pull policy of Never`;
      this.#event('Warning', 'ErrImageNeverPull', problem, container);
      throw new StartProblem('ErrImageNeverPull', problem);
    }
    const now = Date.now();
    const left = slot.pullFailedAt === undefined ? 0 : slot.pulls.remaining(slot.pullFailedAt, now);
    if (left > 0) {
      this.#later(left + 5);
      this.#event('Normal', 'BackOff', `Back-off pulling image "${text}"`, container);
      this.#event('Warning', 'Failed', 'Error: ImagePullBackOff', container);
      throw new StartProblem('ImagePullBackOff', `Back-off pulling image "${text}": ${resolved.problem}`);
    }
    slot.pulls.next(slot.pullFailedAt ?? now, now);
    slot.pullFailedAt = now;
    this.#event('Normal', 'Pulling', `Pulling image "${text}"`, container);
    this.#event('Warning', 'Failed', `Failed to pull image "${text}": ${resolved.problem}`, container);
    this.#event('Warning', 'Failed', 'Error: ErrImagePull', container);
    this.#later(2_000);
    throw new StartProblem('ErrImagePull', resolved.problem);
  }

  async #etcMounts(container: Container, hostname: string) {
    const { nodeHosts, dns } = this.#context;
    const own = new Set((container.volumeMounts ?? []).map(mount => mount.mountPath.replace(/\/+$/, '')));
    const files = await this.#volumes.etcFiles({
      hosts: hostsFile(this.#pod, hostname, this.#sandbox?.ips ?? [], nodeHosts),
      hostname: `${hostname}\n`,
      'resolv.conf': resolvConf(this.#pod, dns),
    });
    return Object.entries(files)
      .filter(([name]) => !own.has(`/etc/${name}`) && !own.has('/etc'))
      .map(([name, source]) => ({
        destination: `/etc/${name}`,
        type: 'bind',
        source,
        options: ['bind', 'rprivate', 'rw'],
      }));
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
    clearTimeout(this.#timer?.handle);
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
    if (!this.#sandbox) return true;
    try {
      await this.#context.sandboxes.remove(this.#sandbox);
      this.#sandbox = undefined;
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
    if (!this.#released) this.#later(1_000);
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
      () => this.#sandbox?.ips[0] ?? '',
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
    return new Map([...this.#slots].map(([name, slot]) => [name, this.#factsOf(slot)]));
  }

  #factsOf({ current, previous, waiting, nextAttempt }: ContainerSlot): ContainerFacts {
    return {
      restarts: current?.record.attempt ?? nextAttempt,
      ...(current && { current: current.record }),
      ...(previous && { previous }),
      ...(waiting && { waiting }),
      ready: current?.probes.ready ?? false,
      started: current?.probes.started ?? false,
    };
  }

  #report(): void {
    const status = podStatus(
      this.#pod,
      {
        containers: this.#facts(),
        hostIps: this.#context.nodeIps,
        podIps: this.#sandbox?.ips ?? (this.#pod.status?.podIPs ?? []).map(({ ip }) => ip),
        sandboxReady: this.#sandbox?.ready ?? false,
        startTime: this.#startTime.replace(/\.\d+Z$/, 'Z'),
        terminating: this.#pod.metadata.deletionTimestamp !== undefined,
      },
      new Date().toISOString(),
    );
    this.#context.statuses.set(this.#pod, status);
  }

  #podFacts(): PodFacts {
    const { nodeName, nodeIps, cpus, memoryBytes } = this.#context;
    return { nodeName, hostIps: nodeIps, podIps: this.#sandbox?.ips ?? [], cpus, memoryBytes };
  }

  #objectSources() {
    const { objects } = this.#context;
    const namespace = this.#pod.metadata.namespace ?? 'default';
    return {
      secret: (name: string) => objects.secret(namespace, name),
      configMap: (name: string) => objects.configMap(namespace, name),
    };
  }

  #volumeSources() {
    return {
      ...this.#objectSources(),
      token: (wish: { audience?: string; expirationSeconds?: number }) =>
        this.#context.tokens.get(this.#pod, wish),
      facts: this.#podFacts(),
    };
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: Container): void {
    const init = this.#pod.spec.initContainers?.includes(container as Container);
    const fieldPath = container && `spec.${init ? 'initContainers' : 'containers'}{${container.name}}`;
    this.#context.event(this.#pod, type, reason, message, fieldPath);
  }

  #waitForRetry(): boolean {
    const left = this.#retry.remaining(this.#retryFailedAt!, Date.now());
    if (left > 0) this.#later(left + 5);
    return left > 0;
  }

  #backOff(leastMs = 0): void {
    const now = Date.now();
    this.#retry.next(this.#retryFailedAt ?? now, now);
    this.#retryFailedAt = now;
    this.#later(Math.max(leastMs, this.#retry.delayMs));
  }

  /** Comes back after `ms`, or sooner if something else happens. */
  #later(ms: number): void {
    const at = Date.now() + ms;
    if (this.#timer && this.#timer.at <= at) return;
    clearTimeout(this.#timer?.handle);
    const handle = setTimeout(() => {
      this.#timer = undefined;
      this.poke();
    }, ms);
    this.#timer = { at, handle };
  }
}
